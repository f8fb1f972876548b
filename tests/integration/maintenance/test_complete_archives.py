"""Complete archives: from one machine to a bare one, and hostile ones."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from orchestration.errors import UsageError
from orchestration.maintenance.backups import complete
from orchestration.maintenance.backups.complete import CompleteArchiveError
from tests.support.console import ConsoleProject

pyrage = pytest.importorskip("pyrage")
SECRET = "only-for-the-recipient-7f3e0a51"


@pytest.fixture
def identity(tmp_path: Path) -> tuple[Path, str]:
    secret, public = complete.new_identity()
    file = tmp_path / "identity.txt"
    file.write_text(f"# public key: {public}\n{secret}\n")
    return file, public


def test_from_one_machine_to_a_bare_one(tmp_path: Path) -> None:
    project = ConsoleProject(tmp_path / "p")
    (project.root / ".env").write_text(f"SOME_KEY={SECRET}\n")
    made = project.call("incidents", "declare", "the shop is down", "--json").json()
    artifact = project.root / "artifacts" / "run-1" / "note.md"
    artifact.parent.mkdir(parents=True)
    artifact.write_text("a note\n")
    (artifact.parent / "link").symlink_to("/etc/passwd")
    key, file = tmp_path / "key.txt", tmp_path / "all.tar.age"
    public = project.call("backups", "key", str(key)).out.splitlines()[0]
    assert (key.stat().st_mode & 0o777, public.startswith("age1")) == (0o600, True)
    assert project.call("backups", "key", str(key)).code == 2, "a key is never written over"
    assert project.call("backups", "archive", str(file)).code == 2, "without a recipient"
    project.document["maintenance"] = {"backups": {"recipients": [public]}}
    project.write()
    done = project.call("backups", "archive", str(file), "--json").json()
    assert {".env", "config", "artifacts"} <= set(done["content"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert SECRET.encode() not in file.read_bytes()
    bare = tmp_path / "bare"
    opened = project.call("backups", "open", str(file), "--identity", str(key), "--into", str(bare))
    assert opened.code == 0, opened.err
    assert (bare / ".env").read_text() == f"SOME_KEY={SECRET}\n"
    assert ((bare / ".env").stat().st_mode & 0o777, bare.stat().st_mode & 0o777) == (0o600, 0o700)
    assert (bare / "artifacts" / "run-1" / "note.md").read_text() == "a note\n"
    assert not (bare / "artifacts" / "run-1" / "link").exists()
    there = ["--config", str(bare / "config" / "agents.config.json")]
    restored = project.call(*there, "backups", "restore", "latest", "--yes")
    assert restored.code == 0, restored.err
    with closing(sqlite3.connect(bare / "var" / "orchestrator.db")) as database:
        assert (made["id"],) in database.execute("SELECT id FROM incidents").fetchall()


def test_only_its_recipient_opens_it_and_only_whole(tmp_path: Path, identity: tuple[Path, str]) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "large").write_bytes(os.urandom(300_000))
    file, into = tmp_path / "a.age", tmp_path / "into"
    complete.write(file, {"x": tmp_path / "x"}, [identity[1]])
    with pytest.raises(CompleteArchiveError, match="not opened"):
        complete.read(file, into, complete.new_identity()[0])
    with pytest.raises(UsageError, match="private key"):
        complete.read(file, into, "AGE-SECRET-KEY-nonsense")
    whole = file.read_bytes()
    for damaged in (whole[:-100], whole[:150_000], whole[:200_000] + b"x" + whole[200_001:], whole[:10]):
        file.write_bytes(damaged)
        with pytest.raises(CompleteArchiveError):
            complete.read(file, into, identity[0].read_text())
        assert not into.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.age", "identity.txt", "x"]
    file.write_bytes(whole)
    assert complete.read(file, into, identity[0].read_text()) == ("x",)
    with pytest.raises(UsageError, match="not empty"):
        complete.read(file, into, identity[0].read_text())
    with pytest.raises(UsageError, match="expected a recipient"):
        complete.write(file, {}, ["age1nonsense"])


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 2) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return made, b"hi"


def hostile(file: Path, public: str, entries: Sequence[tuple[tarfile.TarInfo, bytes]]) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for made, data in entries:
            tar.addfile(made, io.BytesIO(data) if made.isreg() else None)
    file.write_bytes(pyrage.encrypt(plain.getvalue(), [pyrage.x25519.Recipient.from_str(public)]))


@pytest.mark.parametrize(
    "bad",
    [
        [entry("../outside")], [entry("/tmp/outside")], [entry("a/../../outside")], [entry("a\\..\\outside")],
        [entry("link", tarfile.SYMTYPE, "/etc")], [entry("link", tarfile.SYMTYPE, "/etc"), entry("link/outside")],
        [entry("link", tarfile.LNKTYPE, "/etc/passwd")], [entry("device", tarfile.CHRTYPE)],
        [entry("fifo", tarfile.FIFOTYPE)], [entry("a"), entry("a")], [entry("a"), entry("a/b")],
    ],
    ids=[
        "way out", "absolute", "way out in the middle", "backslashes", "link", "link and behind it", "hard link",
        "device", "fifo", "twice", "file and folder",
    ],
)  # fmt: skip
def test_what_an_archive_says_of_itself_is_not_believed(
    tmp_path: Path, identity: tuple[Path, str], bad: Sequence[tuple[tarfile.TarInfo, bytes]]
) -> None:
    file, into = tmp_path / "evil.age", tmp_path / "into"
    hostile(file, identity[1], [entry("config/good"), *bad])
    with pytest.raises(CompleteArchiveError):
        complete.read(file, into, identity[0].read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.age", "identity.txt"]


def test_a_bomb_does_not_fill_the_disk(
    tmp_path: Path, identity: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, into = tmp_path / "bomb.age", tmp_path / "into"
    (tmp_path / "zeros").write_bytes(b"\0" * 3_000_000)
    complete.write(file, {"zeros": tmp_path / "zeros"}, [identity[1]])
    monkeypatch.setattr(complete, "_RESERVE", shutil.disk_usage(tmp_path).free - 1_000_000)
    with pytest.raises(CompleteArchiveError, match="not enough room"):
        complete.read(file, into, identity[0].read_text())
    assert not into.exists()


def test_a_program_of_others_opens_it(tmp_path: Path, identity: tuple[Path, str]) -> None:
    """`age` or `rage`, where it is installed; else the library by itself, which writes what those read."""
    (tmp_path / "a").write_text("text")
    file = tmp_path / "a.age"
    complete.write(file, {"a": tmp_path / "a"}, [identity[1]])
    tool = shutil.which("age") or shutil.which("rage")
    if tool:
        plain = subprocess.run([tool, "-d", "-i", str(identity[0]), str(file)], capture_output=True, check=True).stdout
    else:
        key = pyrage.x25519.Identity.from_str(identity[0].read_text().splitlines()[1])
        plain = pyrage.decrypt(file.read_bytes(), [key])
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        assert [one.name for one in tar] == ["a"]


def test_each_nightly_backup_is_followed_by_an_archive(tmp_path: Path, identity: tuple[Path, str]) -> None:
    project = ConsoleProject(tmp_path / "p")
    elsewhere = tmp_path / "elsewhere"
    project.document["maintenance"] = {
        "backups": {
            "recipients": [identity[1]],
            "archiveDirectory": str(elsewhere),
            "daily": 1,
            "weekly": 0,
            "monthly": 0,
        }
    }
    project.write()
    for _ in range(2):
        done = project.call("maintenance", "run", "backup")
        assert (done.code, "archived as backup-" in done.out + done.err) == (0, True), done
    kept = [one["id"] for one in project.call("backups", "list", "--json").json()]
    assert [path.name for path in elsewhere.iterdir()] == [f"{name}.tar.age" for name in kept]
    assert complete.read(next(elsewhere.iterdir()), tmp_path / "bare", identity[0].read_text()) == ("config", "var")

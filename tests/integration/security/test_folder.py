from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.security.permissions import PermissionRefusedError
from orchestration.security.safe_folder import SafeFolder

SECRET = b"the outside"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_bytes(SECRET)
    return folder


@pytest.fixture
def folder(tmp_path: Path, outside: Path) -> SafeFolder:
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("a\n")
    (root / "link-inside").symlink_to("src")
    (root / "link-out").symlink_to(outside)
    (root / "link-file-out").symlink_to(outside / "secret.txt")
    (root / "link-up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "link-secret").symlink_to(".env")
    (root / ".env").write_text("KEY=1")
    return SafeFolder(root)


OUT = ["link-out/secret.txt", "link-file-out", "link-up/outside/secret.txt", "src/../../outside/secret.txt"]


@pytest.mark.parametrize("path", [*OUT, "link-secret", ".env"])
def test_nothing_outside_and_no_secret_is_read(folder: SafeFolder, path: str) -> None:
    with pytest.raises(PermissionRefusedError):
        folder.read(path, 100)


@pytest.mark.parametrize("path", [*OUT, "link-out/new.txt", "link-up/new.txt", "link-secret"])
def test_nothing_outside_is_written(folder: SafeFolder, outside: Path, path: str) -> None:
    with pytest.raises(PermissionRefusedError):
        folder.write(path, b"changed")
    assert {entry.name: entry.read_bytes() for entry in outside.iterdir()} == {"secret.txt": SECRET}
    assert sorted(entry.name for entry in folder.root.parent.iterdir()) == ["outside", "root"]


@pytest.mark.parametrize("path", ["link-out", "link-up", "link-file-out", ".."])
def test_nothing_outside_is_listed(folder: SafeFolder, path: str) -> None:
    with pytest.raises(PermissionRefusedError):
        list(folder.walk(path, 3))


def test_links_inside_work(folder: SafeFolder) -> None:
    assert folder.read("link-inside/a.py", 100) == b"a\n"
    assert folder.write("link-inside/b.py", b"b")
    assert (folder.root / "src" / "b.py").read_bytes() == b"b"
    assert folder.resolved("link-inside/b.py") == "src/b.py"


@pytest.mark.parametrize("path", ["loop", "loop/x", "missing", "src/a.py/x", "x" * 300, "src"])
def test_what_cannot_be_read_is_an_error_of_the_system_or_a_refusal(folder: SafeFolder, path: str) -> None:
    with pytest.raises((OSError, PermissionRefusedError)):
        folder.read(path, 100)


def test_a_link_that_is_swapped_during_the_race_never_leads_out(folder: SafeFolder, outside: Path) -> None:
    place, spare, done = folder.root / "swapped", folder.root / "spare", threading.Event()
    place.mkdir()
    (place / "secret.txt").write_bytes(b"inside")

    def swap() -> None:
        while not done.is_set():
            place.rename(spare)
            with contextlib.suppress(FileExistsError):  # a write has made the folder meanwhile
                place.symlink_to(outside)
            if place.is_symlink():
                place.unlink()
            shutil.rmtree(place, ignore_errors=True)
            with contextlib.suppress(OSError):
                spare.rename(place)
            shutil.rmtree(spare, ignore_errors=True)
            place.mkdir(exist_ok=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(1500):
            try:
                assert folder.read("swapped/secret.txt", 100) != SECRET
                folder.write("swapped/secret.txt", os.urandom(4))
            except (OSError, PermissionRefusedError):
                continue
    finally:
        done.set()
        thread.join()
    assert (outside / "secret.txt").read_bytes() == SECRET
    assert len(list(outside.iterdir())) == 1


@pytest.fixture(params=["fifo", "device"])
def special(request: pytest.FixtureRequest, folder: SafeFolder) -> Iterator[str]:
    path = folder.root / "special"
    if request.param == "fifo":
        os.mkfifo(path)
    else:
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("making a device takes more rights")
    return "special"


def test_what_is_no_file_neither_blocks_nor_is_read_or_written(folder: SafeFolder, special: str) -> None:
    with pytest.raises((PermissionRefusedError, OSError)):
        folder.read(special, 100)
    with pytest.raises(PermissionRefusedError, match="something else"):
        folder.write(special, b"x")


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600, 0o666, 0o444, 0o777])
def test_a_file_keeps_its_mode_whatever_the_mask(folder: SafeFolder, mode: int) -> None:
    path = folder.root / "src" / "a.py"
    path.chmod(mode)
    before = os.umask(0o077)
    try:
        assert folder.write("src/a.py", b"changed")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"changed"


def test_a_new_file_and_its_folders_are_made_as_usual(folder: SafeFolder) -> None:
    assert folder.write("new/deep/file.txt", b"x")
    assert stat.S_IMODE((folder.root / "new/deep/file.txt").stat().st_mode) == 0o666 & ~_mask()


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_writing_the_same_changes_nothing(folder: SafeFolder) -> None:
    path = folder.root / "src" / "a.py"
    before = path.stat()
    assert not folder.write("src/a.py", b"a\n")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_write_that_fails_leaves_no_trace(folder: SafeFolder) -> None:
    (folder.root / "src" / "taken").mkdir()
    with pytest.raises(PermissionRefusedError):
        folder.write("src/taken", b"x")
    with pytest.raises(OSError, match="name too long"):
        folder.write("src/" + "x" * 300, b"x")
    assert sorted(entry.name for entry in (folder.root / "src").iterdir()) == ["a.py", "taken"]


def test_a_hard_link_to_the_outside_is_replaced_not_written_through(folder: SafeFolder, outside: Path) -> None:
    os.link(outside / "secret.txt", folder.root / "hard.txt")
    folder.write("hard.txt", b"changed")
    assert (outside / "secret.txt").read_bytes() == SECRET


def test_no_more_is_read_than_asked_for(folder: SafeFolder) -> None:
    with (folder.root / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert folder.read("huge", 10) == b"\0" * 10


def test_the_walk_names_files_and_the_folders_that_it_does_not_go_into(folder: SafeFolder) -> None:
    for path in ("empty", "src/deep/deeper", ".git/objects", "node_modules/x"):
        (folder.root / path).mkdir(parents=True)
    (folder.root / "src" / "deep" / "b.py").touch()
    assert list(folder.walk(".", 2)) == [
        *(".env", "link-file-out", "link-inside/", "link-out/", "link-secret", "link-up/", "loop"),
        *("empty/", "src/a.py", "src/deep/"),
    ]
    assert list(folder.walk("src", 9)) == ["src/a.py", "src/deep/b.py", "src/deep/deeper/"]
    assert list(folder.walk("link-inside/deep", 1)) == ["src/deep/b.py", "src/deep/deeper/"]


@pytest.mark.parametrize(("path", "error"), [("src/a.py", NotADirectoryError), ("missing", FileNotFoundError)])
def test_only_folders_are_walked(folder: SafeFolder, path: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        list(folder.walk(path, 2))


PARTS = st.sampled_from(
    [
        "..",
        ".",
        "src",
        "link-out",
        "link-up",
        "link-inside",
        "link-file-out",
        "loop",
        "root",
        "outside",
        "secret.txt",
        "~",
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PARTS, min_size=1, max_size=6), st.booleans())
def test_no_combination_of_parts_and_links_reaches_the_outside(
    folder: SafeFolder, outside: Path, parts: list[str], absolute: bool
) -> None:
    path = ("/" if absolute else "") + "/".join(parts)
    with contextlib.suppress(OSError, PermissionRefusedError):
        assert SECRET not in folder.read(path, 100)
    with contextlib.suppress(OSError, PermissionRefusedError):
        folder.write(path, b"x")
    assert [entry.read_bytes() for entry in outside.iterdir()] == [SECRET]
    assert sorted(entry.name for entry in folder.root.parent.iterdir()) == ["outside", "root"]

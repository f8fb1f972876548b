from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestration.security.redaction import Redactor
from orchestration.security.scan import FolderScan, scan_text

# Put together here, so that no scanner takes this file for a leak.
KEY = "sk-" + "a1b2c3d4e5" * 3
TOKEN = "ghp_" + "A1b2C3d4E5" * 3


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(["correct-horse-battery"])


def test_findings_say_where_and_of_what_kind_and_never_what(redactor: Redactor) -> None:
    findings = scan_text(redactor.find, f"one\ntwo {KEY}\n{TOKEN}\n{KEY}\ncorrect-horse-battery", "the answer")
    assert {(one.kind, one.lines) for one in findings} == {
        ("openai-key", (2, 4)),
        ("github-token", (3,)),
        ("credential", (5,)),
    }
    assert {one.place for one in findings} == {"the answer"}
    assert KEY not in repr(findings)
    assert scan_text(redactor.find, "nothing here", "x") == ()


def test_a_file_is_read_once_for_each_state_it_is_in(tmp_path: Path, redactor: Redactor) -> None:
    path = tmp_path / "deep" / "notes.md"
    path.parent.mkdir()
    path.write_text(f"key: {KEY}\n")
    scan = FolderScan(tmp_path, redactor.find)
    assert [(one.kind, one.place) for one in scan.find_new()] == [("openai-key", str(path))]
    assert scan.find_new() == ()
    path.write_text(f"clean\n{TOKEN}\n")
    assert [(one.kind, one.lines) for one in scan.find_new()] == [("github-token", (2,))]


def test_places_where_secrets_belong_and_what_is_no_text_are_left_out(tmp_path: Path, redactor: Redactor) -> None:
    for name in (".env", "server.key", ".git/config", "node_modules/x.js", "image.bin", "huge.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(KEY)
    (tmp_path / "image.bin").write_bytes(b"\0" + KEY.encode())
    (tmp_path / "huge.txt").write_text(KEY + "x" * 2_000_001)
    (tmp_path / "empty").touch()
    outside = tmp_path.parent / f"{tmp_path.name}-outside.txt"
    outside.write_text(KEY)
    (tmp_path / "link.txt").symlink_to(outside)
    os.mkfifo(tmp_path / "pipe")
    assert FolderScan(tmp_path, redactor.find).find_new() == ()
    (tmp_path / "plain.txt").write_text(KEY)
    assert len(FolderScan(tmp_path, redactor.find).find_new()) == 1


def test_what_was_there_before_is_not_the_agents_doing(tmp_path: Path, redactor: Redactor) -> None:
    (tmp_path / "mine.txt").write_text(KEY)
    after = (tmp_path / "mine.txt").stat().st_ctime + 100
    scan = FolderScan(tmp_path, redactor.find, since=after)
    assert scan.find_new() == ()
    (tmp_path / "theirs.txt").write_text(KEY)
    os.utime(tmp_path / "theirs.txt", (after + 1, after + 1))
    assert [Path(one.place).name for one in scan.find_new()] == ["theirs.txt"]


def test_one_look_reads_a_bounded_amount_and_the_next_goes_on(tmp_path: Path, redactor: Redactor) -> None:
    for number in range(15):
        (tmp_path / f"{number:02}.txt").write_text(f"{KEY}\n" + "x" * 1_900_000)
    scan = FolderScan(tmp_path, redactor.find)
    looks = [(len(scan.find_new()), scan.complete) for _ in range(3)]
    assert looks == [(10, False), (5, True), (0, True)]


def test_a_folder_that_is_not_there_has_no_secrets(tmp_path: Path, redactor: Redactor) -> None:
    assert FolderScan(tmp_path / "none", redactor.find).find_new() == ()


def test_one_folder_below_can_be_looked_at_alone_and_the_newest_come_first(tmp_path: Path, redactor: Redactor) -> None:
    for name in ("run-1", "run-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.md").write_text(KEY)
    scan = FolderScan(tmp_path, redactor.find, newest_first=True)
    assert [Path(one.place).parent.name for one in scan.find_new("run-1")] == ["run-1"]
    assert [Path(one.place).parent.name for one in scan.find_new()] == ["run-2"]
    anew = FolderScan(tmp_path, redactor.find, newest_first=True)
    assert [Path(one.place).parent.name for one in anew.find_new()] == ["run-2", "run-1"]

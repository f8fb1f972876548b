"""Patches as git really writes them, read for the page; and the reviewer's comments at their lines."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from orchestration.runs.patch_view import LineKind, PatchView, ReviewComment, patch_view, review_comments
from tests.support.repositories import git, make_repository

NAMES = ["a.py", "with space.txt", 'quo"tation.md', "tab\tbed.txt", "ünï/ço\\de.py", "deep/er/x y/ß.js", "no-end.txt"]


def changed(root: Path, seed: int) -> PatchView:
    """A repository, changed at random: the view of `git diff` against what is committed."""
    chance = random.Random(seed)
    for name in NAMES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line {number} of {name}\n" for number in range(60)))
    (root / "moved.txt").write_text("".join(f"stays {number}\n" for number in range(40)))
    (root / "gone.txt").write_text("one\ntwo\n")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "before")
    for name in NAMES:
        lines = (root / name).read_text().splitlines()
        for _ in range(chance.randint(1, 5)):
            place = chance.randrange(len(lines))
            edit = chance.choice(["+ plus\t", "- minus", "@@ -1 +1 @@", "diff --git a/x b/x", "", "\x0bform\x0c"])
            lines[place : place + chance.randint(0, 2)] = [edit] * chance.randint(0, 3)
        (root / name).write_text("\n".join(lines) + ("" if name == "no-end.txt" else "\n"))
    (root / "moved.txt").rename(root / "moved here.txt")
    (root / "gone.txt").unlink()
    (root / "empty.txt").touch()
    (root / "data.bin").write_bytes(bytes(range(256)))
    git(root, "add", "-A")
    return patch_view(git_diff(root, "--binary", "--find-renames"))


def git_diff(root: Path, *options: str) -> str:
    command = ["git", "-C", str(root), "diff", "--cached", *options]
    return subprocess.run(command, check=True, capture_output=True).stdout.decode()


@pytest.mark.parametrize("number", range(3))
def test_a_patch_is_read_as_git_counts_it(tmp_path: Path, number: int) -> None:
    seed = random.randrange(10**6) * 10 + number
    root = make_repository(tmp_path / "project")
    view = changed(root, seed)
    by_path = {file.path: file for file in view.files}
    assert set(by_path) == set(filter(None, git_diff(root, "--name-only", "-z").split("\0")))
    for line in filter(None, git_diff(root, "--numstat", "-z", "--no-renames").split("\0")):
        added, removed, name = line.split("\t", 2)
        if name in by_path and name != "moved here.txt" and added != "-":
            assert (by_path[name].added, by_path[name].removed) == (int(added), int(removed)), (seed, name)
    moved = by_path["moved here.txt"]
    assert (moved.how, moved.old_path) == ("renamed", "moved.txt")
    assert by_path["data.bin"].binary
    assert (by_path["gone.txt"].how, by_path["empty.txt"].how) == ("deleted", "added")
    for name in by_path.keys() & set(NAMES):
        lines = (root / name).read_text().split("\n")
        for hunk in by_path[name].hunks:
            assert all(lines[one.new - 1] == one.text for one in hunk.lines if one.new), (seed, name)
            beside = [one for pair in hunk.pairs() for one in pair if one]
            assert {id(one) for one in beside} == {id(one) for one in hunk.lines}


PATCH = """diff --git a/app.py b/app.py
--- a/app.py
+++ b/app.py
@@ -1,3 +1,3 @@ def f():
 one
-two
+TWO
 three
"""


def test_a_comment_stands_at_its_line_its_file_or_alone() -> None:
    at_line, at_file = ReviewComment("major", "why?", "./app.py", 2), ReviewComment("note", "hm", "app.py", 99)
    alone, elsewhere = ReviewComment("minor", "no test"), ReviewComment("note", "x", "other.py", 1)
    view = patch_view(PATCH, [at_line, at_file, alone, elsewhere])
    (file,) = view.files
    (line,) = [line for line in file.hunks[0].lines if line.comments]
    assert (line.kind, line.text, line.comments) == (LineKind.ADDED, "TWO", [at_line])
    assert file.comments == [at_file]
    assert view.comments == [alone, elsewhere]
    assert file.hunks[0].title == "def f():"


def test_remarks_of_those_who_approved_are_comments_too() -> None:
    outcome = {"findings": [{"severity": "major", "message": "a"}], "comments": [{"severity": "note", "message": "b"}]}
    assert [one.message for one in review_comments(outcome)] == ["a", "b"]
    assert review_comments(None) == ()


@pytest.mark.parametrize("patch", ["", "no patch at all\n", "diff --git \n", "diff --git a b\n@@ -x +y @@\n+", "\0"])
def test_what_is_no_patch_is_no_error(patch: str) -> None:
    assert patch_view(patch).comments == []

from __future__ import annotations

import difflib
import random

import pytest

from orchestration.agents.tools.patch_application import apply_hunks
from orchestration.agents.tools.patch_text import PatchError, parse_patch
from tests.unit.agents.test_replacement import CODE


def _applied(text: str, patch: str) -> str:
    (one,) = parse_patch(patch)
    return apply_hunks(text, one.hunks).text


EXPECTED = CODE.replace("return 3", "return 33")


@pytest.mark.parametrize(
    "patch",
    [
        "--- a/x.py\n+++ b/x.py\n@@ -8,3 +8,3 @@\n     if x:\n-        return 3\n+        return 33\n     return 4\n",
        # The wrong line, wrong counts, a fence, no blank before lines that stay, other indentation.
        "--- x.py\n+++ x.py\n@@ -100,9 +1,2 @@ def second\n     if x:\n-        return 3\n+        return 33\n",
        "```diff\n--- a/x.py\n+++ b/x.py\n@@\n def second(x):\n     if x:\n-        return 3\n+        return 33\n```",
        "--- a/x.py\n+++ b/x.py\n@@ ... @@\ndef second(x):\n    if x:\n-        return 3\n+        return 33\n",
        "--- a/x.py\n+++ b/x.py\n@@ -8 +8 @@\n   if x:\n-    return 3\n+    return 33\n",
        # The outermost line is wrong.
        "--- a/x.py\n+++ b/x.py\n@@ -7 +7 @@\n def zweite(x):\n     if x:\n-        return 3\n+        return 33\n",
        "*** Begin Patch\n*** Update File: x\n@@ f\n     if x:\n-        return 3\n+        return 33\n*** End Patch",
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -9 +9 @@\n-        return 3\n+        return 33\n\\ No newline\n",
    ],
)
def test_a_patch_is_applied_by_its_lines_and_only_once(patch: str) -> None:
    assert _applied(CODE, patch) == EXPECTED
    assert _applied(EXPECTED, patch) == EXPECTED


def test_files_are_made_deleted_and_renamed() -> None:
    made, gone, moved = parse_patch(
        "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1,2 @@\n+one = 1\n+two = 2\n"
        "--- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n"
        "diff --git a/old name.py b/new name.py\nrename from old name.py\nrename to new name.py\n"
    )
    assert (made.old, made.new, gone.old, gone.new) == (None, "new.py", "gone.py", None)
    assert (moved.old, moved.new) == ("old name.py", "new name.py")
    assert apply_hunks("", made.hunks).text == "one = 1\ntwo = 2\n"
    first, second = parse_patch(
        "*** Begin Patch\n*** Add File: a.txt\n+1\n*** Update File: b.txt\n*** Move to: c.txt\n@@\n-x\n+y\n"
    )
    assert (first.old, first.new, second.old, second.new) == (None, "a.txt", "b.txt", "c.txt")


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ("change line 3, please", "no change in this patch"),
        ("--- a/x\n+++ b/x\n@@\n-    return 7\n+    return 8\n", "hunk 1 of 1 does not fit.*nearest are lines"),
        ("--- a/x\n+++ b/x\n@@\n     if x:\n+        pass\n", "found 2 times, at lines 2, 8"),
        ("--- a/x\n+++ b/x\n@@\n+pass\n", "has to show the lines around"),
    ],
)
def test_what_is_in_doubt_is_refused_with_the_reason(patch: str, said: str) -> None:
    with pytest.raises(PatchError, match=f"(?s){said}"):
        _applied(CODE, patch)


@pytest.mark.parametrize("seed", range(60))
def test_any_change_arrives_through_a_patch_with_wrong_numbers(seed: int) -> None:
    chance = random.Random(seed)
    before = [f"line {number} = {chance.randrange(9)}\n" for number in range(chance.randrange(3, 60))]
    after = list(before)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(after) + 1)
        match chance.randrange(3):
            case 0:
                after.insert(at, f"added {chance.random()}\n")
            case 1:
                del after[at : at + 1]
            case _:
                after[at : at + 1] = [f"changed {chance.random()}\n"]
    lines = list(difflib.unified_diff(before, after, "a/x", "b/x"))
    moved = [line if not line.startswith("@@") else f"@@ -{chance.randrange(90)},3 +1 @@\n" for line in lines]
    if lines:
        assert _applied("".join(before), "".join(moved)) == "".join(after)

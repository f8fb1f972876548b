from __future__ import annotations

from orchestration.agents.patches import is_binary, readable, sections

TEXT = b"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-a\n+ol\xe9\n"
BINARY = b"diff --git a/x.bin b/x.bin\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZ\n\n"


def test_the_parts_of_a_patch_are_the_patch() -> None:
    assert sections(b"") == []
    assert sections(TEXT + BINARY + TEXT) == [TEXT, BINARY, TEXT]
    assert [is_binary(part) for part in sections(TEXT + BINARY)] == [False, True]


def test_agents_read_text_and_the_names_of_the_rest() -> None:
    assert readable(b"") == ""
    shown = readable(TEXT + BINARY)
    assert "+ol\ufffd\n" in shown
    assert "index 1..2 100644\n(binary)\n" in shown
    assert "literal" not in shown
    long = b"diff --git a/l b/l\n" + b"+line\n" * 60_000
    shown = readable(TEXT + long + BINARY)
    assert "1 changed files are too long to be shown here" in shown
    assert "\na/l b/l\n" in shown
    # Whole files only: nothing is cut in the middle of a line.
    assert "+line" not in shown
    assert "(binary)" in shown

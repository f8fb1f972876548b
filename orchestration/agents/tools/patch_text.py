"""Reading patches as models write them: unified diffs with wrong numbers, and the `*** Begin Patch` form. Pure.

Line numbers and counts are hints at best: a hunk is found by its lines. The other form is that of OpenAI's models:
https://cookbook.openai.com/examples/gpt4-1_prompting_guide
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from orchestration.agents.tools.replacement import without_fence

_HUNK = re.compile(r"^@@(?:\s*-(\d+)(?:,\d+)?\s+\+\d+(?:,\d+)?)?\s*(?:@@.*)?|^@@.*")
_OTHER = re.compile(r"\*\*\* (Update|Add|Delete) File: (.+)")
_GIT = re.compile(r'diff --git "?a/(.+?)"? "?b/(.+?)"?$')
_NO_FILE = "/dev/null"


class PatchError(ValueError):
    """The patch cannot be read or applied; the message tells the model why."""


@dataclass(slots=True)
class Hunk:
    """Lines to replace: each with " ", "-" or "+" and its text. `line` is where they are said to begin, from 1."""

    line: int | None
    ops: list[tuple[str, str]] = field(default_factory=list)

    @property
    def old(self) -> list[str]:
        return [text for op, text in self.ops if op != "+"]

    @property
    def new(self) -> list[str]:
        return [text for op, text in self.ops if op != "-"]

    @property
    def changes(self) -> bool:
        return any(op != " " for op, _ in self.ops)


@dataclass(slots=True)
class FilePatch:
    """What a patch does with one file: `old` is None for a new file, `new` for one that is deleted."""

    old: str | None
    new: str | None
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def path(self) -> str:
        return self.new or self.old or ""


def parse_patch(text: str) -> list[FilePatch]:
    """The files of a patch. Raises PatchError."""
    files: list[FilePatch] = []
    for line in without_fence(text).replace("\r\n", "\n").split("\n"):
        _Reader(files).read(line)
    found = [one for one in files if one.hunks or one.old != one.new]
    if not found:
        raise PatchError(
            "there is no change in this patch. Write a unified diff:\n"
            "--- a/path\n+++ b/path\n@@ -1,2 +1,2 @@\n a line that stays\n-the old line\n+the new line"
        )
    for one in found:
        one.hunks = [_without_blank_end(hunk) for hunk in one.hunks if hunk.changes]
    return found


class _Reader:
    """Adds one line to what was read so far."""

    def __init__(self, files: list[FilePatch]) -> None:
        self._files = files

    def read(self, line: str) -> None:
        hunk = self._hunk()
        # A deleted line may begin with "-- " and look like the head of a file, but not right before "+++".
        if self._header(line) or hunk is None:
            return
        if line.startswith("\\"):  # "\ No newline at end of file"
            return
        if line[:1] in (" ", "-", "+"):
            hunk.ops.append((line[0], line[1:]))
        else:
            # Models leave out the blank before lines that stay, most of all before empty ones.
            hunk.ops.append((" ", line))

    def _hunk(self) -> Hunk | None:
        return self._files[-1].hunks[-1] if self._files and self._files[-1].hunks else None

    def _header(self, line: str) -> bool:
        return self._unified(line) or self._other(line)

    def _unified(self, line: str) -> bool:
        if (found := _GIT.match(line)) is not None:
            self._files.append(FilePatch(found.group(1), found.group(2)))
        elif line.startswith("--- "):
            self._old(_name(line))
        elif line.startswith("+++ ") and self._files:
            self._files[-1].new = _name(line)
        elif line.startswith("@@") and self._files:
            match = _HUNK.match(line)
            number = match.group(1) if match else None
            self._files[-1].hunks.append(Hunk(int(number) if number else None))
        else:
            return self._extended(line)
        return True

    def _old(self, name: str | None) -> None:
        latest = self._files[-1] if self._files else None
        if latest is None or latest.hunks:
            self._files.append(FilePatch(name, name))
        else:  # after `diff --git`
            latest.old = name

    def _extended(self, line: str) -> bool:
        """Lines between `diff --git` and the first hunk."""
        if not self._files or self._files[-1].hunks:
            return False
        latest = self._files[-1]
        if line.startswith("new file mode"):
            latest.old = None
        elif line.startswith("deleted file mode"):
            latest.new = None
        elif line.startswith("rename from "):
            latest.old = line.removeprefix("rename from ")
        elif line.startswith("rename to "):
            latest.new = line.removeprefix("rename to ")
        return True

    def _other(self, line: str) -> bool:
        if (found := _OTHER.match(line)) is not None:
            kind, path = found.group(1), found.group(2).strip()
            self._files.append(FilePatch(None if kind == "Add" else path, None if kind == "Delete" else path))
            if kind != "Delete":
                self._files[-1].hunks.append(Hunk(None))
        elif line.startswith("*** Move to: ") and self._files:
            self._files[-1].new = line.removeprefix("*** Move to: ").strip()
        else:
            return line.startswith(("*** Begin Patch", "*** End Patch", "*** End of File"))
        return True


def _name(line: str) -> str | None:
    """The path in a line such as `--- a/path<tab>date`."""
    name = line[4:].split("\t", maxsplit=1)[0].strip().strip('"')
    return None if name == _NO_FILE else re.sub(r"^[ab]/", "", name)


def _without_blank_end(hunk: Hunk) -> Hunk:
    """Without the empty lines that end the text of the patch rather than belong to it."""
    while hunk.ops and hunk.ops[-1] == (" ", ""):
        hunk.ops.pop()
    return hunk


def paths(files: Iterable[FilePatch]) -> Iterator[str]:
    """Every path that the patch names."""
    for one in files:
        yield from {name for name in (one.old, one.new) if name}

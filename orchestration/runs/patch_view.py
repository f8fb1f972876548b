"""A patch as it is shown: files, hunks and lines, with a reviewer's comments at the lines that they are about. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)")
# Quoted names hold bytes that are not printable as three octal digits (core.quotePath in `git help config`).
_OCTAL = re.compile(r"\\([0-3][0-7]{2}|.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


class LineKind(StrEnum):
    """What a patch says of a line."""

    CONTEXT = "context"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class ReviewComment:
    """What a reviewer says, about a file and a line of it, or about neither."""

    severity: str
    message: str
    file: str | None = None
    line: int | None = None


@dataclass(slots=True)
class PatchLine:
    """One line, with its number before and after."""

    kind: LineKind
    text: str
    old: int | None
    new: int | None
    comments: list[ReviewComment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PatchHunk:
    """Lines that follow each other in a file; `title` says where in the file they are, such as a function."""

    title: str
    lines: Sequence[PatchLine]

    def pairs(self) -> Iterator[tuple[PatchLine | None, PatchLine | None]]:
        """The lines side by side: what was removed beside what was added in its place."""
        removed: list[PatchLine] = []
        added: list[PatchLine] = []
        for line in self.lines:
            if line.kind is LineKind.CONTEXT:
                yield from _beside(removed, added)
                yield line, line
            else:
                (removed if line.kind is LineKind.REMOVED else added).append(line)
        yield from _beside(removed, added)


@dataclass(slots=True)
class PatchFile:
    """What a patch changes in one file. `comments` are about the file, or about lines that the patch does not show."""

    path: str
    how: str
    hunks: Sequence[PatchHunk]
    binary: bool = False
    old_path: str = ""
    comments: list[ReviewComment] = field(default_factory=list)

    @property
    def added(self) -> int:
        return self._count(LineKind.ADDED)

    @property
    def removed(self) -> int:
        return self._count(LineKind.REMOVED)

    @property
    def length(self) -> int:
        """How many lines are shown of it."""
        return sum(len(hunk.lines) for hunk in self.hunks)

    def _count(self, kind: LineKind) -> int:
        return sum(line.kind is kind for hunk in self.hunks for line in hunk.lines)


@dataclass(frozen=True, slots=True)
class PatchView:
    """A whole patch. `comments` are about no file of it."""

    files: Sequence[PatchFile]
    comments: Sequence[ReviewComment]

    @property
    def added(self) -> int:
        return sum(one.added for one in self.files)

    @property
    def removed(self) -> int:
        return sum(one.removed for one in self.files)


def review_comments(outcome: Mapping[str, Any] | None) -> tuple[ReviewComment, ...]:
    """What the reviewers of a run have said in the end: what they still ask for, and remarks of those who approved."""
    found = [one for name in ("findings", "comments") for one in (outcome or {}).get(name) or ()]
    return tuple(ReviewComment(one["severity"], one["message"], one.get("file"), one.get("line")) for one in found)


def patch_view(patch: str, comments: Iterable[ReviewComment] = ()) -> PatchView:
    """Read a patch as git writes it, and put each comment where it belongs."""
    files = [_file(section) for section in _sections(patch)]
    by_path = {one.path: one for one in files}
    loose = []
    for comment in comments:
        file = by_path.get((comment.file or "").removeprefix("./"))
        if file is None:
            loose.append(comment)
        else:
            _place(file, comment)
    return PatchView(files, loose)


def _place(file: PatchFile, comment: ReviewComment) -> None:
    for hunk in file.hunks:
        for line in hunk.lines:
            if comment.line is not None and line.new == comment.line:
                line.comments.append(comment)
                return
    file.comments.append(comment)


def _sections(patch: str) -> Iterator[list[str]]:
    section: list[str] = []
    # Not `splitlines`, which also ends lines at characters that are part of them.
    for line in patch.split("\n"):
        if line.startswith("diff --git ") and section:
            yield section
            section = []
        if section or line.startswith("diff --git "):
            section.append(line)
    if section:
        if section[-1] == "":
            section.pop()
        yield section


def _file(section: Sequence[str]) -> PatchFile:
    head = list(_head(section))
    fields = dict(one for one in (_named(line) for line in head) if one is not None)
    old, new = fields.get("---", "/dev/null"), fields.get("+++", "/dev/null")
    path = _without_prefix(new if new != "/dev/null" else old)
    how = "changed"
    if any(line.startswith("new file") for line in head):
        how = "added"
    elif any(line.startswith("deleted file") for line in head):
        how = "deleted"
    elif "rename to" in fields:
        how = "renamed"
    if "rename to" in fields:
        path = fields["rename to"]
    elif path == "/dev/null":
        path = _of_first_line(head[0])
    binary = any(line.startswith(("Binary files ", "GIT binary patch")) for line in head)
    return PatchFile(path, how, tuple(_hunks(section[len(head) :])), binary, fields.get("rename from", ""))


def _head(section: Sequence[str]) -> Iterator[str]:
    for line in section:
        if line.startswith("@@ "):
            return
        yield line


def _named(line: str) -> tuple[str, str] | None:
    for name in ("---", "+++", "rename from", "rename to"):
        if line.startswith(f"{name} "):
            return name, _unquoted(line.removeprefix(f"{name} ").rstrip("\t"))
    return None


def _unquoted(name: str) -> str:
    if not (name.startswith('"') and name.endswith('"') and len(name) > 1):
        return name
    parts = _OCTAL.split(name[1:-1])
    # Every second part is what follows a backslash.
    raw = b"".join(_byte(part) if place % 2 else part.encode() for place, part in enumerate(parts))
    return raw.decode("utf-8", "replace")


def _byte(escape: str) -> bytes:
    return bytes([int(escape, 8)]) if len(escape) == 3 else _ESCAPES.get(escape, escape).encode()


def _without_prefix(name: str) -> str:
    return name[2:] if name.startswith(("a/", "b/")) else name


def _of_first_line(line: str) -> str:
    """The name in `diff --git a/NAME b/NAME`, which both halves repeat."""
    names = line.removeprefix("diff --git ")
    return _without_prefix(_unquoted(names[len(names) // 2 + 1 :]))


def _hunks(lines: Sequence[str]) -> Iterator[PatchHunk]:
    title, found, old, new = "", list[PatchLine](), 0, 0
    for line in lines:
        if head := _HUNK.match(line):
            if found:
                yield PatchHunk(title, found)
            title, found, old, new = head[3], [], int(head[1]), int(head[2])
        elif line.startswith("+"):
            found.append(PatchLine(LineKind.ADDED, line[1:], None, new))
            new += 1
        elif line.startswith("-"):
            found.append(PatchLine(LineKind.REMOVED, line[1:], old, None))
            old += 1
        elif not line.startswith("\\"):  # `\ No newline at end of file`
            found.append(PatchLine(LineKind.CONTEXT, line[1:], old, new))
            old, new = old + 1, new + 1
    if found:
        yield PatchHunk(title, found)


def _beside(removed: list[PatchLine], added: list[PatchLine]) -> Iterator[tuple[PatchLine | None, PatchLine | None]]:
    for place in range(max(len(removed), len(added))):
        yield (removed[place] if place < len(removed) else None), (added[place] if place < len(added) else None)
    removed.clear()
    added.clear()

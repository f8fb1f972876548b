"""Patches: their parts, what of them agents get to read, and the message of a run's commit. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.storage.runs import Run

_FILE = b"diff --git "
_BINARY = b"\nGIT binary patch\n"
# About 60,000 tokens. Longer patches are read file by file.
_MOST_CHARACTERS = 200_000
_MOST_NAMED = 200
_SUBJECT = 72


def sections(patch: bytes) -> list[bytes]:
    """The parts of a patch, one for each file; together they are the patch."""
    if not patch:
        return []
    starts = [0]
    at = patch.find(b"\n" + _FILE)
    while at >= 0:
        starts.append(at + 1)
        at = patch.find(b"\n" + _FILE, at + 1)
    return [patch[start:end] for start, end in zip(starts, [*starts[1:], len(patch)], strict=True)]


def is_binary(section: bytes) -> bool:
    """Whether a part of a patch is about a file that is not text."""
    return _BINARY in section[:4096]


def readable(patch: bytes) -> str:
    """The patch as text. Data of binary files is left out, and whole files that do not fit are only named."""
    shown: list[str] = []
    named: list[str] = []
    used = 0
    for section in sections(patch):
        data = section[: section.index(_BINARY) + 1] + b"(binary)\n" if is_binary(section) else section
        text = data.decode("utf-8", "replace")
        if used + len(text) > _MOST_CHARACTERS:
            named.append(text.partition("\n")[0].removeprefix("diff --git "))
            continue
        used += len(text)
        shown.append(text)
    if named:
        more = [f"and {len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
        lines = [f"{len(named)} changed files are too long to be shown here; read them in the workspace:"]
        shown.append("\n".join([*lines, *named[:_MOST_NAMED], *more]) + "\n")
    return "".join(shown)


def commit_message(run: Run, left_out: Sequence[str]) -> str:
    """The message of the commit with what a run has changed."""
    goal = run.goal.strip()
    first = goal.partition("\n")[0]
    subject = first if len(first) <= _SUBJECT else f"{first[: _SUBJECT - 1].rstrip()}…"
    body = [goal] if goal != subject else []
    if left_out:
        names = ", ".join(path.encode("utf-8", "replace").decode() for path in left_out)
        body.append(f"Left out, since a secret is in it: {names}")
    return "\n\n".join([subject, *body, f"Run-Id: {run.id}"]) + "\n"

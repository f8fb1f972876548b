"""Applying the hunks of a patch to a text, wherever their lines are. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.agents.tools.excerpt import numbered
from orchestration.agents.tools.line_match import LineMatch, fitted, nearest_miss, places, split_lines
from orchestration.agents.tools.patch_text import Hunk, PatchError
from orchestration.agents.tools.replacement import with_lines

# Lines at the edges of a hunk that may be wrong, as with the fuzz of patch(1).
_FUZZ = 2


@dataclass(frozen=True, slots=True)
class Applied:
    """The text after a patch, its first changed line, and how many of the hunks had been applied before."""

    text: str
    line: int
    repeated: int


def apply_hunks(text: str, hunks: Sequence[Hunk]) -> Applied:
    """Apply every hunk. Raises PatchError, which names the first that does not fit."""
    first, repeated, below = None, 0, 0
    for number, hunk in enumerate(hunks, 1):
        lines = split_lines(text)
        found = _find(lines, hunk, below)
        if found is None:
            if not _is_done(lines, hunk):
                raise PatchError(_misfit(lines, hunk, number, len(hunks)))
            repeated += 1
            continue
        start, end, changed = found
        text = with_lines(text, start, end, changed)
        below = start + len(changed)
        first = start + 1 if first is None else first
    return Applied(text, first or 1, repeated)


def _find(lines: Sequence[str], hunk: Hunk, below: int) -> tuple[int, int, list[str]] | None:
    """Which lines to replace by which. Hunks come in order: what is below the last one goes first."""
    if not hunk.old:
        if lines and hunk.line is None:
            raise PatchError("a hunk that only adds lines has to show the lines around them")
        at = min(hunk.line or 0, len(lines))
        return None if hunk.new == list(lines[at : at + len(hunk.new)]) else (at, at, hunk.new)
    for trimmed in _variants(hunk):
        old = trimmed.old
        found = places(lines, old)
        chosen = _choose([match for match in found if match.start >= below] or found, trimmed.line)
        if chosen is not None and not _is_within_new(lines, trimmed, chosen):
            return chosen.start, chosen.end, fitted(lines, chosen, old, trimmed.new)
    return None


def _variants(hunk: Hunk) -> list[Hunk]:
    """The hunk, and the same with fewer lines around the change."""
    head = next(index for index, (op, _) in enumerate(hunk.ops) if op != " ")
    tail = next(index for index, (op, _) in enumerate(reversed(hunk.ops)) if op != " ")
    found = [hunk]
    for fuzz in range(1, _FUZZ + 1):
        before, after = min(fuzz, head), min(fuzz, tail)
        ops = hunk.ops[before : len(hunk.ops) - after]
        line = None if hunk.line is None else hunk.line + before
        # With nothing left to find it by, a hunk could go anywhere.
        if any(op != "+" and text.strip() for op, text in ops):
            found.append(Hunk(line, ops))
    return found


def _choose(found: Sequence[LineMatch], line: int | None) -> LineMatch | None:
    """The only place, or of several the one nearest to the line that the hunk names."""
    if len(found) <= 1:
        return found[0] if found else None
    if line is None:
        numbers = ", ".join(str(match.start + 1) for match in found[:10])
        raise PatchError(
            f"the lines of a hunk were found {len(found)} times, at lines {numbers}; show more lines around the change"
        )
    return min(found, key=lambda match: abs(match.start + 1 - line))


def _is_within_new(lines: Sequence[str], hunk: Hunk, match: LineMatch) -> bool:
    """Whether the old lines are only there as a part of the new ones: the hunk was applied before."""
    new = [line.strip() for line in hunk.new]
    if len(new) <= len(hunk.old):
        return False
    window = [line.strip() for line in lines[max(0, match.start - len(new)) : match.end + len(new)]]
    return any(window[start : start + len(new)] == new for start in range(len(window) - len(new) + 1))


def _is_done(lines: Sequence[str], hunk: Hunk) -> bool:
    if not hunk.old:
        return True
    # A single line says little about the place.
    return any(
        sum(bool(line.strip()) for line in one.new) > (one is not hunk) and places(lines, one.new)
        for one in _variants(hunk)
    )


def _misfit(lines: Sequence[str], hunk: Hunk, number: int, count: int) -> str:
    said = f"hunk {number} of {count} does not fit: its old lines are not in the file"
    miss = nearest_miss(lines, hunk.old)
    if miss is None:
        return f"{said}, nor anything like them; read the file again"
    shown = numbered(lines[miss.start : miss.end], miss.start + 1)
    return f"{said}. The nearest are lines {miss.start + 1} to {miss.end}, {miss.likeness:.0%} alike:\n{shown}"

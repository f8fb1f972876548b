"""Long texts for a model: lines with numbers, and the head and the end of what is too long. Pure."""

from __future__ import annotations

from collections.abc import Sequence

# A longer line is minified code or data. No model edits it by looking at it.
_LONGEST_LINE = 2000


def numbered(lines: Sequence[str], first: int) -> str:
    """The lines with their numbers before a tab, as `cat -n` writes them."""
    return "\n".join(f"{number:>6}\t{shortened(line)}" for number, line in enumerate(lines, first))


def shortened(line: str) -> str:
    """The beginning of a line that is too long, and how much more there is of it."""
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}[… {len(line) - _LONGEST_LINE:,} more]"


def fitting(lines: Sequence[str], characters: int) -> int:
    """How many of the lines, from the first on, fit into so many characters; at least one."""
    used = 0
    for count, line in enumerate(lines):
        used += min(len(line), _LONGEST_LINE) + 8
        if used > characters and count:
            return count
    return len(lines)


def head_and_end(lines: Sequence[str], characters: int, head_share: float) -> tuple[int, int]:
    """Which lines to leave out so that the rest fits: from the first index up to the second; equal if all fit."""
    if fitting(lines, characters) == len(lines):
        return len(lines), len(lines)
    head = fitting(lines, int(characters * head_share))
    end = fitting(lines[:head:-1], characters - int(characters * head_share))
    return head, max(head, len(lines) - end)

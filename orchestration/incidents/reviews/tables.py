"""Markdown for reviews, safe for text that comes from elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

_CONTROLS = dict.fromkeys((*range(32), 127, *range(128, 160), 8232, 8233, *range(8234, 8239)), " ")


def section(title: str, lines: Iterable[str]) -> str:
    """A section of the review."""
    return f"## {title}\n\n" + "\n".join(lines)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], otherwise: str = "") -> list[str]:
    """The lines of a table; `otherwise` where it has no rows."""
    lines = ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    head = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    return [*head, *lines] if lines else [otherwise]


def cell(value: object) -> str:
    """Text that cannot break out of a table's cell."""
    return " ".join(str(value).translate(_CONTROLS).split()).replace("|", "\\|")


def code(lines: Iterable[str]) -> list[str]:
    """A block of quoted text that cannot end the block."""
    return ["```text", *(line.translate(_CONTROLS).replace("```", "'''") for line in lines), "```"]


def moment(at: datetime | None) -> str:
    """A time in UTC, to the second."""
    return "Unknown" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"

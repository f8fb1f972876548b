"""The lines of a briefing, as the console shows them; for a project and for a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestration.incidents.brief import BriefingLine


def labelled(lines: Iterable[BriefingLine]) -> Iterator[str]:
    """Lines with their labels in a column; of neighbours with one label, the first shows it."""
    last = ""
    for line in lines:
        shown = "" if line.label == last and line.label == "now" else line.label
        yield f"  {shown:10} {_indented(line.text)}"
        last = line.label


def _indented(text: str) -> str:
    return text.replace("\n", "\n" + " " * 13)

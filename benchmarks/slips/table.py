"""The results as Markdown: one line a contender, one table of the behaviours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmarks.slips.behaviours import Wanted
from benchmarks.slips.holding import End, Result

_COLUMNS = (
    "version",
    "behaviours",
    "finished right",
    "of those that can be decided",
    "failed honestly",
    "silently wrong",
    "crashed",
    "calls of a finished run, flawless = 1",
    "tokens a run",
)


def summary(results: Sequence[Result]) -> str:
    """How the runs of each contender ended, counted over all behaviours and over those that can be decided."""
    head = "| | " + " | ".join(_COLUMNS) + " |\n| --- | --- |" + " ---: |" * (len(_COLUMNS) - 1)
    versions = {one.contender: one.version for one in results}
    return "\n".join([head, *(_line(results, name, version) for name, version in versions.items())])


def _line(results: Sequence[Result], name: str, version: str) -> str:
    own = [one for one in results if one.contender == name]
    ends = Counter(one.end for one in own)
    decidable = [one for one in own if one.wanted is Wanted.RIGHT]
    right = sum(one.end is End.RIGHT for one in decidable)
    share = f"{right} of {len(decidable)} ({right / max(1, len(decidable)):.0%})"
    cells = [
        *(name, version, len(own), ends[End.RIGHT], share),
        *(ends[End.HONEST], ends[End.SILENT], ends[End.CRASHED]),
        *(f"{_calls(own):.2f}", round(sum(one.tokens for one in own) / max(1, len(own)))),
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def _calls(own: Sequence[Result]) -> float:
    """Model calls of the runs of the whole workflow that finished, by those of the flawless model."""
    base = next((one.calls for one in own if one.name == "flawless"), 0) or 1
    finished = [one.calls for one in own if one.end is End.RIGHT and not one.name.startswith("text: ")]
    return sum(finished) / max(1, len(finished)) / base


_SHORT = {End.RIGHT: "right", End.HONEST: "failed", End.SILENT: "silently wrong", End.CRASHED: "crashed"}


def behaviours_table(results: Sequence[Result]) -> str:
    """Each behaviour with its source, whether it can be decided and why, and how each contender came out with how many
    model calls; bold where that is not as it should be."""
    names = list(dict.fromkeys(one.contender for one in results))
    by_name: dict[str, dict[str, Result]] = {}
    for one in results:
        by_name.setdefault(one.name, {})[one.contender] = one
    lines = [
        f"| behaviour | reported in | can be decided | {' | '.join(names)} |",
        f"| --- | --- | --- |{' --- |' * len(names)}",
    ]
    for name, held in by_name.items():
        first = next(iter(held.values()))
        decidable = f"{'yes' if first.wanted is Wanted.RIGHT else 'no'}: {first.why}"
        cells = [_cell(held.get(contender)) for contender in names]
        lines.append(f"| {name} | {first.source} | {decidable} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(one: Result | None) -> str:
    if one is None:
        return ""
    end = _SHORT[one.end] if one.good else f"**{_SHORT[one.end]}**"
    return f"{end}, {one.calls}"

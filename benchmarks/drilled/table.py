"""The table of all outcomes, in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.drilled.model import Fault, Outcome

_HEAD = ("fault", "", "detected", "resolved", "job finishes", "lost", "repeated", "calls again", "a person has to")


def markdown(faults: Iterable[Fault], outcomes: Iterable[Outcome], titles: Mapping[str, str]) -> str:
    """One row for each fault and contender, in the order of the faults and then of the titles."""
    found = {(one.fault, one.contender): one for one in outcomes}
    rows = [_HEAD, tuple("---" for _ in _HEAD)]
    for fault in faults:
        title = fault.title
        for name, shown in titles.items():
            if outcome := found.get((fault.name, name)):
                rows.append((title, shown, *_cells(outcome)))
                title = ""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(one: Outcome) -> tuple[str, ...]:
    counts = (str(one.lost), str(one.repeated), str(one.calls_repeated))
    detected = one.sign if one.detected is None and one.sign else _seconds(one.detected)
    return (detected, _seconds(one.resolved), _finished(one), *counts, one.person)


def _finished(one: Outcome) -> str:
    after = "" if one.finished_after is None else f", {_seconds(one.finished_after)}"
    return "; ".join([f"yes{after}" if one.finished else "no", *one.notes])


def _seconds(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f} s"

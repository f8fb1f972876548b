"""The playbook's measures. Each figure names its variant, since the field disagrees about every one of them.

Always with n, median and 90th percentile: means of such times are poor for trends (Davidovič, Incident Metrics in SRE,
2021). Drills, false alarms and duplicates never count. Pure but for `Statistics`, which asks the database.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain

from orchestration.storage.incident_statistics import (
    MEASURES,
    CountRow,
    IncidentFigures,
    Selection,
    TargetRow,
)


class Measure(StrEnum):
    """What is measured, by the column that holds its seconds; in the order of `MEASURES`."""

    MTTD = "seconds_to_detect"
    MTTA = "seconds_to_acknowledge"
    MTTA_AUTOMATION = "seconds_to_automation"
    MTTR = "seconds_to_resolve"
    MTTR_IMPACT = "seconds_of_impact"

    @property
    def label(self) -> str:
        """How it is called."""
        return _NAMES[self][0]

    @property
    def variant(self) -> str:
        """From what to what."""
        return _NAMES[self][1]


_NAMES = {
    Measure.MTTD: ("MTTD", "detected − impact started, where the start is known"),
    Measure.MTTA: ("MTTA", "first acknowledgement by a person − detected"),
    Measure.MTTA_AUTOMATION: ("MTTA of automation", "automation began − detected"),
    Measure.MTTR: ("MTTR", "last resolved − detected"),
    Measure.MTTR_IMPACT: ("MTTR from impact", "last resolved − impact started, where the start is known"),
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What many values come to; nothing of none."""

    n: int = 0
    mean: float | None = None
    median: float | None = None
    p90: float | None = None


Summaries = Mapping[str, Summary]


@dataclass(frozen=True, slots=True)
class Figure:
    """A measure in seconds. `coverage` is the share of the incidents that it could be worked out for; `invalid` counts
    those left out because their times contradict each other. Without any value the figures are None, never 0."""

    measure: Measure
    title: str
    variant: str
    n: int
    mean: float | None
    median: float | None
    p90: float | None
    coverage: float
    invalid: int


@dataclass(frozen=True, slots=True)
class Compliance:
    """A target: met ÷ (met + breached). Open past its deadline is breached, open within it is left out."""

    target: str
    met: int
    breached: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Resolved incidents whose trouble returned as a new one within the recurrence window ÷ resolved incidents."""

    recurred: int
    resolved: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """The figures of one severity, scenario or month; of all incidents where `name` is empty."""

    name: str
    count: int
    figures: tuple[Figure, ...]
    compliance: tuple[Compliance, ...]
    recurrence: Recurrence


@dataclass(frozen=True, slots=True)
class StatisticsReport:
    """All together, and split by one thing."""

    since: datetime | None
    until: datetime | None
    by: str
    total: Group
    groups: tuple[Group, ...]


_NOTHING = CountRow("", 0, 0, 0, (0,) * len(MEASURES))


class Statistics:
    """The figures of the incidents in the database. Its time grows with the incidents selected, not with all."""

    def __init__(self, figures: IncidentFigures) -> None:
        self._figures = figures

    def report(self, selection: Selection, by: str, now: datetime) -> StatisticsReport:
        """The figures as of `now`, split by `severity`, `scenario` or `month`."""
        values = self._figures.values(selection, by)
        summaries = [
            _summaries({name: each[number] for name, each in values.items()}) for number in range(len(Measure))
        ]
        total = self._groups(selection, None, now, summaries)
        nothing = _group(_NOTHING, summaries, ())
        groups = self._groups(selection, by, now, summaries)
        return StatisticsReport(selection.since, selection.until, by, total[0] if total else nothing, groups)

    def _groups(
        self, selection: Selection, by: str | None, now: datetime, summaries: Sequence[Summaries]
    ) -> tuple[Group, ...]:
        counts = self._figures.counts(selection, by)
        targets = self._figures.targets(selection, by, now)
        return tuple(_group(count, summaries, targets) for count in sorted(counts, key=lambda row: row.group))


def summarise(values: Iterable[float]) -> Summary:
    """The mean of the one or two in the middle is the median; the 90th percentile is the nearest rank."""
    ranked = sorted(values)
    n = len(ranked)
    if n == 0:
        return Summary()
    median = (ranked[(n - 1) // 2] + ranked[n // 2]) / 2
    return Summary(n, math.fsum(ranked) / n, median, ranked[math.ceil(0.9 * n) - 1])


def share(part: int, whole: int) -> float | None:
    """A share from 0 to 1; None of nothing."""
    return part / whole if whole else None


def _summaries(values: Mapping[str, Iterable[float]]) -> Summaries:
    """Of each group, and of all together under the empty name."""
    together = {"": summarise(chain.from_iterable(values.values()))}
    return together | {name: summarise(each) for name, each in values.items()}


def _group(count: CountRow, summaries: Sequence[Summaries], targets: Sequence[TargetRow]) -> Group:
    figures = zip(Measure, summaries, count.invalid, strict=True)
    return Group(
        name=count.group,
        count=count.total,
        figures=tuple(
            _figure(measure, found.get(count.group, Summary()), count.total, bad) for measure, found, bad in figures
        ),
        compliance=_compliance([row for row in targets if row.group == count.group]),
        recurrence=Recurrence(count.recurred, count.resolved, share(count.recurred, count.resolved)),
    )


def _figure(measure: Measure, summary: Summary, total: int, invalid: int) -> Figure:
    return Figure(
        measure=measure,
        title=measure.label,
        variant=measure.variant,
        n=summary.n,
        mean=summary.mean,
        median=summary.median,
        p90=summary.p90,
        coverage=share(summary.n, total) or 0.0,
        invalid=invalid,
    )


def _compliance(rows: Sequence[TargetRow]) -> tuple[Compliance, ...]:
    return tuple(Compliance(row.target, row.met, row.breached, share(row.met, row.met + row.breached)) for row in rows)

"""The playbook's measures. Each figure names its variant, since the field disagrees about every one of them.

Always with n, median and 90th percentile: means of such times are poor for trends (Davidovič, Incident Metrics in SRE,
2021). Drills, false alarms and duplicates never count. Pure but for `Statistics`, which asks the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestration.storage.incident_statistics import (
    MEASURES,
    CountRow,
    IncidentFigures,
    MeasureRow,
    Selection,
    TargetRow,
)


class Measure(StrEnum):
    """What is measured, by the column that holds its seconds."""

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


class Statistics:
    """The figures of the incidents in the database. Its time grows with the incidents selected, not with all."""

    def __init__(self, figures: IncidentFigures) -> None:
        self._figures = figures

    def report(self, selection: Selection, by: str, now: datetime) -> StatisticsReport:
        """The figures as of `now`, split by `severity`, `scenario` or `month`."""
        total = self._groups(selection, None, now)
        nothing = group(CountRow("", 0, 0, 0, (0,) * len(MEASURES)), (), ())
        groups = self._groups(selection, by, now)
        return StatisticsReport(selection.since, selection.until, by, total[0] if total else nothing, groups)

    def _groups(self, selection: Selection, by: str | None, now: datetime) -> tuple[Group, ...]:
        counts = self._figures.counts(selection, by)
        measures = self._figures.measures(selection, by)
        targets = self._figures.targets(selection, by, now)
        return tuple(group(count, measures, targets) for count in sorted(counts, key=lambda row: row.group))


def group(count: CountRow, measures: Iterable[MeasureRow], targets: Iterable[TargetRow]) -> Group:
    """One group, from what the database counted for all of them."""
    of_group = {row.measure: row for row in measures if row.group == count.group}
    return Group(
        name=count.group,
        count=count.total,
        figures=tuple(
            _figure(measure, of_group.get(measure.value), count, count.invalid[MEASURES.index(measure.value)])
            for measure in Measure
        ),
        compliance=_compliance([row for row in targets if row.group == count.group]),
        recurrence=Recurrence(count.recurred, count.resolved, share(count.recurred, count.resolved)),
    )


def share(part: int, whole: int) -> float | None:
    """A share from 0 to 1; None of nothing."""
    return part / whole if whole else None


def _figure(measure: Measure, row: MeasureRow | None, count: CountRow, invalid: int) -> Figure:
    n = row.n if row else 0
    return Figure(
        measure=measure,
        title=measure.label,
        variant=measure.variant,
        n=n,
        mean=row.mean if row else None,
        median=row.median if row else None,
        p90=row.p90 if row else None,
        coverage=share(n, count.total) or 0.0,
        invalid=invalid,
    )


def _compliance(rows: Sequence[TargetRow]) -> tuple[Compliance, ...]:
    return tuple(Compliance(row.target, row.met, row.breached, share(row.met, row.met + row.breached)) for row in rows)

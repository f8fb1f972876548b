"""The playbook's measures. Each figure names its variant, since the field disagrees about every one of them.

Always with n, median and 90th percentile: means of such times are poor for trends (Davidovič, Incident Metrics in SRE,
2021). Drills, false alarms and duplicates never count. Pure but for `Statistics`, which asks the database.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestration.storage.distributions import RELATIVE_ERROR, Distribution
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.incidents.figures import IncidentFigures
from orchestration.storage.incidents.tallies import ENDS, TARGETS, Tally, merged, split


class Measure(StrEnum):
    """What is measured, by the column that holds its seconds; in the order of `MEASURES`."""

    MTTD = "seconds_to_detect"
    MTTA = "seconds_to_acknowledge"
    MTTA_AUTOMATION = "seconds_to_automation"
    MTTR = "seconds_to_resolve"
    MTTR_IMPACT = "seconds_of_impact"

    @property
    def label(self) -> str:
        """The name of the measure."""
        return _NAMES[self][0]

    @property
    def variant(self) -> str:
        """From when to when it is measured."""
        return _NAMES[self][1]


_NAMES = {
    Measure.MTTD: ("MTTD", "detected − impact started, where the start is known"),
    Measure.MTTA: ("MTTA", "first acknowledgement by a person − detected"),
    Measure.MTTA_AUTOMATION: ("MTTA of automation", "automation began − detected"),
    Measure.MTTR: ("MTTR", "last resolved − first detected, but for those ended by a workaround"),
    Measure.MTTR_IMPACT: (
        "MTTR from impact",
        "last resolved − impact started, where the start is known, but for those ended by a workaround",
    ),
}


@dataclass(frozen=True, slots=True)
class Summary:
    """Many values, summarised; None for each figure if there are no values."""

    n: int = 0
    mean: float | None = None
    median: float | None = None
    p90: float | None = None


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
    """A target: met ÷ (met + breached + by_workaround). Open past its deadline is breached, open within it is left out.

    `by_workaround` counts incidents that ended in time, but only by a workaround: nothing was repaired. One that was
    reopened soon after its resolution is measured from its first start.
    """

    target: str
    met: int
    breached: int
    rate: float | None
    by_workaround: int = 0

    @property
    def sentence(self) -> str:
        """The counts in words."""
        around = f", {self.by_workaround} only by a workaround" if self.by_workaround else ""
        return f"{self.met} met, {self.breached} breached{around}"


@dataclass(frozen=True, slots=True)
class Endings:
    """How the resolved incidents ended: by proof, by the word of a person, or by a workaround. Earlier releases did not
    record it; theirs are `unknown`."""

    proof: int = 0
    person: int = 0
    workaround: int = 0
    unknown: int = 0

    @property
    def sentence(self) -> str:
        """The counts in words; those of which nothing is known only where there are any."""
        unknown = f", {self.unknown} unknown" if self.unknown else ""
        return f"{self.proof} by proof, {self.person} by a person, {self.workaround} by a workaround{unknown}"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """Resolved incidents whose trouble returned as a new one within the recurrence window ÷ resolved incidents."""

    recurred: int
    resolved: int
    rate: float | None


@dataclass(frozen=True, slots=True)
class IncidentGroup:
    """The figures of one severity, scenario or month; of all incidents where `name` is empty."""

    name: str
    count: int
    figures: tuple[Figure, ...]
    compliance: tuple[Compliance, ...]
    recurrence: Recurrence
    endings: Endings = Endings()


@dataclass(frozen=True, slots=True)
class StatisticsReport:
    """All incidents together, and split by one property.

    Medians and 90th percentiles are within `relative_error` of the true ones (or within 5 ms, below 10 ms): 0 means
    that they are exact. All else is always exact.
    """

    since: datetime | None
    until: datetime | None
    by: str
    total: IncidentGroup
    groups: tuple[IncidentGroup, ...]
    relative_error: float = 0.0

    @property
    def note(self) -> str:
        """How exact the figures are; empty if they are exact."""
        if not self.relative_error:
            return ""
        return f"medians and 90th percentiles are within {self.relative_error:.0%} of the true ones; all else is exact"


class Statistics:
    """The figures of the incidents in the database."""

    def __init__(self, figures: IncidentFigures) -> None:
        self._figures = figures

    def report(self, selection: IncidentSelection, by: str, now: datetime) -> StatisticsReport:
        """The figures as of `now`, split by `severity`, `scenario` or `month`."""
        return self.reports(selection, [by], now)[0]

    def reports(
        self, selection: IncidentSelection, splits: Iterable[str], now: datetime
    ) -> tuple[StatisticsReport, ...]:
        """The same figures as of `now`, split in several ways, for the price of one."""
        tallies = self._figures.tallies(selection, now)
        whole = merged(tallies.values())
        error = RELATIVE_ERROR if whole.packed else 0.0
        total = _group("", whole)
        return tuple(
            StatisticsReport(selection.since, selection.until, by, total, _groups(split(tallies, by)), error)
            for by in splits
        )

    def build_rollups(self, now: datetime) -> None:
        """Build the daily sums that the next report over many incidents would have to build."""
        self._figures.roll_up(now)


def summarise(values: Distribution) -> Summary:
    """The mean of the one or two in the middle is the median; the 90th percentile is the nearest rank."""
    n = values.n
    if n == 0:
        return Summary()
    median = (values.at((n - 1) // 2) + values.at(n // 2)) / 2
    # The nearest rank is always a value that occurred, also with few of them.
    return Summary(n, values.total / n, median, values.at(math.ceil(0.9 * n) - 1))


def share(part: int, whole: int) -> float | None:
    """A share from 0 to 1; None of nothing."""
    return part / whole if whole else None


def _groups(tallies: Mapping[str, Tally]) -> tuple[IncidentGroup, ...]:
    """What has only SLA records, of incidents that were reopened, is no group of its own."""
    return tuple(_group(name, tally) for name, tally in tallies.items() if tally.total)


def _group(name: str, tally: Tally) -> IncidentGroup:
    return IncidentGroup(
        name=name,
        count=tally.total,
        figures=tuple(
            _figure(measure, summarise(values), tally.total, invalid)
            for measure, values, invalid in zip(Measure, tally.distributions(), tally.invalid, strict=True)
        ),
        compliance=tuple(_compliance(tally)),
        recurrence=Recurrence(tally.recurred, tally.resolved, share(tally.recurred, tally.resolved)),
        endings=Endings(**dict(zip(ENDS, tally.ended, strict=True)), unknown=tally.resolved - sum(tally.ended)),
    )


def _compliance(tally: Tally) -> Iterator[Compliance]:
    around = (0, tally.by_workaround)
    for target, met, breached, by_workaround in zip(TARGETS, tally.met, tally.breached, around, strict=True):
        # Left out where no target has ended: 0 of 0 is not a compliance of 0 %.
        if ended := met + breached + by_workaround:
            yield Compliance(target, met, breached, share(met, ended), by_workaround)


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

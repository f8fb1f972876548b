"""Tallies: incidents counted by severity, scenario and month. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple

from orchestration.domain.incident_end import IncidentEnd
from orchestration.storage import distributions
from orchestration.storage.distributions import Distribution, ExactValues

# The columns that figures are computed from.
MEASURES = (
    "seconds_to_detect",
    "seconds_to_acknowledge",
    "seconds_to_automation",
    "seconds_to_resolve",
    "seconds_of_impact",
)
TARGETS = ("response", "resolution")
# How incidents ended, as their rows say; of others nothing is known.
ENDS = tuple(end.value for end in IncidentEnd)
# Little-endian on every machine, because it is stored, and a database may be restored elsewhere.
_HEADER = struct.Struct(f"<{len(MEASURES)}I{len(MEASURES)}d")
_QUICK = 1  # the lowest level of zlib is enough: nearly all digits are zero


class TallyCell(NamedTuple):
    """The smallest group. `month` is that of the detection, `2026-03`."""

    severity: str
    scenario: str
    month: str


@dataclass(slots=True)
class Tally:
    """Counts and values of incidents. The lists have an element for each of `MEASURES`, `TARGETS` or `ENDS`.

    `by_workaround` counts resolution targets that were stopped in time, but only by a workaround. `invalid` counts
    negative values (a clock was set back), `values` holds the others. `packed` holds more values as bucket counts, with
    their sums in `sums`.
    """

    total: int = 0
    resolved: int = 0
    recurred: int = 0
    ended: list[int] = field(default_factory=lambda: [0] * len(ENDS))
    by_workaround: int = 0
    met: list[int] = field(default_factory=lambda: [0] * len(TARGETS))
    breached: list[int] = field(default_factory=lambda: [0] * len(TARGETS))
    invalid: list[int] = field(default_factory=lambda: [0] * len(MEASURES))
    values: list[list[float]] = field(default_factory=lambda: [[] for _ in MEASURES])
    sums: list[float] = field(default_factory=lambda: [0.0] * len(MEASURES))
    packed: int = 0

    def count(self, other: Tally) -> None:
        """Add the counts and values of another tally."""
        self.total += other.total
        self.resolved += other.resolved
        self.recurred += other.recurred
        self.packed += other.packed
        self.by_workaround += other.by_workaround
        self.ended = list(map(add, self.ended, other.ended))
        self.met = list(map(add, self.met, other.met))
        self.breached = list(map(add, self.breached, other.breached))
        self.invalid = list(map(add, self.invalid, other.invalid))
        self.sums = list(map(add, self.sums, other.sums))
        for values, more in zip(self.values, other.values, strict=True):
            values.extend(more)

    def distributions(self) -> tuple[Distribution, ...]:
        """The distribution of each measure; exact, unless some values are known by their bucket only."""
        if not self.packed:
            return tuple(map(ExactValues, self.values))
        packed, sums = self._all_packed()
        return distributions.unpack(packed, sums)

    def to_bytes(self) -> bytes:
        """Serialise the measures."""
        packed, sums = self._all_packed()
        return zlib.compress(_HEADER.pack(*self.invalid, *sums) + distributions.to_bytes(packed), _QUICK)

    def add_bytes(self, kept: bytes) -> None:
        """Add measures that `to_bytes` has serialised."""
        data = zlib.decompress(kept)
        header = _HEADER.unpack_from(data)
        self.invalid = list(map(add, self.invalid, header))
        self.sums = list(map(add, self.sums, header[len(MEASURES) :]))
        self.packed += distributions.from_bytes(memoryview(data)[_HEADER.size :])

    def _all_packed(self) -> tuple[int, list[float]]:
        sums = [known + sum(values) for known, values in zip(self.sums, self.values, strict=True)]
        return self.packed + distributions.pack(self.values), sums


def tally(rows: Sequence[Sequence[float | None]], ends: Sequence[str | None], recurred: int) -> Tally:
    """The tally of incidents, given the values of their measures and how each ended, None for those that have not."""
    columns = list(zip(*rows, strict=True))
    return Tally(
        total=len(rows),
        resolved=sum(1 for end in ends if end is not None),
        recurred=recurred,
        ended=[ends.count(end) for end in ENDS],
        invalid=[sum(1 for value in column if value is not None and value < 0) for column in columns],
        values=[[value for value in column if value is not None and value >= 0] for column in columns],
    )


def merged(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies."""
    whole = Tally()
    for each in tallies:
        whole.count(each)
    return whole


def split(tallies: Mapping[TallyCell, Tally], by: str) -> dict[str, Tally]:
    """Tallies merged by one attribute of `TallyCell`, in its order."""
    names = sorted({getattr(cell, by) for cell in tallies})
    return {name: merged(each for cell, each in tallies.items() if getattr(cell, by) == name) for name in names}

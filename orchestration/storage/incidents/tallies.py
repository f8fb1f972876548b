"""What incidents come to when they are counted together: by severity, scenario and month. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple

from orchestration.storage import distributions
from orchestration.storage.distributions import Distribution, ExactValues

# Columns that a figure can be made of.
MEASURES = (
    "seconds_to_detect",
    "seconds_to_acknowledge",
    "seconds_to_automation",
    "seconds_to_resolve",
    "seconds_of_impact",
)
TARGETS = ("response", "resolution")
_HEADER = struct.Struct(f"<{len(MEASURES)}I{len(MEASURES)}d")
_QUICK = 1  # of zlib; the digits are nearly all zeroes


class TallyCell(NamedTuple):
    """The smallest group. `month` is that of the detection, `2026-03`."""

    severity: str
    scenario: str
    month: str


@dataclass(slots=True)
class Tally:
    """So many incidents. The lists have an element for each of `MEASURES`, or of `TARGETS`.

    `invalid` counts negative values, `values` holds the others; `packed` stands for more of them, of which the sums are
    in `sums` and only the bucket is known.
    """

    total: int = 0
    resolved: int = 0
    recurred: int = 0
    met: list[int] = field(default_factory=lambda: [0] * len(TARGETS))
    breached: list[int] = field(default_factory=lambda: [0] * len(TARGETS))
    invalid: list[int] = field(default_factory=lambda: [0] * len(MEASURES))
    values: list[list[float]] = field(default_factory=lambda: [[] for _ in MEASURES])
    sums: list[float] = field(default_factory=lambda: [0.0] * len(MEASURES))
    packed: int = 0

    def count(self, other: Tally) -> None:
        """Count those of another as well."""
        self.total += other.total
        self.resolved += other.resolved
        self.recurred += other.recurred
        self.packed += other.packed
        self.met = list(map(add, self.met, other.met))
        self.breached = list(map(add, self.breached, other.breached))
        self.invalid = list(map(add, self.invalid, other.invalid))
        self.sums = list(map(add, self.sums, other.sums))
        for values, more in zip(self.values, other.values, strict=True):
            values.extend(more)

    def distributions(self) -> tuple[Distribution, ...]:
        """Where the values of each measure lie: exactly, unless some are known by their bucket only."""
        if not self.packed:
            return tuple(map(ExactValues, self.values))
        packed, sums = self._all_packed()
        return distributions.unpack(packed, sums)

    def to_bytes(self) -> bytes:
        """All that is known of the measures, for keeping."""
        packed, sums = self._all_packed()
        return zlib.compress(_HEADER.pack(*self.invalid, *sums) + distributions.to_bytes(packed), _QUICK)

    def add_bytes(self, kept: bytes) -> None:
        """Count what was kept by `to_bytes`."""
        data = zlib.decompress(kept)
        header = _HEADER.unpack_from(data)
        self.invalid = list(map(add, self.invalid, header))
        self.sums = list(map(add, self.sums, header[len(MEASURES) :]))
        self.packed += distributions.from_bytes(memoryview(data)[_HEADER.size :])

    def _all_packed(self) -> tuple[int, list[float]]:
        sums = [known + sum(values) for known, values in zip(self.sums, self.values, strict=True)]
        return self.packed + distributions.pack(self.values), sums


def tally(rows: Sequence[Sequence[float | None]], resolved: int, recurred: int) -> Tally:
    """Of incidents, by the values of their measures."""
    columns = list(zip(*rows, strict=True))
    return Tally(
        total=len(rows),
        resolved=resolved,
        recurred=recurred,
        invalid=[sum(1 for value in column if value is not None and value < 0) for column in columns],
        values=[[value for value in column if value is not None and value >= 0] for column in columns],
    )


def merged(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    whole = Tally()
    for each in tallies:
        whole.count(each)
    return whole


def split(tallies: Mapping[TallyCell, Tally], by: str) -> dict[str, Tally]:
    """Merged into the groups of one of the names of `TallyCell`, in order."""
    names = sorted({getattr(cell, by) for cell in tallies})
    return {name: merged(each for cell, each in tallies.items() if getattr(cell, by) == name) for name in names}

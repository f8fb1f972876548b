"""Where values lie: each of them while they are few, or how many in each bucket of a scale. Pure.

The scale is logarithmic, so that whatever is read from it is within `RELATIVE_ERROR` of the value itself (the scale of
DDSketch: Masson, Rim and Lee, VLDB 2019), or within 5 ms of one below 10 ms. Counts on one scale add up exactly. They
are kept as digits of one large number, for then a single addition merges thousands of them.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Protocol

RELATIVE_ERROR = 0.01
_LEAST_SECONDS, _MOST_SECONDS = 0.01, 100 * 365.25 * 86_400
_BASE = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_STEP = math.log(_BASE)
_BUCKETS = 2 + math.ceil(math.log(_MOST_SECONDS / _LEAST_SECONDS) / _STEP)
_DIGIT_BYTES = 4


class Distribution(Protocol):
    """So many values; `total` is their sum."""

    n: int
    total: float

    def at(self, rank: int) -> float:
        """The value of that rank; the least has rank 0."""


class ExactValues(Distribution):
    """All values, each as it is."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._ranked = sorted(values)
        self.n = len(self._ranked)
        self.total = math.fsum(self._ranked)

    def at(self, rank: int) -> float:
        return self._ranked[rank]


class SketchedValues(Distribution):
    """How many values lie in each bucket. Their number and sum are exact, a value is within `RELATIVE_ERROR`."""

    def __init__(self, counts: Sequence[int], total: float) -> None:
        self._up_to = list(accumulate(counts))
        self.n = self._up_to[-1] if self._up_to else 0
        self.total = total

    def at(self, rank: int) -> float:
        bucket = bisect_right(self._up_to, rank)
        return _LEAST_SECONDS / 2 if bucket == 0 else 2 * _LEAST_SECONDS * _BASE**bucket / (_BASE + 1)


def pack(columns: Sequence[Sequence[float]]) -> int:
    """How many values of each column lie in each bucket, as one number; such numbers are merged by adding them.

    No column may come to more than 2³² − 1 values. The digits of the longest times come last, for most numbers do
    without them.
    """
    width = len(columns) * _DIGIT_BYTES
    digits = bytearray(_BUCKETS * width)
    for number, values in enumerate(columns):
        for bucket, count in Counter(map(_bucket, values)).items():
            struct.pack_into("<I", digits, bucket * width + number * _DIGIT_BYTES, count)
    return from_bytes(digits)


def to_bytes(packed: int) -> bytes:
    """A packed number for keeping."""
    return packed.to_bytes((packed.bit_length() + 7) // 8, "little")


def from_bytes(kept: bytes | bytearray | memoryview) -> int:
    """The packed number again."""
    return int.from_bytes(kept, "little")


def unpack(packed: int, totals: Sequence[float]) -> tuple[SketchedValues, ...]:
    """The sketches of the columns, of which the sums are given."""
    columns = len(totals)
    digits = packed.to_bytes(_BUCKETS * columns * _DIGIT_BYTES, "little")
    counts = struct.unpack(f"<{_BUCKETS * columns}I", digits)
    return tuple(SketchedValues(counts[number::columns], total) for number, total in enumerate(totals))


def _bucket(value: float) -> int:
    """Bucket 0 goes up to the least that is told apart; the last one takes whatever is longer than a century."""
    if value <= _LEAST_SECONDS:
        return 0
    return min(_BUCKETS - 1, math.ceil(math.log(value / _LEAST_SECONDS) / _STEP))

"""Distributions of values: exact while they are few, else as counts in logarithmic buckets. Pure.

A value read from the buckets is within `RELATIVE_ERROR` of the exact one (as in DDSketch: Masson, Rim and Lee, VLDB
2019), or within 5 ms of one below 10 ms. Counts on the same scale can be added. They are stored as the digits of one
large integer, because a single addition of Python integers then merges thousands of counts.
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
# The number of buckets grows only with the logarithm of the range: a scale that ends beyond any incident costs about
# 1,300 of them.
_LEAST_SECONDS, _MOST_SECONDS = 0.01, 100 * 365.25 * 86_400
# With this ratio between the ends of a bucket, the value in its middle is off by at most `RELATIVE_ERROR` (DDSketch).
_BASE = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_STEP = math.log(_BASE)
_BUCKETS = 2 + math.ceil(math.log(_MOST_SECONDS / _LEAST_SECONDS) / _STEP)
_DIGIT_BYTES = 4


class Distribution(Protocol):
    """A number `n` of values; `total` is their sum."""

    n: int
    total: float

    def at(self, rank: int) -> float:
        """The value of a rank; the smallest has rank 0."""


class ExactValues(Distribution):
    """A distribution that keeps every value."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self._ranked = sorted(values)
        self.n = len(self._ranked)
        # Without the rounding errors of a plain sum, which grow with the number of values.
        self.total = math.fsum(self._ranked)

    def at(self, rank: int) -> float:
        return self._ranked[rank]


class SketchedValues(Distribution):
    """A distribution by counts in buckets. Number and sum are exact, values are within `RELATIVE_ERROR`."""

    def __init__(self, counts: Sequence[int], total: float) -> None:
        self._up_to = list(accumulate(counts))
        self.n = self._up_to[-1] if self._up_to else 0
        self.total = total

    def at(self, rank: int) -> float:
        bucket = bisect_right(self._up_to, rank)
        # The value whose distance to either end of the bucket is the same share of that end.
        return _LEAST_SECONDS / 2 if bucket == 0 else 2 * _LEAST_SECONDS * _BASE**bucket / (_BASE + 1)


def pack(columns: Sequence[Sequence[float]]) -> int:
    """The bucket counts of several columns as one integer; the sum of two such integers merges their counts.

    A column may have at most 2³² − 1 values in total, or a digit would overflow into the next. The digits of the
    largest values come last: most integers then end before them, and stay short.
    """
    width = len(columns) * _DIGIT_BYTES
    digits = bytearray(_BUCKETS * width)
    for number, values in enumerate(columns):
        for bucket, count in Counter(map(_bucket, values)).items():
            struct.pack_into("<I", digits, bucket * width + number * _DIGIT_BYTES, count)
    return from_bytes(digits)


def to_bytes(packed: int) -> bytes:
    """Serialise a packed integer."""
    return packed.to_bytes((packed.bit_length() + 7) // 8, "little")


def from_bytes(kept: bytes | bytearray | memoryview) -> int:
    """Read a packed integer."""
    return int.from_bytes(kept, "little")


def unpack(packed: int, totals: Sequence[float]) -> tuple[SketchedValues, ...]:
    """The distributions of the columns, given their sums."""
    columns = len(totals)
    # Padded to full length: `to_bytes` has left out the zeros of the buckets above the largest value.
    digits = packed.to_bytes(_BUCKETS * columns * _DIGIT_BYTES, "little")
    counts = struct.unpack(f"<{_BUCKETS * columns}I", digits)
    return tuple(SketchedValues(counts[number::columns], total) for number, total in enumerate(totals))


def _bucket(value: float) -> int:
    """Bucket 0 holds everything up to the smallest value of the scale, the last one everything over a century."""
    if value <= _LEAST_SECONDS:
        return 0
    return min(_BUCKETS - 1, math.ceil(math.log(value / _LEAST_SECONDS) / _STEP))

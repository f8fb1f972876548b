"""Identifiers: short, sortable by time, safe in file names and URLs, easy to read out on the telephone."""

from __future__ import annotations

import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_TIME_LENGTH = 9  # 45 bits of milliseconds last until the year 3084
_RANDOM_LENGTH = 5


def encode(number: int, length: int) -> str:
    """Write a non-negative number in base 32, padded to `length` digits."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))


def new_id(prefix: str, unix_seconds: float, *, random_bits: int | None = None) -> str:
    """Make an identifier such as `run-01k3x9z4m7qwe2`.

    `unix_seconds` comes from a clock; identifiers made later sort later. `random_bits` replaces the random part in
    tests.
    """
    bits = secrets.randbits(5 * _RANDOM_LENGTH) if random_bits is None else random_bits
    return f"{prefix}-{encode(int(unix_seconds * 1000), _TIME_LENGTH)}{encode(bits, _RANDOM_LENGTH)}"

"""CRC-32, by the table of its polynomial."""

from __future__ import annotations

TABLE = (
    # @TABLE@
)


def crc32(data: bytes) -> int:
    """The checksum, as zlib computes it."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF

"""The wait before another attempt. Pure; the only such function of the system."""

from __future__ import annotations


def delay(attempt: int, random: float, *, first: float = 0.5, at_most: float = 30.0) -> float:
    """Seconds before attempt `attempt` + 1: exponential, with full jitter.

    `random` in [0, 1) is the caller's. Full jitter spreads callers that failed together best:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """
    # The exponent is limited because a power of two beyond 1023 overflows a float.
    return random * min(at_most, first * 2.0 ** min(attempt, 32))

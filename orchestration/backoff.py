"""How long to wait before trying again. Pure; the one such function of the system."""

from __future__ import annotations


def delay(attempt: int, random: float, *, first: float = 0.5, at_most: float = 30.0) -> float:
    """Seconds before attempt `attempt` + 1: exponential, with full jitter.

    `random` in [0, 1) is the caller's. Full jitter spreads callers that failed together best; see Brooker, "Exponential
    Backoff and Jitter", AWS Architecture Blog, 2015.
    """
    return random * min(at_most, first * 2.0 ** min(attempt, 32))

"""What the contenders for model calls share."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable

BODY = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is it up?"}]}
WARM_UP = 30
COUNT = 400


async def measure(call: Callable[[], Awaitable[None]], count: int = COUNT) -> None:
    """Print what one call costs, in milliseconds of wall and processor time, after a warm-up."""
    for _ in range(WARM_UP):
        await call()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        await call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall_ms": wall / count * 1000, "cpu_ms": cpu / count * 1000}))


async def measure_each(call: Callable[[], Awaitable[None]], count: int = 6) -> None:
    """Print how long each of a few calls takes, in seconds of wall time, from a cold start."""
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds}))

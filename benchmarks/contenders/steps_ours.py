"""A step through `Flow.step`."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.workflows.engine import JSON, Engine, Flow, untyped

BENCH = untyped("bench")


async def body(flow: Flow, count: Any) -> Any:
    def numbered(number: int) -> Any:
        async def step() -> dict[str, int]:
            return {"number": number}

        return step

    for number in range(count):
        await flow.step("step", JSON, numbered(number))
    return count


async def main() -> None:
    count = int(sys.argv[1])
    folder = Path(tempfile.mkdtemp())
    database = Database(f"sqlite:///{folder}/orchestrator.db")
    database.migrate()
    engine = Engine(f"sqlite:///{folder}/engine.db", Leases(database))
    engine.register(BENCH, body)
    async with engine.running():
        await engine.start(BENCH, "warm-up", 50)
        await engine.result("warm-up")
        wall, cpu = time.perf_counter(), time.process_time()
        await engine.start(BENCH, "b-1", count)
        await engine.result("b-1")
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "count": count}))


asyncio.run(main())

"""The engine as it comes, on a tuned SQLite: what a step costs before we add anything."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
from dbos import DBOS, DBOSPortableJSONSerializer


async def step(number: int) -> dict[str, int]:
    return {"number": number}


@DBOS.workflow()
async def flow(count: int) -> int:
    for number in range(count):
        await DBOS.run_step_async({"name": "step", "preemptible": True}, step, number)
    return count


def engine(url: str) -> sa.Engine:
    made = sa.create_engine(url, pool_size=2, max_overflow=0, connect_args={"check_same_thread": False})

    @sa.event.listens_for(made, "connect")
    def prepare(connection: object, _: object) -> None:
        connection.isolation_level = "IMMEDIATE"  # type: ignore[attr-defined]
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    return made


async def main() -> None:
    count = int(sys.argv[1])
    url = f"sqlite:///{Path(tempfile.mkdtemp())}/engine.db"
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "system_database_engine": engine(url),
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
        }
    )
    logging.getLogger("dbos").handlers.clear()
    DBOS.launch()
    await (await DBOS.start_workflow_async(flow, 50)).get_result()
    wall, cpu = time.perf_counter(), time.process_time()
    await (await DBOS.start_workflow_async(flow, count)).get_result()
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "count": count}))
    DBOS.destroy()


asyncio.run(main())

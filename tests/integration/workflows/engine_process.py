"""A process of its own for the engine's tests: two children of four steps each, every step noted in a journal."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.workflows.engine import JSON, Engine, Flow, untyped

PARENT = untyped("parent")
CHILD = untyped("child")

STEPS = 4


async def child(flow: Flow, slow: Any) -> Any:
    name = flow.id.rpartition(".")[2]

    def noting(number: int) -> Any:
        async def step() -> int:
            print(f"in step {number}", flush=True)
            await asyncio.sleep(30 if slow else 0.1)
            with Path(sys.argv[1], "journal").open("a") as journal:
                journal.write(f"{name}:{number}\n")
            return number

        return step

    return [await flow.step(f"step {number}", JSON, noting(number)) for number in range(STEPS)]


async def parent(flow: Flow, slow: Any) -> Any:
    children = [await flow.start(CHILD, f"{flow.id}.c{number}", slow) for number in range(2)]
    return {one.id.rpartition(".")[2]: await flow.result(one) for one in children}


async def main() -> None:
    folder, command = Path(sys.argv[1]), sys.argv[2]
    database = Database(f"sqlite:///{folder}/orchestrator.db")
    database.migrate()
    engine = Engine(f"sqlite:///{folder}/engine.db", Leases(database))
    engine.register(PARENT, parent)
    engine.register(CHILD, child)
    async with engine.running():
        if command == "recover-all":
            print(f"recovered {await engine.recover_all()}")
            return
        if command == "start":
            await engine.start(PARENT, "p-1", "--slow" in sys.argv)
        else:
            await engine.recover("p-1")
        print(json.dumps(await engine.result("p-1")))


asyncio.run(main())

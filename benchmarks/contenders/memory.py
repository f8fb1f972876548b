"""Resident memory of a process: an interpreter, the engine alone, our application at rest."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path

import psutil


def say() -> None:
    print(json.dumps({"mb": psutil.Process().memory_info().rss / 1_048_576}))


async def engine(folder: Path) -> None:
    from orchestration.storage.database import Database
    from orchestration.storage.leases import Leases
    from orchestration.workflows.engine import Engine

    database = Database(f"sqlite:///{folder}/orchestrator.db")
    database.migrate()
    async with Engine(f"sqlite:///{folder}/engine.db", Leases(database)).running():
        say()
    database.close()


async def application(folder: Path) -> None:
    from orchestration.app import application

    config = folder / "config" / "agents.config.json"
    config.parent.mkdir()
    shutil.copy(Path(__file__).parents[2] / "config" / "agents.config.json", config)
    async with application(str(config)):
        await asyncio.sleep(1)
        say()


if sys.argv[1] == "python":
    say()
else:
    with tempfile.TemporaryDirectory() as name:
        asyncio.run({"engine": engine, "app": application}[sys.argv[1]](Path(name)))

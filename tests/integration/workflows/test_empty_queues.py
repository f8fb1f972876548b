"""What an idle process asks the durable engine's database: one small question for each look at a queue."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orchestration.storage.leases import Leases
from orchestration.workflows.engine import Engine, Flow, untyped
from tests.support.database import migrated
from tests.support.patience import fail_after, patient

TRIP = untyped("trip")


async def test_nothing_is_claimed_from_empty_queues_and_what_comes_is_claimed(
    database_url: str, tmp_path: Path
) -> None:
    async def body(_: Flow, payload: Any) -> Any:
        return payload

    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    def claims() -> list[str]:
        return [one for one in asked if "application_versions" in one]

    url = f"sqlite:///{tmp_path}/engine.db" if database_url.startswith("sqlite") else database_url
    database = migrated(database_url)
    engine = Engine(url, Leases(database), shared=True)
    engine.register(TRIP, body)
    async with engine.running():
        sa.event.listen(engine._process.database.engine, "before_cursor_execute", note)
        with fail_after(patient(30)):
            while sum("queue_name" in one for one in asked) < 6:
                await asyncio.sleep(0.05)
            assert claims() == []
            await engine.enqueue(TRIP, "t-1", "there")
            assert await engine.result("t-1") == "there"
        assert claims()
    database.close()


async def test_the_question_is_answered_from_an_index_whatever_is_stored(tmp_path: Path) -> None:
    database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    engine = Engine(f"sqlite:///{tmp_path}/engine.db", Leases(database))
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "queue_name" in statement:
            asked.append((statement, parameters))

    async with engine.running():
        pool = engine._process.database.engine
        sa.event.listen(pool, "before_cursor_execute", note)
        with fail_after(patient(30)):
            while not asked:
                await asyncio.sleep(0.05)
        statement, parameters = asked[0]
        with pool.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert [row[3] for row in plan if "SCAN" in row[3]] == []
    database.close()

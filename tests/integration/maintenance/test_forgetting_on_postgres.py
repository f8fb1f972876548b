"""The durable engine forgets on PostgreSQL too: its own SQL differs there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from orchestration.clock import SystemClock
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.workflows.engine import JSON, Engine, Flow, retention, untyped
from tests.support.database import migrated

FORGOTTEN = untyped("forgotten")


async def body(flow: Flow, _: Any) -> Any:
    async def step() -> str:
        return "done"

    child = None if flow.id.endswith(".c") else await flow.start(FORGOTTEN, f"{flow.id}.c", None)
    return [await flow.step("one", JSON, step), await flow.result(child) if child else None]


async def test_whole_trees_go_in_small_batches_and_what_is_to_be_kept_stays(
    postgres_url: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(retention, "_FORGOTTEN_AT_ONCE", 3)
    database = migrated(postgres_url)
    engine = Engine(postgres_url, Leases(database))
    engine.register(FORGOTTEN, body)
    names = [f"run-{number}" for number in range(5)]
    asked: list[str] = []

    async def kept(flow_ids: Sequence[str]) -> frozenset[str]:
        asked.extend(flow_ids)
        return frozenset({"run-1"})

    async with engine.running():
        for name in names:
            await engine.start(FORGOTTEN, name, None)
            await engine.result(name)
        assert await engine.forget_ended(SystemClock().now() - timedelta(days=1), kept) == 0
        assert await engine.forget_ended(SystemClock().now() + timedelta(seconds=1), kept) == 8
        assert set(asked) == set(names)
        assert [len(await engine.tree(name)) for name in names] == [0, 2, 0, 0, 0]
        assert steps(database) == {"run-1", "run-1.c"}
    database.close()


def steps(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(sa.text("SELECT workflow_uuid FROM dbos.operation_outputs")).scalars())

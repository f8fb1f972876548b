"""`orchestrator db`: every record and checkpoint moves to another database, and work goes on there."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestration.app import ProjectRecords, application, project
from orchestration.app.database_move import move, tables_of
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError
from orchestration.storage.database import HEAD, Database
from orchestration.storage.transfer import TransferError, digest
from tests.support.console import ConsoleProject

FAILS_ONCE = ["sh", "-c", "test -e repaired && echo done || exit 3"]
AGENTS: list[dict[str, Any]] = [
    {"id": "first", "entryPoint": ["echo", "ünï"], "outputs": ["first.md"]},
    {"id": "second", "entryPoint": FAILS_ONCE, "requires": ["first.md"], "outputs": ["second.md"]},
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config" / "agents.config.json"
    file.parent.mkdir()
    (tmp_path / "work").mkdir()
    write(file)
    return file


def write(file: Path, **more: Any) -> None:
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal-1"}, **more}
    edges = [{"from": "first", "to": "second", "artifact": "first.md"}]
    file.write_text(json.dumps({"runtime": runtime, "agents": AGENTS, "workflow": edges}))


async def a_failed_run(file: Path) -> str:
    async with application(str(file)) as app:
        run = await app.launcher.start("do it", file.parents[1] / "work")
        await app.engine.result(run.id)
        return run.id


def moved(here: ProjectRecords, url: str) -> int:
    return move(here, url, lambda _: None)


async def test_a_run_that_failed_on_sqlite_goes_on_on_postgresql(
    config: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await a_failed_run(config)
    with project(str(config)) as here:
        sent = {one.table: one for one in tables_of(here.database) if one.table == "runs"}
        assert moved(here, postgres_url) > 20
        with closing(Database(postgres_url)) as target:
            assert {one.table: one for one in tables_of(target) if one.table == "runs"} == sent
        with pytest.raises(ConflictError, match="holds records already"):
            moved(here, postgres_url)
    monkeypatch.setenv("MOVED", postgres_url)
    write(config, databaseUrlEnv="MOVED")
    (config.parents[1] / "work" / "repaired").touch()
    async with application(str(config)) as app:
        await app.launcher.resume(run)
        await app.engine.result(run)
        assert (await app.get_run(run)).status is RunStatus.SUCCEEDED
        # The first agent's work is a checkpoint that has come along, and is not done again.
        finished = [event for _, event in app.timeline.list(run) if event.kind == "agent.finished"]
        assert [event.agent for event in finished] == ["first", "second", "second"]
        # Rows are numbered on from where they were.
        assert (await app.launcher.start("again", config.parents[1] / "work")).id != run


async def test_what_arrives_otherwise_than_it_was_sent_is_noticed(
    config: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_failed_run(config)

    def damaged(connection: sa.Connection, table: sa.Table) -> Any:
        if connection.dialect.name == "postgresql" and table.name == "runs":
            connection.execute(sa.update(table).values(goal="something else"))
        return digest(connection, table)

    monkeypatch.setattr("orchestration.storage.transfer.digest", damaged)
    with project(str(config)) as here, pytest.raises(TransferError, match="The table runs has 1 rows"):
        moved(here, postgres_url)
    with closing(Database(postgres_url)) as target, target.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM runs")).scalar() == 0


async def test_nothing_is_moved_under_running_processes(config: Path, postgres_url: str) -> None:
    async with application(str(config)):
        with (
            project(str(config)) as here,
            pytest.raises(ConflictError, match="1 processes of this project are running"),
        ):
            moved(here, postgres_url)


def test_an_old_database_is_reported_and_upgraded(tmp_path: Path) -> None:
    here = ConsoleProject(tmp_path / "project")
    assert here.call("db", "check").code == 2
    assert here.call("worker", "--list").code == 0
    said = here.call("db", "check", "--json")
    assert (said.code, said.json()["version"]) == (0, HEAD)
    assert {"table", "rows", "sha256"} == set(said.json()["tables"][0])
    with closing(sqlite3.connect(here.root / "var" / "orchestrator.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
    old = here.call("db", "check")
    assert (old.code, "orchestrator db upgrade" in old.out) == (1, True)

"""What drills take from the machine: a share of it, a server of their own, programs of their own; and give back."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa

from orchestration.clock import SystemClock
from orchestration.drills import control_group, postgres_server
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.processes import DrillError, DrillProcess, kill_all_of, process_environment
from orchestration.drills.setup import DrillSetting
from orchestration.monitoring.collectors import cgroup
from tests.support.patience import patient

MEGABYTE = 1_048_576


@contextmanager
def a_process(folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"], env=process_environment(folder), start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_who_lives_in_a_group_has_its_share_and_the_group_goes_with_its_last_process(tmp_path: Path) -> None:
    if reason := control_group.impossible(memory_mb=100, cpus=0.5):
        pytest.skip(reason)
    share = control_group.make(100, 0.5)
    with a_process() as process:
        share.add(process.pid)
        seen = cgroup.read(membership=Path(f"/proc/{process.pid}/cgroup"))
        assert (seen.memory_limit, seen.cpus) == (100 * MEGABYTE, 0.5)
        assert not share.try_to_remove()
    await share.remove()
    assert share.try_to_remove()


def test_where_no_group_can_be_made_it_is_said_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_group, "_ROOT", tmp_path / "nothing")
    assert "root on Linux only" in control_group.impossible(memory_mb=100)
    with pytest.raises(DrillError, match="expected a control group with limits"):
        control_group.make(100, None)


async def test_a_server_of_ones_own_keeps_what_was_committed_through_a_stop() -> None:
    if reason := postgres_server.impossible():
        pytest.skip(reason)
    async with postgres_server.postgres_server(SystemClock()) as postgres:
        engine = sa.create_engine(postgres.url, poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE kept (number INTEGER)"))
        postgres.stop()
        with pytest.raises(sa.exc.OperationalError):
            engine.connect()
        await postgres.start()
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT count(*) FROM kept")).scalar_one() == 0
    with pytest.raises(sa.exc.OperationalError):
        engine.connect()


def test_without_postgres_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "_binaries", lambda: None)
    assert "not installed" in postgres_server.impossible()


def test_what_carries_the_mark_of_a_drill_is_ended_and_nothing_else(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    with a_process(mine) as started, a_process(other) as of_another, a_process() as of_nobody:
        kill_all_of(mine)
        assert started.wait(patient(5)) < 0
        assert (of_another.poll(), of_nobody.poll()) == (None, None)


async def test_programs_of_a_drill_are_found_before_all_others(tmp_path: Path) -> None:
    setting = DrillSetting(providers=("primary",), programs={"ollama": "#!/bin/sh\necho mine $1\n"})
    environment = DrillEnvironment(tmp_path, setting, SystemClock())
    try:
        await environment.prepare()
        found = await anyio.run_process(["ollama", "serve"], env=process_environment(tmp_path))
        assert found.stdout == b"mine serve\n"
    finally:
        await environment.stop()


async def test_a_provider_that_somebody_else_has_started_again_is_asked_for_its_calls(tmp_path: Path) -> None:
    environment = DrillEnvironment(tmp_path, DrillSetting(providers=("primary",)), SystemClock())
    try:
        await environment.prepare()
        port = environment.primary.url.rpartition(":")[2]
        await environment.primary.kill()
        assert await environment.calls() == []
        words = ("orchestration.rehearsal", "--port", port)
        again = DrillProcess(words, tmp_path, tmp_path / "again.log", environment.clock)
        await again.wait_for_output("http://", 30)
        assert await environment.calls() == []
    finally:
        await environment.stop()
    assert await again.wait(patient(5)) < 0, "whatever a drill has started is ended with it"


async def test_the_lock_of_another_program_is_real_and_lasts_as_long_as_it_says(tmp_path: Path) -> None:
    file, clock = tmp_path / "a.db", SystemClock()
    words = ("orchestration.drills.sqlite_lock", str(file), "1")
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as own:
        own.execute("CREATE TABLE here (number INTEGER)")
        child = DrillProcess(words, tmp_path, tmp_path / "locking.log", clock)
        await child.wait_for_output("holds the lock", 10)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            own.execute("BEGIN IMMEDIATE")
        assert await child.wait(patient(10)) == 0
        own.execute("BEGIN IMMEDIATE")

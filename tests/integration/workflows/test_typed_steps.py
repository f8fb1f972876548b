"""What a flow's body gets from its steps and children: typed values, now and when they come out of the store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import pytest

from orchestration.storage.leases import Leases
from orchestration.workflows.engine import Engine, Flow, FlowKind, NamedStep, StepError
from orchestration.workflows.model import AgentUsage, CommandRecord, StoredRecord
from tests.support.database import migrated


@dataclass(frozen=True, slots=True)
class Trip:
    goal: str
    stops: tuple[str, ...] = ()


class Ticket(StoredRecord):
    seats: tuple[int, ...]


TRIP = FlowKind("trip", Trip, Ticket)
LEG = FlowKind("leg", str, CommandRecord)


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[Engine]:
    database = migrated(f"sqlite:///{folder}/orchestrator.db")
    one = Engine(f"sqlite:///{folder}/engine.db", Leases(database))
    async with one.running():
        yield one
    database.close()


def returning(value: Any) -> Any:
    async def function() -> Any:
        return value

    return function


async def test_steps_and_children_give_back_what_their_functions_returned(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def leg(flow: Flow, name: str) -> CommandRecord:
        return await flow.step("go", CommandRecord, returning(CommandRecord(command=(name,), exit_code=0, output="")))

    async def trip(flow: Flow, trip: Trip) -> Ticket:
        seen.append(trip)
        seen.append(await flow.step("plan", Trip, returning(Trip("home", ("a", "b")))))
        seen.append(await flow.step("wait", NoneType, returning(None)))
        named = [NamedStep(f"use {number}", AgentUsage, returning(AgentUsage(tokens=number))) for number in range(2)]
        seen.extend(await flow.steps(named))
        seen.append(await flow.result(await flow.start(LEG, f"{flow.id}.leg", "north")))
        return Ticket(seats=(1, 2))

    async with engine(tmp_path) as one:
        one.register(TRIP, trip)
        one.register(LEG, leg)
        await one.start(TRIP, "t-1", Trip("see"))
        assert await one.result("t-1") == {"seats": [1, 2]}
        first, seen[:] = list(seen), []
        await one.rewind("t-1", 8)
        await one.result("t-1")
    assert seen == first
    assert first == [
        Trip("see"),
        Trip("home", ("a", "b")),
        None,
        AgentUsage(tokens=0),
        AgentUsage(tokens=1),
        CommandRecord(command=("north",), exit_code=0, output=""),
    ]


def stored_outputs(folder: Path) -> dict[int, str]:
    with closing(sqlite3.connect(folder / "engine.db")) as connection:
        return dict(connection.execute("SELECT function_id, output FROM operation_outputs").fetchall())


def store(folder: Path, number: int, output: str) -> None:
    with closing(sqlite3.connect(folder / "engine.db")) as connection, connection:
        changed = connection.execute("UPDATE operation_outputs SET output = ? WHERE function_id = ?", (output, number))
        assert changed.rowcount == 1


async def test_a_step_is_stored_as_before_and_one_stored_by_an_earlier_version_is_replayed(tmp_path: Path) -> None:
    ran: list[str] = []
    seen: list[CommandRecord] = []
    earlier = '{"command": ["make", "test"], "exit_code": 2, "output": "no rule"}'

    async def check() -> CommandRecord:
        ran.append("check")
        return CommandRecord(command=("make", "test"), exit_code=0, output="OK")

    async def trip(flow: Flow, _: Trip) -> Ticket:
        seen.append(await flow.step("check", CommandRecord, check))
        return Ticket(seats=())

    async with engine(tmp_path) as one:
        one.register(TRIP, trip)
        await one.start(TRIP, "t-1", Trip("see"))
        await one.result("t-1")
        assert json.loads(stored_outputs(tmp_path)[1]) == {**json.loads(earlier), "exit_code": 0, "output": "OK"}
        store(tmp_path, 1, earlier)
        await one.rewind("t-1", 2)
        await one.result("t-1")
    assert ran == ["check"]
    assert seen[1] == CommandRecord(command=("make", "test"), exit_code=2, output="no rule")


async def test_a_stored_step_that_does_not_fit_its_type_fails_the_flow_and_says_which_it_is(tmp_path: Path) -> None:
    async def trip(flow: Flow, _: Trip) -> Ticket:
        await flow.step("check", CommandRecord, returning(CommandRecord(command=(), exit_code=0, output="")))
        return Ticket(seats=())

    async with engine(tmp_path) as one:
        one.register(TRIP, trip)
        await one.start(TRIP, "t-1", Trip("see"))
        await one.result("t-1")
        store(tmp_path, 1, '{"command": "make"}')
        await one.rewind("t-1", 2)
        with pytest.raises(StepError, match="step 'check' of t-1 cannot be read as CommandRecord") as raised:
            await one.result("t-1")
    assert raised.value.kind == "StoredValueError"

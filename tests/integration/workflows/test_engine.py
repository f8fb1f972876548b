from __future__ import annotations

import asyncio
import base64
import json
import pickle
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestration.storage.leases import Leases
from orchestration.storage.outage import UnavailableError
from orchestration.workflows.engine import JSON, Engine, Flow, FlowState, NamedStep, StepError, executor, untyped
from tests.support import prefork
from tests.support.database import migrated
from tests.support.patience import fail_after, patient

TRIP = untyped("trip")
FLOW = untyped("flow")
PARENT = untyped("parent")
CHILD = untyped("child")

SCRIPT = Path(__file__).with_name("engine_process.py")


@asynccontextmanager
async def engine(folder: Path, *, shared: bool = False, **bodies: Any) -> AsyncIterator[Engine]:
    database = migrated(f"sqlite:///{folder}/orchestrator.db")
    one = Engine(f"sqlite:///{folder}/engine.db", Leases(database), shared=shared)
    for kind, body in bodies.items():
        one.register(untyped(kind), body)
    async with one.running():
        yield one
    database.close()


def doing(value: Any) -> Any:
    async def function() -> Any:
        return value

    return function


async def test_a_failed_step_looks_the_same_when_it_is_replayed(tmp_path: Path) -> None:
    seen: list[tuple[str, str, Any]] = []

    class NoFuelError(Exception):
        def __init__(self, message: str) -> None:
            super().__init__(message)
            self.data = {"litres": 0}

    async def body(flow: Flow, _: Any) -> Any:
        async def step() -> Any:
            raise NoFuelError("the tank is empty")

        try:
            await flow.step("drive", JSON, step)
        except StepError as error:
            seen.append((error.kind, str(error), error.data))
        return await flow.step("walk", JSON, doing("there"))

    async with engine(tmp_path, trip=body) as one:
        await one.start(TRIP, "t-1", None)
        await one.result("t-1")
        await one.rewind("t-1", 2)
        assert await one.result("t-1") == "there"
    assert seen == [("NoFuelError", "the tank is empty", {"litres": 0})] * 2


async def test_steps_side_by_side_get_their_own_results_back_whatever_order_they_end_in(tmp_path: Path) -> None:
    calls: list[int] = []
    ended = [asyncio.Event() for _ in range(3)]

    async def body(flow: Flow, _: Any) -> Any:
        def slow(number: int) -> Any:
            async def function() -> int:
                if number < 2:  # the last step ends first, however busy the machine is
                    await ended[number + 1].wait()
                calls.append(number)
                ended[number].set()
                return number

            return function

        first = await flow.steps([NamedStep(f"s{number}", int, slow(number)) for number in range(3)])
        return [first, await flow.step("last", JSON, doing("end"))]

    async with engine(tmp_path, flow=body) as one:
        await one.start(FLOW, "f-1", None)
        assert await one.result("f-1") == [[0, 1, 2], "end"]
        await one.rewind("f-1", 4)
        assert await one.result("f-1") == [[0, 1, 2], "end"]
    assert calls == [2, 1, 0]


async def test_a_step_from_a_side_task_is_refused(tmp_path: Path) -> None:
    async def body(flow: Flow, _: Any) -> Any:
        try:
            await asyncio.create_task(flow.step("side", JSON, doing(1)))
        except RuntimeError as error:
            return str(error)

    async with engine(tmp_path, flow=body) as one:
        await one.start(FLOW, "f-1", None)
        assert "side task" in await one.result("f-1")


async def test_cancelling_stops_a_running_step_and_the_children_and_resuming_goes_on(tmp_path: Path) -> None:
    calls: list[str] = []
    released = asyncio.Event()

    async def child(flow: Flow, _: Any) -> Any:
        async def first() -> str:
            calls.append("first")
            return "1"

        async def second() -> str:
            calls.append("second")
            try:
                await released.wait()
            except asyncio.CancelledError:
                calls.append("stopped")
                raise
            return "2"

        return [await flow.step("first", JSON, first), await flow.step("second", JSON, second)]

    async def parent(flow: Flow, _: Any) -> Any:
        return await flow.result(await flow.start(CHILD, f"{flow.id}.child", None))

    async with engine(tmp_path, parent=parent, child=child) as one:
        await one.start(PARENT, "p-1", None)
        while "second" not in calls:
            await asyncio.sleep(0.01)
        await one.cancel("p-1")
        while "stopped" not in calls:
            await asyncio.sleep(0.01)
        assert {status.state for status in await one.tree("p-1")} == {FlowState.CANCELLED}
        released.set()
        await one.resume("p-1")
        assert await one.result("p-1") == ["1", "2"]
    assert calls == ["first", "second", "stopped", "second"]


async def test_a_step_waits_for_our_database_and_is_done_when_it_is_back(tmp_path: Path) -> None:
    tries: list[int] = []

    async def body(flow: Flow, _: Any) -> Any:
        async def step() -> str:
            tries.append(1)
            if len(tries) < 3:
                raise UnavailableError("it is away")
            return "done"

        return await flow.step("step", JSON, step)

    async with engine(tmp_path, flow=body) as one:
        await one.start(FLOW, "f-1", None)
        assert await one.result("f-1") == "done"
    assert len(tries) == 3


class Workbench:
    """A flow of one step that takes its time; it knows how often it was begun and how many were at it at once."""

    def __init__(self) -> None:
        self.begun = self.at_once = self.most = 0
        self.released = asyncio.Event()

    async def body(self, flow: Flow, _: Any) -> Any:
        return await flow.step("work", JSON, self.work)

    async def work(self) -> str:
        self.begun += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.released.wait()
        finally:
            self.at_once -= 1
        return "done"

    async def until_begun(self, times: int) -> None:
        with fail_after(20):
            while self.begun < times:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.3, 0.6])
async def test_what_is_continued_before_it_has_stopped_is_worked_on_once_at_a_time(tmp_path: Path, wait: float) -> None:
    bench = Workbench()
    async with engine(tmp_path, flow=bench.body) as one:
        await one.start(FLOW, "f-1", None)
        for times in (1, 2, 3):
            await bench.until_begun(times)
            await one.cancel("f-1")
            await asyncio.sleep(wait)
            await one.resume("f-1")
        await bench.until_begun(4)
        bench.released.set()
        assert await one.result("f-1") == "done"
    assert (bench.begun, bench.most) == (4, 1)


async def test_what_another_process_has_taken_over_is_left_to_it(tmp_path: Path) -> None:
    bench = Workbench()
    async with engine(tmp_path, flow=bench.body) as one:
        await one.start(FLOW, "f-1", None)
        await bench.until_begun(1)
        with closing(sqlite3.connect(tmp_path / "engine.db")) as connection:
            connection.execute("UPDATE workflow_status SET executor_id = 'another'")
            connection.commit()
        with fail_after(20):
            while bench.at_once:
                await asyncio.sleep(0.01)
        with closing(sqlite3.connect(tmp_path / "engine.db")) as connection:
            assert connection.execute("SELECT count(*) FROM operation_outputs").fetchone() == (0,)


async def test_a_fork_shares_the_steps_before_it_and_goes_its_own_way(tmp_path: Path) -> None:
    calls: list[str] = []

    async def body(flow: Flow, _: Any) -> Any:
        async def record(name: str) -> str:
            calls.append(f"{flow.id}:{name}")
            return f"{flow.id}:{name}"

        return [await flow.step(name, JSON, lambda name=name: record(name)) for name in ("one", "two")]

    async with engine(tmp_path, flow=body) as one:
        await one.start(FLOW, "a", None)
        await one.result("a")
        await one.fork("a", 2, "b")
        assert await one.result("b") == ["a:one", "b:two"]
    assert calls == ["a:one", "a:two", "b:two"]


async def test_a_worker_takes_the_most_urgent_run_first(tmp_path: Path) -> None:
    begun: list[str] = []

    async def body(flow: Flow, _: Any) -> Any:
        begun.append(flow.id)

    async with engine(tmp_path, flow=body) as one:
        for number, priority in enumerate(("low", "normal", "high", "normal", "low")):
            await one.enqueue(FLOW, f"{priority}-{number}", None, priority)
    async with engine(tmp_path, shared=True, flow=body) as one:
        with fail_after(10):
            while len(begun) < 5:
                await asyncio.sleep(0.02)
    assert begun == ["high-2", "normal-1", "normal-3", "low-0", "low-4"]


@contextmanager
def a_process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SCRIPT), str(folder), *arguments]
    with prefork.Program(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"the process ended without saying '{text}'")


def test_a_process_killed_at_any_step_loses_nothing_and_repeats_no_committed_step(tmp_path: Path) -> None:
    for step in range(4):
        folder = tmp_path / str(step)
        folder.mkdir()
        with a_process(folder, "start") as process:
            wait_for_line(process, f"in step {step}")
            process.send_signal(signal.SIGKILL)

        committed = committed_steps(folder)
        with a_process(folder, "recover") as after:
            output, _ = after.communicate(timeout=patient(60))
        assert after.returncode == 0, output
        assert json.loads(output.splitlines()[-1]) == {"c0": [0, 1, 2, 3], "c1": [0, 1, 2, 3]}

        done = Counter((folder / "journal").read_text().split())
        assert set(done) == {f"{child}:{number}" for child in ("c0", "c1") for number in range(4)}
        assert [one for one in committed if done[one] > 1] == []


def test_a_flow_is_taken_over_again_when_the_process_that_took_it_over_is_killed_too(tmp_path: Path) -> None:
    for command, line in (("start", "in step 0"), ("recover", "in step 1"), ("recover", "in step 2")):
        with a_process(tmp_path, command) as process:
            wait_for_line(process, line)
            process.send_signal(signal.SIGKILL)
    with a_process(tmp_path, "recover") as after:
        output, _ = after.communicate(timeout=patient(30))
    assert json.loads(output.splitlines()[-1]) == {"c0": [0, 1, 2, 3], "c1": [0, 1, 2, 3]}


def committed_steps(folder: Path) -> list[str]:
    """What the engine had recorded when the process was killed, in the journal's words."""
    with closing(sqlite3.connect(folder / "engine.db")) as connection:
        rows = connection.execute(
            "SELECT workflow_uuid, output FROM operation_outputs WHERE workflow_uuid LIKE 'p-1.%'"
        )
        return [f"{flow.rpartition('.')[2]}:{output}" for flow, output in rows]


def test_what_a_live_process_works_on_is_left_alone(tmp_path: Path) -> None:
    with a_process(tmp_path, "start", "--slow") as process:
        wait_for_line(process, "in step 0")
        with a_process(tmp_path, "recover-all") as other:
            output, _ = other.communicate(timeout=patient(60))
        assert output.splitlines()[-1] == "recovered 0"


async def test_a_pickle_in_the_engines_tables_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "owned"

    class Exploit:
        def __reduce__(self) -> Any:
            return (Path.touch, (target,))

    async def body(flow: Flow, _: Any) -> Any:
        return await flow.step("one", JSON, doing("fine"))

    async with engine(tmp_path, flow=body) as one:
        await one.start(FLOW, "f-1", None)
        await one.result("f-1")
        poison = base64.b64encode(pickle.dumps(Exploit())).decode()
        with closing(sqlite3.connect(tmp_path / "engine.db")) as connection, connection:
            changed = connection.execute(
                "UPDATE operation_outputs SET output = ?, serialization = 'py_pickle' WHERE workflow_uuid = 'f-1'",
                (poison,),
            )
            assert changed.rowcount == 1
        await one.rewind("f-1", 2)
        with pytest.raises(StepError):
            await one.result("f-1")
    assert not target.exists()


async def test_a_flow_that_was_taken_up_and_stopped_many_times_is_still_taken_up(tmp_path: Path) -> None:
    reached: list[int] = []

    async def body(flow: Flow, _: Any) -> Any:
        async def work() -> str:
            reached.append(1)
            if len(reached) < 9:
                await asyncio.sleep(60)
            return "done"

        return await flow.step("work", JSON, work)

    async def until_reached(times: int) -> None:
        while len(reached) < times:
            await asyncio.sleep(0.01)

    async with engine(tmp_path, flow=body) as first:
        await first.start(FLOW, "f-1", None)
        await until_reached(1)
    for times in range(2, 9):
        async with engine(tmp_path, flow=body) as next_one:
            assert await next_one.recover("f-1") == 1
            await until_reached(times)
    async with engine(tmp_path, flow=body) as last:
        assert await last.recover_all() == 1
        assert await last.result("f-1") == "done"


async def test_a_flow_left_on_the_queue_of_a_process_that_died_is_taken_up(tmp_path: Path) -> None:
    async def body(flow: Flow, _: Any) -> Any:
        return await flow.step("one", JSON, doing("done"))

    async with engine(tmp_path, flow=body) as one:
        await one.start(FLOW, "f-1", None)
        await one.result("f-1")
        with closing(sqlite3.connect(tmp_path / "engine.db")) as connection, connection:
            connection.execute("UPDATE workflow_status SET status = 'ENQUEUED', queue_name = 'process-gone'")
        (status,) = await one.tree("f-1")
        assert (status.state, status.executor, status.working) == (FlowState.INTERRUPTED, "gone", False)
        assert await one.recover_all() == 1
        assert await one.result("f-1") == "done"


async def test_a_process_outlives_an_outage_of_the_database_that_holds_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "_LEASE_RENEWAL_SECONDS", 0.01)
    asked: list[str] = []

    async def body(flow: Flow, _: Any) -> Any:
        return await flow.step("one", JSON, doing("done"))

    def unreachable(*arguments: Any) -> bool:
        asked.append(arguments[0])
        raise sa.exc.OperationalError("", {}, Exception("the database went away"))

    async with engine(tmp_path, flow=body) as one:
        monkeypatch.setattr(one._leases, "acquire", unreachable)
        while len(asked) < 3:
            await asyncio.sleep(0.01)
        await one.start(FLOW, "f-1", None)
        assert await one.result("f-1") == "done"

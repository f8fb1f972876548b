from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock
from orchestration.config.schema import Configuration
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event, EventBus
from orchestration.monitoring.collectors.backups import BackupWatch
from orchestration.monitoring.collectors.runs import RunWatch
from orchestration.monitoring.collectors.workers import WorkerWatch
from orchestration.monitoring.health.diagnosis import IncidentDiagnosis
from orchestration.monitoring.signals.event_tail import EventTail
from orchestration.storage.approvals import Approval, ApprovalTable
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.route_states import RouteStates
from orchestration.storage.runs import Run, Runs
from orchestration.storage.tables import events
from orchestration.storage.timeline import Timeline
from orchestration.workflows.processes import this_process

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
USUAL = Configuration.model_validate({"runtime": {"ollama": {"defaultModel": "m"}, "rehearsal": {"defaultModel": "r"}}})


class House:
    """Records of runs, and a watch over them."""

    def __init__(self, database: Database) -> None:
        self.clock = FakeClock(NOON)
        self.runs = Runs(database)
        self.timeline = Timeline(database)
        self.watch = RunWatch(self.runs, self.timeline, self.clock, lambda: USUAL)

    def happens(self, kind: str, second: float, *, run: str = "run-1", agent: str | None = None, **data: Any) -> None:
        self.timeline.append([Event(kind, NOON + timedelta(seconds=second), run, agent, data=data)])

    def beats(self, second: float, *, run: str = "run-1", agent: str = "executor", task: str = "e") -> None:
        data = {"agent_run_id": task, "activity": "uses run_command", "tokens": 3}
        self.timeline.save_heartbeats(
            [Event("agent.progress", NOON + timedelta(seconds=second), run, agent, data=data)]
        )

    def past(self, count: int, seconds: float, *, rehearsal: bool = False, **values: Any) -> None:
        for number in range(count):
            self.runs.add(
                Run(
                    f"past-{seconds}-{number}",
                    "g",
                    "/w",
                    NOON - timedelta(hours=2),
                    RunStatus.SUCCEEDED,
                    started_at=NOON - timedelta(hours=2),
                    finished_at=NOON - timedelta(hours=2) + timedelta(seconds=seconds),
                    outcome={"use": {"rehearsal": rehearsal}},
                    **values,
                )
            )

    async def collect(self, second: float) -> dict[str, Signal]:
        await self.clock.advance(second - self.clock.monotonic())
        return {signal.name: signal for signal in self.watch.collect()}


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def test_a_run_that_gives_no_sign_of_progress_grows_old(house: House) -> None:
    house.runs.add(Run("run-1", "g", "/w", NOON, RunStatus.RUNNING, priority="low"))
    house.happens("run.started", 0)
    house.happens("agent.started", 1, agent="executor", agent_run_id="e")
    house.beats(30)
    found = await house.collect(150)
    signal = found["progress_age_seconds"]
    assert (signal.labels, signal.value) == ({"run": "run-1", "agent": "executor"}, 120.0)
    assert signal.evidence == {
        "activities": ["uses run_command"],
        "priority": "low",
        "who": "executor",
        "doing": "uses run_command",
    }
    house.beats(151)
    assert (await house.collect(152))["progress_age_seconds"].value == 1.0


@pytest.mark.parametrize("before", [RunStatus.WAITING, RunStatus.STOPPED])
async def test_a_run_that_goes_on_has_its_whole_time_also_before_its_events_say_so(
    house: House, before: RunStatus
) -> None:
    house.runs.add(Run("run-1", "g", "/w", NOON, before))
    house.happens("run.started", 0)
    house.happens("agent.started", 1, agent="executor", agent_run_id="e")
    assert "progress_age_seconds" not in await house.collect(1000)
    house.runs.set_status("run-1", RunStatus.RUNNING)
    assert (await house.collect(1002))["progress_age_seconds"].value == 2.0
    assert (await house.collect(1010))["progress_age_seconds"].value == 10.0


async def test_a_run_that_was_at_work_before_anybody_watched_is_as_old_as_it_is(house: House) -> None:
    house.runs.add(Run("run-1", "g", "/w", NOON, RunStatus.RUNNING))
    house.happens("run.started", 0)
    assert (await house.collect(500))["progress_age_seconds"].value == 500.0
    assert (await house.collect(502))["progress_age_seconds"].value == 502.0


async def test_an_agent_that_no_worker_has_taken_is_reported_for_as_long_as_it_says_so(house: House) -> None:
    house.runs.add(Run("run-1", "g", "/w", NOON, RunStatus.RUNNING))
    house.happens("run.started", 0)
    data = {
        "agent_run_id": "run-1.trainer", "activity": "waits for a worker", "tokens": 0, "seconds": 70.0,
        "phase": "unplaced", "about": "gpu", "progressed": False,
    }  # fmt: skip
    beat = Event("agent.progress", NOON + timedelta(seconds=90), "run-1", "trainer", data=data)
    house.timeline.save_heartbeats([beat])
    signal = (await house.collect(91))["unplaced_seconds"]
    assert (signal.value, signal.labels) == (71.0, {"run": "run-1", "agent": "trainer", "label": "gpu"})
    assert "unplaced_seconds" not in await house.collect(120), "nobody says so any more"


async def test_a_run_that_waits_is_waiting_and_neither_stalled_nor_late(house: House) -> None:
    house.past(5, 100)
    house.runs.add(Run("run-1", "g", "/w", NOON, RunStatus.WAITING, reason="no provider can answer now"))
    house.happens("run.started", 0)
    found = await house.collect(5000)
    assert set(found) == {"run_waiting"}
    assert found["run_waiting"].evidence == {"reason": "no provider can answer now"}


async def test_a_run_is_late_against_runs_of_the_same_agent_that_were_no_rehearsals(house: House) -> None:
    house.past(5, 200)
    house.past(9, 70, rehearsal=True)
    house.past(9, 80, agent="planner")
    house.runs.add(Run("run-1", "g", "/w", NOON, RunStatus.RUNNING, started_at=NOON, origin="drill stuck"))
    house.happens("run.started", 0)
    signal = (await house.collect(600))["run_overdue_ratio"]
    assert signal.value == 3.0
    assert signal.evidence == {"seconds": 600.0, "expected_seconds": 200.0}
    assert signal.drill
    assert house.watch.expected(Run("x", "g", "/w", NOON, provider="rehearsal")) == 70.0
    assert house.watch.expected(Run("x", "g", "/w", NOON, agent="reviewer")) is None


async def test_runs_that_ended_are_left_alone(house: House) -> None:
    house.runs.add(Run("run-1", "g", "/w", NOON, RunStatus.FAILED))
    house.runs.add(Run("run-2", "g", "/w", NOON, RunStatus.QUEUED))
    assert await house.collect(1000) == {}


def test_a_worker_whose_lease_runs_out_is_lost_and_one_that_leaves_in_order_is_not(database: Database) -> None:
    leases = Leases(database)
    leases.acquire("worker/old", "o", -1)
    for name in ("worker/a", "worker/b", "executor/c"):
        leases.acquire(name, name, 60, {"pid": 7})
    watch = WorkerWatch(leases, FakeClock())
    assert {(one.labels["worker"], one.value) for one in watch.collect()} == {("a", 1.0), ("b", 1.0), ("c", 1.0)}
    assert watch.alive() == {"a", "b", "c"}
    leases.acquire("worker/a", "worker/a", -1)
    leases.release("worker/b", "worker/b")
    for _ in range(2):
        assert {(one.labels["worker"], one.value) for one in watch.collect()} == {("a", 0.0), ("c", 1.0)}
    leases.acquire("worker/a", "worker/a", 60)
    assert {(one.labels["worker"], one.value) for one in watch.collect()} == {("a", 1.0), ("c", 1.0)}


async def test_a_worker_goes_by_its_supervisors_name_and_is_forgotten_when_another_has_its_place(
    database: Database,
) -> None:
    leases = Leases(database)
    clock = FakeClock()
    watch = WorkerWatch(leases, clock)

    def collect() -> set[tuple[str, float]]:
        return {(one.labels["worker"], one.value) for one in watch.collect()}

    watch.on_event(Event("worker.started", NOON, data={"worker": 1, "pid": 100}))
    leases.acquire("executor/host-100", "x", 60, {"pid": 100})
    leases.acquire("executor/elsewhere-100", "y", 60, {"pid": 100, "host": "elsewhere"})
    assert collect() == {("1", 1.0), ("elsewhere-100", 1.0)}
    leases.acquire("executor/host-100", "x", -1, {"pid": 100})
    assert collect() == {("1", 0.0), ("elsewhere-100", 1.0)}
    assert watch.silent() == frozenset(), "all leases run out for a moment when the database was away"
    await clock.advance(6)
    assert watch.silent() == {100}
    watch.on_event(Event("worker.started", NOON, data={"worker": 1, "pid": 101}))
    assert (collect(), watch.silent()) == ({("elsewhere-100", 1.0)}, frozenset())
    leases.acquire("executor/host-101", "z", 60, {"pid": 101})
    assert collect() == {("1", 1.0), ("elsewhere-100", 1.0)}


def test_a_worker_that_started_before_anybody_listened_is_known_from_the_lease_of_its_control_process(
    database: Database,
) -> None:
    leases = Leases(database)
    watch = WorkerWatch(leases, FakeClock())

    def supervise(pid: int) -> None:
        data = this_process(workers=[{"number": 1, "pid": pid, "state": "works"}])
        leases.acquire("control/c", "c", 60, data)

    supervise(100)
    leases.acquire("executor/host-100", "x", 60, {"pid": 100})
    assert [(one.labels["worker"], one.value) for one in watch.collect()] == [("1", 1.0)]
    supervise(101)
    leases.acquire("executor/host-100", "x", -1, {"pid": 100})
    assert watch.collect() == (), "it was replaced, so it is not lost"


def test_the_process_before_which_was_killed_is_no_lost_worker(database: Database) -> None:
    leases, watch = Leases(database), WorkerWatch(Leases(database), FakeClock())
    with subprocess.Popen([sys.executable, "-c", ""]) as before:
        gone = {**this_process(), "pid": before.pid}
    leases.acquire("executor/before", "before", 60, gone)
    assert watch.collect() == ()
    leases.acquire("executor/before", "before", -1, gone)
    assert watch.collect() == ()


async def test_a_lost_worker_is_not_spoken_of_for_ever(database: Database) -> None:
    leases, clock = Leases(database), FakeClock()
    watch = WorkerWatch(leases, clock)
    leases.acquire("worker/a", "a", 60)
    watch.collect()
    leases.acquire("worker/a", "a", -1)
    assert [one.value for one in watch.collect()] == [0.0]
    await clock.advance(601)
    assert watch.collect() == ()


async def test_the_age_of_the_last_backup_is_read_from_the_timeline(house: House) -> None:
    watch = BackupWatch(house.timeline, house.clock)
    await house.clock.advance(50)
    (never,) = watch.collect()
    assert (never.value, never.evidence) == (50.0, {"never": True})
    house.happens("backup.made", 20)
    house.happens("backup.made", 40)
    (signal,) = watch.collect()
    assert (signal.value, signal.evidence) == (10.0, {"never": False})


async def test_the_events_of_other_processes_are_heard_once_and_our_own_not_again(database: Database) -> None:
    clock = FakeClock(NOON)
    timeline, bus = Timeline(database), EventBus(clock)
    others = EventTail(timeline, clock)
    bus.subscribe(others.on_own_event)
    timeline.append([Event("long.ago", NOON)])
    assert others.read() == ()
    ours = [bus.emit("run.finished", run_id="run-1") for _ in range(2)]
    theirs = Event("run.finished", NOON + timedelta(seconds=1), "run-2", data={"status": "failed"})
    timeline.append([ours[0], theirs, ours[1]])
    assert [(event.run_id, event.data) for event in others.read()] == [("run-2", {"status": "failed"})]
    assert others.read() == ()
    again = Event("run.finished", NOON, "run-1")
    timeline.append([again])
    assert [event.run_id for event in others.read()] == ["run-1"]


async def test_an_event_whose_transaction_took_longer_than_that_of_a_later_one_is_heard_too(database: Database) -> None:
    """As on a server: numbers are given out at the start of a transaction, and seen at its end."""
    clock, timeline = FakeClock(NOON), Timeline(database)
    others = EventTail(timeline, clock)
    others.read()
    with database.write() as connection:
        row = {"at": NOON, "kind": "later", "actor": "system", "data": {}, "sequence": 5}
        connection.execute(events.insert().values(**row))
    assert [event.kind for event in others.read()] == ["later"]
    with database.write() as connection:
        connection.execute(events.insert().values(**{**row, "kind": "late", "sequence": 3}))
    assert [event.kind for event in others.read()] == ["late"]
    assert others.read() == ()
    await clock.advance(11)
    others.read()
    with database.write() as connection:
        connection.execute(events.insert().values(**{**row, "kind": "too late", "sequence": 4}))
    assert others.read() == ()


def test_after_a_restored_backup_it_goes_on_from_what_there_is(database: Database) -> None:
    timeline = Timeline(database)
    timeline.append([Event("old", NOON), Event("lost", NOON)])
    others = EventTail(timeline, FakeClock(NOON))
    others.read()
    with database.write() as connection:
        connection.execute(events.delete().where(events.c.kind == "lost"))
    assert others.read() == ()
    timeline.append([Event("new", NOON)])
    assert [event.kind for event in others.read()] == ["new"]


def test_who_waits_for_what_is_read_from_the_database(database: Database, tmp_path: Any) -> None:
    runs, timeline = Runs(database), Timeline(database)
    runs.add(Run("run-1", "g", "/w", NOON, RunStatus.WAITING, reason="waits for approval"))
    runs.add(Run("run-2", "g", "/w", NOON, RunStatus.WAITING, reason="no provider can answer now"))
    runs.add(Run("run-3", "g", "/w", NOON, RunStatus.QUEUED))
    ApprovalTable(database).add(Approval("run-1.executor", "run-1", "may it start?", NOON))
    for task, agent in (("p", "planner"), ("e", "executor")):
        data = {"agent_run_id": task, "activity": f"{task} works", "tokens": 0}
        timeline.save_heartbeats([Event("agent.progress", NOON, "run-2", agent, data=data)])
    timeline.append([Event("agent.finished", NOON, "run-2", "planner", data={"agent_run_id": "p"})])
    RouteStates(database).save("ollama", "m", {"state": "open", "reason": "unreachable"}, NOON)
    graph = IncidentDiagnosis(database, tmp_path).wait_graph(USUAL)
    assert {(wait.who, wait.what, wait.why) for wait in graph.waits} == {
        ("run:run-1", "approval:run-1.executor", "may it start?"),
        ("run:run-2", "agent:e", "e works"),
        ("run:run-2", "provider:ollama", "no provider can answer now"),
        ("run:run-3", "worker", "no worker is alive"),
        ("provider:ollama", "repair:ollama", "unreachable"),
    }
    assert graph.cycles() == ()

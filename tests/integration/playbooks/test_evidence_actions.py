"""Actions that look, and those that change limits and the configuration: each on the real thing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.config.overrides import effective
from orchestration.domain.run_status import RunStatus
from orchestration.logs.lines import timestamp
from orchestration.monitoring.collectors.processes import ProcessUse
from orchestration.monitoring.collectors.resources import DiskUsage, ResourceSnapshot
from orchestration.playbooks.actions import ActionError, parse
from orchestration.playbooks.actions.evidence import unresponsive
from orchestration.playbooks.actions.limits import Lower
from orchestration.storage.runs import Run
from tests.support.response import NOWHERE, Fleet, Ward, a_ward, a_worker


def a_run(ward: Ward, name: str, status: RunStatus = RunStatus.RUNNING, **values: Any) -> Run:
    now = ward.app.clock.now()
    run = Run(name, "mend it", str(ward.root / "work"), now, status, started_at=now, **values)
    ward.app.runs.add(run)
    return run


def concurrency(ward: Ward, at: datetime | None = None) -> int:
    """How many calls may run at once now, or at another time."""
    store = ward.app.store
    now = at or ward.app.clock.now()
    return effective(store.file, store.overrides, now).runtime.providers["own"].concurrency


async def test_the_error_lines_of_a_run_are_collected_or_those_of_the_whole_log(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        log = ward.app.log_folder / "orchestrator.jsonl"
        began = ward.incident.detected_at
        lines = [
            {"at": timestamp(began - timedelta(days=1)), "level": "ERROR", "message": "of another day"},
            {"at": timestamp(began + timedelta(seconds=1)), "level": "ERROR", "run": "run-1", "message": "first"},
            {"at": timestamp(began + timedelta(seconds=2)), "level": "INFO", "run": "run-1", "message": "harmless"},
            {"at": timestamp(began + timedelta(seconds=3)), "level": "ERROR", "run": "run-2", "message": "elsewhere"},
            {"at": timestamp(began + timedelta(seconds=4)), "level": "ERROR", "run": "run-1", "message": "last"},
            {"at": timestamp(began + timedelta(seconds=5)), "level": "ERROR", "message": "of no run"},
            {
                "at": timestamp(began + timedelta(seconds=6)),
                "level": "ERROR",
                "event": "notification.logged",
                "logger": "notifications",
                "message": "[INCIDENT] [Severity: P0] of no run",
            },
        ]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
        found = await ward.run("evidence.logs", runs=["run-1"])
        assert found.findings == {"errors": 2, "last_error": "last"}
        assert [line["message"] for line in found.evidence["lines"]] == ["first", "last"]
        assert (await ward.run("evidence.logs", runs=[])).findings == {"errors": 4, "last_error": "of no run"}


async def test_the_state_of_runs_is_told_with_what_hangs(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward, "run-1", RunStatus.FAILED, reason="the model said no")
        a_run(ward, "run-2")
        ward.app.bus.emit("agent.finished", run_id="run-1", agent="executor", failing={"kind": "timeout"})
        progress = {"agent_run_id": "run-2.executor", "activity": "uses run_command", "tokens": 0, "phase": "tool"}
        ward.app.bus.emit("agent.progress", run_id="run-2", agent="executor", **progress)
        ward.app.bus.emit("run.resumed", run_id="run-2")
        await ward.until(lambda: ward.app.timeline.list("run-2") and ward.app.timeline.list_heartbeats("run-2"))
        found = await ward.run("evidence.runs", runs=["run-1", "run-2", "run-gone"])
        expected = {"failed": 1, "failed_runs": ["run-1"], "unfinished": 1, "stalled": 0, "kinds": ["timeout"]}
        assert {name: found.findings[name] for name in expected} == expected
        assert (found.findings["open_runs"], found.findings["stalls"]) == (["run-1", "run-2"], 1)
        assert (found.findings["progressing"], found.evidence["reasons"]) == (True, {"run-1": "the model said no"})
        later = ward.context().now + timedelta(hours=3)
        kind = ward.action("evidence.runs")
        stalled = await kind.run(replace(ward.context(), now=later), parse(type(kind), {"runs": ["run-2"]}))
        assert (stalled.findings["stalled_runs"], stalled.findings["activity"]) == (["run-2"], "tool")


async def test_who_waits_for_whom_is_drawn(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward, "run-1", RunStatus.QUEUED)
        found = await ward.run("evidence.waits", runs=["run-1"])
        assert (found.findings["cycles"], found.findings["for"]) == ([], ["worker"])
        assert "run:run-1 waits for" in found.summary
        ward.app.runs.set_status("run-1", RunStatus.CANCELLED, "")
        assert (await ward.run("evidence.waits")).summary == "nothing waits"


async def test_what_changed_in_the_configuration_since_the_last_good_run_is_told(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward, "run-1", RunStatus.SUCCEEDED, config_version=ward.app.store.number)
        finished(ward, "run-1", "executor")
        await ward.until(lambda: ward.app.timeline.list("run-1"))
        unchanged = {"errors": 0, "changed": False, "changes": [], "good": None, "providers": ["own"]}
        assert (await ward.run("evidence.config")).findings == unchanged
        ward.configure(own={**NOWHERE["own"], "concurrency": 3})
        found = (await ward.run("evidence.config")).findings
        assert (found["changed"], found["good"]) == (True, 1)
        assert [one for one in found["changes"] if "runtime.own.concurrency" in one] != []
        ward.configure(defaultProvider="nobody")
        assert (await ward.run("evidence.config")).findings["errors"] == 1


async def test_a_configuration_is_the_last_good_one_only_of_the_agents_that_succeeded_with_it(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward, "run-1", RunStatus.SUCCEEDED, config_version=1)
        finished(ward, "run-1", "planner", version=1)
        finished(ward, "run-1", "executor", version=1)
        ward.configure(own={**NOWHERE["own"], "concurrency": 3})
        a_run(ward, "run-2", RunStatus.SUCCEEDED, config_version=2)
        finished(ward, "run-2", "planner", version=2)
        a_run(ward, "run-3", RunStatus.FAILED, config_version=2)
        finished(ward, "run-3", "planner", version=2)
        finished(ward, "run-3", "executor", version=2, failing="time_limit")
        # Written by somebody who looks for the fault; no agent has worked with it.
        ward.configure(own={**NOWHERE["own"], "concurrency": 4})
        await ward.until(lambda: len(ward.app.timeline.list("run-3")) == 2)
        assert (await ward.preview("config.last-good", agents=["executor"])).startswith("put version 1, ")
        assert (await ward.preview("config.last-good", agents=["planner"])).startswith("put version 2, ")
        pinned = await ward.run("config.last-good", agents=["executor"])
        assert (ward.app.store.number_in_force, ward.app.store.number) == (1, 3)
        assert (await ward.run("config.last-good", agents=["executor"])).undo == pinned.undo
        await ward.undo("config.last-good", pinned)
        with pytest.raises(ActionError, match="with which nobody succeeded"):
            await ward.preview("config.last-good", agents=["nobody"])


async def test_a_snapshot_of_the_machine_is_taken_and_judged_by_the_limits(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        (ward.app.artifacts.folder / "run-1").mkdir(parents=True)
        (ward.app.artifacts.folder / "run-1" / "plan.md").write_bytes(b"0" * 5000)
        found = await ward.run("evidence.resources")
        assert 0 <= found.findings["memory_percent"] <= 100
        assert (found.findings["own_bytes"] >= 5000, found.findings["disk_short"]) == (True, False)
        assert found.evidence["memory_percent"] == found.findings["memory_percent"]
    async with a_ward(tmp_path, monitoring={"thresholds": {"diskFreePercent": 100}}) as ward:
        short = (await ward.run("evidence.resources")).findings
        assert (short["disk_short"], short["short"]) == (True, True)


def finished(ward: Ward, run: str, agent: str, version: int | None = None, failing: str | None = None) -> None:
    """An agent has ended its work on a run."""
    failure = {"kind": failing, "message": "it did"} if failing else None
    data = {"agent_run_id": f"{run}.{agent}", "failing": failure, "config_version": version}
    ward.app.bus.emit("agent.finished", run_id=run, agent=agent, **data)


class Seen:
    """A snapshot with these processes."""

    def __init__(self, top: list[ProcessUse], leaks: list[Any]) -> None:
        self.top, self.leaks = top, leaks
        self.cpu_percent, self.memory_percent, self.memory_total = 50.0, 50.0, 1000


async def test_a_process_of_ours_that_runs_away_is_told_from_a_worker_at_work(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward, "run-1")
        processes = [
            ProcessUse(pid=11, command="worker", cpu_percent=99.0, memory_bytes=1, ours=True),
            ProcessUse(pid=12, command="sleep", cpu_percent=99.0, memory_bytes=1, ours=True, of_agent=True),
            ProcessUse(pid=13, command="foreign", cpu_percent=99.0, memory_bytes=1, ours=False),
            # Ollama, which `provider.start-ollama` has started, or a drill: busy is what it should be.
            ProcessUse(pid=14, command="ollama runner", cpu_percent=180.0, memory_bytes=1, ours=True),
        ]

        class Room:
            def snapshot(self) -> Seen:
                return Seen(processes, [type("Leak", (), {"pid": 11, "command": "worker"})()])

        ward.use(resources=Room(), fleet=Fleet(a_worker("1", pid=11)))
        found = (await ward.run("evidence.load")).findings
        assert (found["running"], found["expected"], found["runaway"]) == (1, True, ["12"])
        assert (found["growing"], found["growing_workers"]) == (["worker"], ["1"])


async def test_who_takes_most_of_a_processor_that_is_short_runs_away(
    tmp_path: Path,
) -> None:
    async with a_ward(tmp_path) as ward:
        processes = [
            ProcessUse(pid=11, command="worker", cpu_percent=10.0, memory_bytes=1, ours=True),
            ProcessUse(pid=12, command="burns", cpu_percent=45.0, memory_bytes=1, ours=True, of_agent=True),
            ProcessUse(pid=13, command="foreign", cpu_percent=65.0, memory_bytes=1, ours=False),
            ProcessUse(pid=14, command="works", cpu_percent=25.0, memory_bytes=1, ours=True, of_agent=True),
        ]
        seen = Seen(processes, [])
        ward.use(resources=type("Room", (), {"snapshot": lambda _: seen})(), fleet=Fleet(a_worker("1", pid=11)))
        assert (await ward.run("evidence.load")).findings["runaway"] == []
        seen.cpu_percent = 97.0
        assert (await ward.run("evidence.load")).findings["runaway"] == ["12"]


async def test_a_busy_neighbour_is_neither_our_load_nor_a_reason_to_kill(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        a_run(ward, "run-1")
        processes = [
            ProcessUse(pid=12, command="works", cpu_percent=40.0, memory_bytes=900, ours=True, of_agent=True),
            ProcessUse(pid=13, command="neighbour", cpu_percent=150.0, memory_bytes=1, ours=False),
        ]
        seen = Seen(processes, [])
        seen.cpu_percent = 97.0
        ward.use(resources=type("Room", (), {"snapshot": lambda _: seen})(), fleet=Fleet())
        found = (await ward.run("evidence.load")).findings
        assert (found["running"], found["expected"], found["runaway"]) == (1, False, [])


@pytest.mark.parametrize(
    ("use", "cpu", "disk_free", "ours"),
    [
        ((60.0, 30.0), 95.0, 50.0, True),
        ((30.0, 60.0), 95.0, 50.0, False),
        # It has calmed down for a moment; who used it is still to be seen.
        ((60.0, 30.0), 70.0, 50.0, True),
        ((60.0, 30.0), 95.0, 1.0, True),
        ((60.0, 30.0), 70.0, 1.0, False),
    ],
    ids=("ours", "a neighbour's", "calm", "a full disk too", "only a full disk"),
)
async def test_a_look_at_the_machine_says_whether_doing_less_could_help(
    tmp_path: Path, use: tuple[float, float], cpu: float, disk_free: float, ours: bool
) -> None:
    async with a_ward(tmp_path) as ward:
        processes = [
            ProcessUse(pid=12, command="works", cpu_percent=use[0], memory_bytes=1, ours=True, of_agent=True),
            ProcessUse(pid=13, command="neighbour", cpu_percent=use[1], memory_bytes=9, ours=False),
        ]
        disk = DiskUsage("/", disk_free, 1, 1000, 50.0)
        seen = ResourceSnapshot("h", cpu, 1.0, 20.0, 1, 1000, False, (0.1, 0.1, 0.1), (disk,), tuple(processes))
        ward.use(resources=type("Room", (), {"snapshot": lambda _: seen})())
        assert (await ward.run("evidence.resources")).findings["mostly_ours"] is ours


async def test_who_holds_much_memory_runs_away_where_that_is_short(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        processes = [
            ProcessUse(pid=11, command="worker", cpu_percent=1.0, memory_bytes=900, ours=True),
            ProcessUse(pid=12, command="hoards", cpu_percent=1.0, memory_bytes=400, ours=True, of_agent=True),
            ProcessUse(pid=13, command="modest", cpu_percent=1.0, memory_bytes=300, ours=True, of_agent=True),
            ProcessUse(pid=14, command="foreign", cpu_percent=1.0, memory_bytes=900, ours=False),
            ProcessUse(pid=os.getpid(), command="itself", cpu_percent=99.0, memory_bytes=900, ours=True),
        ]
        seen = Seen(processes, [])
        ward.use(resources=type("Room", (), {"snapshot": lambda _: seen})(), fleet=Fleet(a_worker("1", pid=11)))
        assert (await ward.run("evidence.load")).findings["runaway"] == []
        seen.memory_percent = 96.0
        assert (await ward.run("evidence.load")).findings["runaway"] == ["12"]


async def test_failures_of_the_last_minutes_are_counted(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        now = ward.app.clock.now()
        for name, status, finished in (
            ("run-1", RunStatus.FAILED, now),
            ("run-2", RunStatus.SUCCEEDED, now),
            ("run-3", RunStatus.FAILED, now - timedelta(hours=2)),
        ):
            a_run(ward, name, status, finished_at=finished)
        found = (await ward.run("evidence.errors")).findings
        assert found == {"failed": 1, "succeeded": 1, "percent": 50.0}


async def test_limits_are_lowered_once_and_are_as_before_when_that_is_undone(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        assert await ward.preview("limit.lower", providers=["*"]) == "lower the concurrency of own to 4 for 60 min"
        assert concurrency(ward) == 8
        lowered = await ward.run("limit.lower", providers=["*"])
        assert (concurrency(ward), lowered.findings["limits"]) == (4, {"own": 4})
        again = await ward.run("limit.lower", providers=["*"])
        assert (again.findings, len(ward.overrides)) == (lowered.findings, 1)
        await ward.undo("limit.lower", lowered)
        assert concurrency(ward) == 8
        for _ in range(2):
            await ward.run("limit.lower", providers=["own"], factor=0.01)
        assert concurrency(ward) == 1


async def test_the_gateway_admits_as_many_as_the_lowered_limit_says(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        await ward.run("limit.lower", providers=["own"])
        await ward.until(lambda: [status.limit for status in ward.services.gateway.statuses()] == [4])


async def test_lowered_limits_come_back_step_by_step_and_only_those_of_this_incident(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        other = ward.incident
        ward.declare(key="another trouble")
        assert (await ward.run("limit.restore")).findings == {"restored": []}
        ward.incident = other
        await ward.run("limit.lower", providers=["own"], factor=0.25)
        assert await ward.preview("limit.restore") == "bring back the limits of own step by step"
        restored = await ward.run("limit.restore", key="k-2")
        now = ward.app.clock.now()
        ramp = [concurrency(ward, now + timedelta(minutes=minutes)) for minutes in (0, 3, 5)]
        assert (restored.findings, ramp) == ({"restored": ["own"]}, [4, 6, 8])
        await ward.run("limit.restore", key="k-2")
        assert len(ward.overrides) == 2


@pytest.mark.parametrize("given", [{"factor": 1}, {"factor": 0}, {"minutes": 0}, {"minutes": 1e9}, {"more": 1}])
def test_what_makes_no_sense_as_a_lower_limit_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"the parameters of limit\.lower are wrong: "):
        parse(Lower, {"providers": ["own"], **given})


async def test_the_last_good_configuration_is_in_force_until_that_is_undone_or_the_file_edited(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        with pytest.raises(ActionError, match="no earlier version of the configuration is known"):
            await ward.run("config.last-good")
        first = ward.app.store.number
        a_run(ward, "run-1", RunStatus.SUCCEEDED, config_version=first)
        finished(ward, "run-1", "executor")
        await ward.until(lambda: ward.app.timeline.list("run-1"))
        for calls in (2, 3):
            ward.configure(own={**NOWHERE["own"], "concurrency": calls})
        text = (ward.root / "config" / "agents.config.json").read_text()
        assert (await ward.preview("config.last-good")).startswith(f"put version {first}, of ")
        good = await ward.run("config.last-good")
        assert (good.findings, ward.app.effective().runtime.providers["own"].concurrency) == ({"version": first}, 8)
        assert (ward.root / "config" / "agents.config.json").read_text() == text
        await ward.run("config.last-good")
        assert len(ward.overrides) == 1
        await ward.undo("config.last-good", good)
        assert ward.app.effective().runtime.providers["own"].concurrency == 3
        await ward.run("config.last-good", key="k-2")
        ward.configure(own={**NOWHERE["own"], "concurrency": 5})
        assert ward.app.effective().runtime.providers["own"].concurrency == 5


async def test_everything_is_logged_for_a_time(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        debug = await ward.run("log.debug", minutes=30)
        left = ward.app.store.overrides[0].expires_at
        assert left is not None
        assert timedelta(minutes=29) < left - ward.app.clock.now() <= timedelta(minutes=30)
        assert ward.app.effective().monitoring.log_level == "DEBUG"
        await ward.undo("log.debug", debug)
        assert ward.app.effective().monitoring.log_level == "INFO"


@pytest.mark.parametrize(("load", "expected"), [(7.9, False), (8.1, True)])
def test_the_load_is_the_machines_whatever_share_of_it_is_ours(load: float, expected: bool) -> None:
    waits = load * (os.cpu_count() or 1)
    for cpus in (0.5, 64.0):
        seen = ResourceSnapshot("here", 50.0, cpus, 50.0, 1, 2, True, (waits, waits, waits), ())
        assert unresponsive(seen) is expected

"""Carries out one blind drill: starts a project and its work, injects what was drawn when it is due, and observes."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.domain.run_status import RunStatus
from orchestration.drills import control_group, folders
from orchestration.drills.blind import collection
from orchestration.drills.blind.injection import CLOCK_FILE, DISK_MB, INJECTIONS, MEMORY_MB, TOOL_FAULT
from orchestration.drills.blind.observation import BlindObservation
from orchestration.drills.blind.plan import BlindPlan
from orchestration.drills.blind.primitives import DrawnFault
from orchestration.drills.blind.verdict import BlindVerdict, judge
from orchestration.drills.calibration import Calibration
from orchestration.drills.disk import mounts_below, small_disk
from orchestration.drills.environment import DrillEnvironment, drill_environment
from orchestration.drills.observer import DrillObserver
from orchestration.drills.processes import DrillError, all_of
from orchestration.drills.project import OFF
from orchestration.drills.setup import DrillSetting
from orchestration.storage.database import StorageError
from orchestration.storage.runs import Run, Runs

_POLL_SECONDS = 0.25
# How long the work may go on after the last fault, before what is still broken is repaired by the drill.
_PATIENCE_SECONDS = 30.0
# How long everything may take to settle after that: a provider is probed and watched, its incident verified and stable.
_SETTLE_SECONDS = 40.0
_STABLE_SECONDS = 10
# A drill on a machine that is slower than that says little, and must come to an end all the same.
_MOST_SLOWNESS = 3.0
_QUIET_SECONDS = 4.0
_LATENCY_MS = 60.0
_CPUS = 1.0
# Where Debian and its kin install it: https://packages.debian.org/libfaketime
_FAKETIME = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
# libfaketime 0.9.10 hands the kernel a negative time for an absolute sleep on the monotonic clock, which is how
# Python sleeps since 3.11 (https://docs.python.org/3/library/time.html#time.sleep); waiting for a lock is not affected.
_SLEEP = """\
import threading
import time

time.sleep = lambda seconds: threading.Event().wait(seconds) and None
"""
_SLEEP_FOLDER = "clock-sleep"
# A `python3` in front of the real one, which spoils one result and then removes its order.
_PYTHON = """\
#!/bin/sh
order="{order}"
if [ -e "$order" ]; then
    how=$(cat "$order"); rm -f "$order"
    case "$how" in
        noise) head -c 2000 /dev/urandom; exit 1;;
        killed) kill -KILL $$;;
        nothing) exit 1;;
    esac
fi
exec "{python}" "$@"
"""


@dataclass(frozen=True, slots=True)
class BlindResult:
    """The result of one blind drill. `folder` is where its project was kept, None if it was deleted."""

    plan: BlindPlan
    started_at: datetime
    seen: BlindObservation
    verdict: BlindVerdict
    folder: Path | None


def missing_need(plan: BlindPlan) -> str:
    """Why a plan cannot be carried out on this machine; empty if it can."""
    return next((reason for need in sorted(plan.needs) if (reason := _NEEDS[need]())), "")


def _no_mount() -> str:
    possible = os.geteuid() == 0 and shutil.which("mount") and shutil.which("umount")
    return "" if possible else "only root can mount a file system"


def _no_share() -> str:
    return control_group.impossible(memory_mb=MEMORY_MB, cpus=_CPUS)


def _faketime() -> str | None:
    return next((path for path in _FAKETIME if Path(path).exists()), None)


_NEEDS: Mapping[str, Callable[[], str]] = {
    "mount": _no_mount,
    "share": _no_share,
    "clock": lambda: "" if _faketime() else "the package libfaketime is not installed",
}


async def run_blind(plan: BlindPlan, clock: Clock, reference: Mapping[str, str], keep: Path | None) -> BlindResult:
    """Carry out one plan. `reference` is the result of a run without a fault."""
    started, begun = clock.now(), clock.monotonic()
    calibration = Calibration(clock)
    folder: Path | None = None
    try:
        with folders.project_folder(plan.name, keep) as folder:
            async with calibration.measuring():
                seen = await _observed(plan, folder, calibration, reference)
            seen = replace(seen, left=_left_in(folder))
    # A drill that could not be carried out is a result, too: the others still get their turn.
    except (DrillError, SQLAlchemyError, StorageError, OSError) as error:
        seen = BlindObservation(clock.monotonic() - begun, problem=f"{type(error).__name__}: {error}")
    seen = replace(seen, slowness=calibration.slowness)
    return BlindResult(plan, started, seen, judge(plan, seen), folder if keep else None)


async def run_reference(clock: Clock) -> Mapping[str, str]:
    """The result of the work without any fault. Raises DrillError if it does not succeed."""
    plan = BlindPlan(0, 0, ())
    with folders.project_folder("blind-reference", None) as folder:
        async with drill_environment(folder, _setting(plan, folder), clock) as environment:
            await environment.serve()
            await environment.run(environment.sample.goal)
            await environment.wait_for_runs()
            work = await environment.database.call(lambda: DrillObserver(environment).work(()))
            if not work.succeeded:
                raise DrillError(f"expected a run without a fault to succeed, got: {work.status}")
            return await anyio.to_thread.run_sync(collection.result_of, environment)


async def _observed(
    plan: BlindPlan, folder: Path, calibration: Calibration, reference: Mapping[str, str]
) -> BlindObservation:
    with small_disk(folder, DISK_MB if "disk-full" in _names(plan) else None):
        async with drill_environment(folder, _setting(plan, folder), calibration.clock) as environment:
            await environment.serve()
            if "share" in plan.needs:
                environment.confine(memory_mb=MEMORY_MB, cpus=_CPUS if "processor-busy" in _names(plan) else None)
            await environment.run(environment.sample.goal)
            await environment.wait_for_calls(1)
            return await _BlindDrill(plan, environment, reference, calibration).observe()


def _names(plan: BlindPlan) -> set[str]:
    return {fault.primitive.name for fault in plan.faults}


def _left_in(folder: Path) -> tuple[str, ...]:
    processes = [f"process {process.pid}" for process in all_of(folder)]
    return (*processes, *(f"mount {point}" for point in mounts_below(folder)))


class _BlindDrill:
    """One drill whose work has begun."""

    def __init__(
        self, plan: BlindPlan, environment: DrillEnvironment, reference: Mapping[str, str], calibration: Calibration
    ) -> None:
        self._plan = plan
        self._environment = environment
        self._reference = reference
        self._calibration = calibration
        self._clock = environment.clock
        self._since = environment.clock.now()
        self._begun = environment.clock.monotonic()
        self._injected = 0
        # Raised at the end, where no group of tasks wraps them.
        self._failures: list[Exception] = []
        self._repair = anyio.Event()

    async def observe(self) -> BlindObservation:
        """Inject, watch, repair what is still broken, and watch again."""
        async with anyio.create_task_group() as group:
            for fault in self._plan.faults:
                group.start_soon(self._inject, fault)
            try:
                patience = _PATIENCE_SECONDS * min(self._calibration.slowness, _MOST_SLOWNESS)
                await self._until(self._may_be_repaired, self._last_fault() + patience)
                self._repair.set()
                settled_by = self._elapsed() + _SETTLE_SECONDS * min(self._calibration.slowness, _MOST_SLOWNESS)
                await self._until(self._all_is_settled, settled_by, _QUIET_SECONDS)
            except (DrillError, OSError, SQLAlchemyError) as error:
                self._failures.append(error)
            self._repair.set()
        if self._failures:
            raise self._failures[0]
        return await self._collect()

    async def _inject(self, fault: DrawnFault) -> None:
        try:
            await self._inject_and_end(fault)
        except (DrillError, OSError, SQLAlchemyError) as error:
            self._failures.append(error)
            self._injected = len(self._plan.faults)
            self._repair.set()

    async def _inject_and_end(self, fault: DrawnFault) -> None:
        await self._clock.sleep(max(0.0, fault.at - self._elapsed()))
        end = await INJECTIONS[fault.primitive.name](self._environment, fault)
        self._injected += 1
        if fault.lasts is None:
            await self._repair.wait()
        else:
            with anyio.move_on_after(fault.lasts):
                await self._repair.wait()
        await end()

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._begun

    def _last_fault(self) -> float:
        return max((fault.at + (fault.lasts or 0.0) for fault in self._plan.faults), default=0.0)

    async def _until(self, condition: Callable[[], bool], until: float, lasting: float = 0.0) -> None:
        """Wait until it has held for `lasting` seconds, which a slow machine prolongs, or until that moment."""
        held_since = None
        while self._elapsed() < until:
            held_since = (held_since or self._elapsed()) if await self._holds(condition) else None
            if held_since is not None and self._elapsed() - held_since >= lasting * self._calibration.slowness:
                return
            await self._clock.sleep(_POLL_SECONDS)

    async def _holds(self, condition: Callable[[], bool]) -> bool:
        try:
            return await self._environment.database.call(condition)
        except (SQLAlchemyError, StorageError):
            return False  # the database is what a fault has made unavailable

    def _work_has_ended(self) -> bool:
        """Whether every fault has come, the ones with an end are over, and the work is done."""
        due = self._injected == len(self._plan.faults) and self._elapsed() > self._last_fault()
        return due and all(run.status.ended for run in self._runs())

    def _may_be_repaired(self) -> bool:
        """Whether the work is done, and those have been called who have to repair what is still broken."""
        needed = [fault.truth.levels for fault in self._plan.faults if fault.lasts is None and fault.truth.levels]
        incidents = collection.incidents(self._environment, self._since) if needed else ()
        called = {level for one in incidents for level in one.levels}
        return self._work_has_ended() and all(levels & called for levels in needed)

    def _all_is_settled(self) -> bool:
        """Whether the work is done and every incident is over or with a person; what failed needs one."""
        incidents = collection.incidents(self._environment, self._since)
        done = all(run.status is RunStatus.SUCCEEDED for run in self._runs()) or any(one.called for one in incidents)
        return self._work_has_ended() and done and all(one.called or not one.is_open for one in incidents)

    def _runs(self) -> list[Run]:
        return [Runs(self._environment.database).get(run) for run in self._environment.runs]

    async def _collect(self) -> BlindObservation:
        environment = self._environment
        calls = await environment.calls()
        result = await anyio.to_thread.run_sync(collection.result_of, environment)
        return BlindObservation(
            seconds=self._elapsed(),
            work=await environment.database.call(lambda: DrillObserver(environment).work(calls)),
            incidents=await environment.database.call(lambda: collection.incidents(environment, self._since)),
            differs=collection.differences(self._reference, result),
            opened=await environment.database.call(lambda: collection.opened_providers(environment, self._since)),
        )


def _setting(plan: BlindPlan, folder: Path) -> DrillSetting:
    names = _names(plan)
    programs: dict[str, str] = {}
    files: dict[str, str] = {}
    variables: dict[str, str] = {}
    if "tool-result-damaged" in names:
        programs["python3"] = _PYTHON.format(
            order=folder / TOOL_FAULT, python=shutil.which("python3") or sys.executable
        )
    if "clock-offset" in names:
        (folder / CLOCK_FILE).write_text("+0\n", encoding="utf-8")
        files[f"{_SLEEP_FOLDER}/sitecustomize.py"] = _SLEEP
        variables = _shifted(folder)
    return DrillSetting(
        latency_ms=_LATENCY_MS, configuration=_configuration(names), programs=programs, files=files, variables=variables
    )


def _shifted(folder: Path) -> dict[str, str]:
    """The wall clock is that of the file, read every second; the monotonic clock stays right, as it does on a machine
    whose time is set: https://github.com/wolfcw/libfaketime"""
    return {
        "LD_PRELOAD": str(_faketime()),
        "FAKETIME_TIMESTAMP_FILE": str(folder / CLOCK_FILE),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        # A workaround for old C libraries. With it each wait with a time limit returns at once, and so Python's threads
        # take the interpreter's lock from each other without end: https://github.com/wolfcw/libfaketime/issues/142
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(folder / _SLEEP_FOLDER), os.environ.get("PYTHONPATH")))),
    }


def _configuration(names: set[str]) -> dict[str, Any]:
    """The rules about the machine watch what is drawn, and nothing else that may go on there."""
    quick = {"enabled": True, "window": 5, "hold": 0, "keepFiring": 1}
    drawn = {"disk-full": "disk-low", "memory-short": "memory-high", "processor-busy": "cpu-high"}
    rules: dict[str, Any] = {name: {"enabled": False} for name in OFF}
    rules |= {rule: quick for name, rule in drawn.items() if name in names}
    if "disk-full" in names:
        rules["disk-low"] = {"enabled": True, "keepFiring": 1}
    thresholds = {
        "stalledSeconds": 8,
        "cpuPercent": 80 if "processor-busy" in names else 100,
        "memoryPercent": 70 if "memory-short" in names else 100,
    }
    # The database is checked often: a check that meets a fault is where the worst conclusions are drawn.
    return {
        "alerting": {"rules": rules},
        "monitoring": {"thresholds": thresholds, "integritySeconds": 3},
        "response": {"stabilitySeconds": _STABLE_SECONDS},
    }

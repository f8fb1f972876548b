"""Drills of the scenario "high resource usage", on a small file system or in a control group of their own."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills import control_group
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import DrillExpectation, DrillOutcome
from orchestration.drills.faults.fixtures import (
    FAULTY,
    TOOL,
    TOOL_FILES,
    TOOL_GOAL,
    TRIGGER,
    WORKING,
    limited,
    trigger,
    with_files,
)
from orchestration.drills.faults.own_provider import own_provider, trigger_own_provider
from orchestration.drills.model import Drill, DrillWork
from orchestration.drills.observer import BY_ITSELF
from orchestration.drills.project import laid_over
from orchestration.drills.setup import DrillSetting

_SCENARIO = Scenario.HIGH_RESOURCE_USAGE
_DISK_MB = 256
# Above the rule's threshold of 10 %, so that the fault is marked before the rule can fire;
# otherwise it could be detected before it was injected.
_SHORT_PERCENT = 10.5
_LEFT_PERCENT = 7.0
_PIECE = 1_000_000
_OLD_SECONDS = 30 * 86_400.0
# At 100 % the rules about processor and memory never fire: other load must not open an incident of its own.
_SMALL_DISK = DrillSetting(
    disk_mb=_DISK_MB,
    configuration={
        "alerting": {"rules": {"disk-low": {"enabled": True, "keepFiring": 1}}},
        "monitoring": {"thresholds": {"cpuPercent": 100, "memoryPercent": 100}},
    },
)


# Of a control group's own share. The mean over a window exceeds it once the window is nearly full of the fault.
_CPU_PERCENT = 80.0
_MEMORY_PERCENT = 70.0
_CPUS = 1.0
# `hoard` stops at 800 MB: over the rule's threshold for this group, under the limit at which the kernel would kill it.
_MEMORY_MB = 1000
_WINDOW_SECONDS = 5.0
# The worker grows past the threshold within ten seconds, and is known to grow a little later.
_LEAK_MB, _LEAK_PERCENT, _GROWN_SECONDS, _LEAK_KNOWN_SECONDS = 600, 50.0, 10.0, 8.0
_NEIGHBOUR_SECONDS = 20.0
_MUCH = 3
# Longer than the interval at which the control process reads an edited configuration.
_RELOAD_SECONDS = 3.0
_STOPPED = DrillExpectation(
    DrillOutcome.REPAIRED,
    _SCENARIO,
    Severity.P1,
    helped="stop-runaway",
    finds=("machine", "load"),
    holds=_WINDOW_SECONDS,
)
# A busy processor is a ticket; that memory runs out makes work fail.
_CALMED = replace(_STOPPED, severity=Severity.P3)


def _shared(**thresholds: float) -> DrillSetting:
    """Only these thresholds can be exceeded, and a command may use everything there is."""
    spared = {"cpuPercent": 100, "memoryPercent": 100} | thresholds
    return with_files(
        TOOL_FILES,
        monitoring={"thresholds": spared},
        agents=limited(memoryMb=_MEMORY_MB, cpuSeconds=600),
    )


def _no_mount() -> str:
    """Only root may mount a file system."""
    if os.geteuid() == 0 and shutil.which("mount") and shutil.which("umount"):
        return ""
    return "a file system of its own can be mounted by root only"


async def _burn(environment: DrillEnvironment) -> None:
    """In a share of its own, so that other load on the machine does not matter."""
    environment.confine(cpus=_CPUS)
    await _watch(environment, "cpu-high")
    await trigger("burn")(environment)


async def _hoard(environment: DrillEnvironment) -> None:
    environment.confine(memory_mb=_MEMORY_MB)
    await _watch(environment, "memory-high")
    await trigger("hoard")(environment)


async def _watch(environment: DrillEnvironment, rule: str) -> None:
    """Switch the rule on, with a shorter window than usual; the fault counts as injected once it is in force."""
    quick = {"enabled": True, "window": _WINDOW_SECONDS, "hold": 0, "keepFiring": 1}
    environment.write_configuration(laid_over(environment.read_configuration(), {"alerting": {"rules": {rule: quick}}}))
    await environment.clock.sleep(_RELOAD_SECONDS)
    environment.mark_injected()


async def _fill_with_logs(environment: DrillEnvironment) -> None:
    """Rotated logs that are a month old."""
    then = environment.clock.now().timestamp() - _OLD_SECONDS
    number = 0
    while (free := _free_percent(environment.folder)) > _LEFT_PERCENT:
        _mark_when_short(environment, free)
        number += 1
        path = environment.folder / "logs" / f"orchestrator.log.20200101T000000.{number:06}Z"
        path.write_bytes(b"x" * _PIECE)
        os.utime(path, (then, then))


async def _fill_with_foreign_files(environment: DrillEnvironment) -> None:
    number = 0
    (environment.folder / "theirs").mkdir()
    while (free := _free_percent(environment.folder)) > _LEFT_PERCENT:
        _mark_when_short(environment, free)
        number += 1
        (environment.folder / "theirs" / f"{number}.bin").write_bytes(b"x" * _PIECE)


def _mark_when_short(environment: DrillEnvironment, free: float) -> None:
    """Filling takes a while and is not the fault itself: that is when too little is left."""
    if environment.injected_at is None and free < _SHORT_PERCENT:
        environment.mark_injected()


def _free_percent(folder: Path) -> float:
    usage = shutil.disk_usage(folder)
    return 100 * usage.free / usage.total


async def _leak(environment: DrillEnvironment) -> None:
    environment.confine(memory_mb=_LEAK_MB)
    await _watch(environment, "memory-high")
    trigger_own_provider(environment, "leak")


async def _be_neighbours(environment: DrillEnvironment) -> None:
    """Another program uses up the share of the machine in which we run."""
    environment.confine(cpus=_CPUS)
    await _watch(environment, "cpu-high")
    await environment.start_neighbour("burn", str(_NEIGHBOUR_SECONDS))


async def _start_much(environment: DrillEnvironment) -> None:
    """Several unimportant runs that begin to calculate at once, so that none of them takes most."""
    workspaces = [environment.folder / f"work-{number}" for number in range(_MUCH)]
    for workspace in workspaces:
        workspace.mkdir()
        (workspace / "tool.py").write_text(FAULTY, encoding="utf-8")
        await environment.run(TOOL_GOAL, agent="helper", priority="low", workspace=workspace)

    async def all_at_work() -> bool:
        return all((workspace / WORKING).exists() for workspace in workspaces)

    await environment.until(all_at_work, "all runs to be at work")
    environment.confine(cpus=_CPUS)
    await _watch(environment, "cpu-high")
    for workspace in workspaces:
        (workspace / TRIGGER).write_text("burn", encoding="utf-8")
    environment.mark_injected()


DISK_FILLED_WITH_OLD_LOGS = Drill(
    "disk-filled-with-old-logs",
    "Old logs of the system itself fill its disk",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P1,
        helped="clear-away",
        finds=("machine",),
    ),
    _fill_with_logs,
    _SCENARIO,
    DrillWork(),
    _SMALL_DISK,
    impossible=_no_mount,
)
DISK_FILLED_BY_OTHERS = Drill(
    "disk-filled-by-others",
    "Files that are not ours fill the disk",
    DrillExpectation(
        DrillOutcome.HANDED_OVER,
        _SCENARIO,
        Severity.P1,
        level=2,
        finds=("machine",),
    ),
    _fill_with_foreign_files,
    _SCENARIO,
    DrillWork(),
    _SMALL_DISK,
    impossible=_no_mount,
)
COMMAND_BURNS_PROCESSOR = Drill(
    "command-burns-processor",
    "A command of an agent burns the processor, within its own limits",
    _CALMED,
    _burn,
    _SCENARIO,
    TOOL,
    _shared(cpuPercent=_CPU_PERCENT),
    impossible=lambda: control_group.impossible(cpus=_CPUS),
)
COMMAND_TAKES_MEMORY = Drill(
    "command-takes-memory",
    "A command of an agent takes most of the memory there is, within its own limits",
    _STOPPED,
    _hoard,
    _SCENARIO,
    TOOL,
    _shared(memoryPercent=_MEMORY_PERCENT),
    impossible=lambda: control_group.impossible(memory_mb=_MEMORY_MB),
)

BUSY_NEIGHBOUR = Drill(
    "busy-neighbour",
    "Another program uses up the processor; nothing of ours fails, so nobody is paged",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P3,
        helped=BY_ITSELF,
        level=0,
        finds=("machine", "load"),
        holds=_WINDOW_SECONDS,
        lasts=_NEIGHBOUR_SECONDS,
    ),
    _be_neighbours,
    _SCENARIO,
    setting=DrillSetting(configuration={"monitoring": {"thresholds": {"cpuPercent": _CPU_PERCENT}}}),
    impossible=lambda: control_group.impossible(cpus=_CPUS),
)
TOO_MUCH_AT_ONCE = Drill(
    "too-much-at-once",
    "More unimportant runs at once than the processor can do",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P3,
        helped="less-at-once",
        level=0,
        finds=("machine", "load"),
        holds=_WINDOW_SECONDS,
        # Each run is paused once, and resumed when the limits are back.
        calls_repeated=2 * _MUCH,
    ),
    _start_much,
    _SCENARIO,
    DrillWork(),
    replace(_shared(cpuPercent=_CPU_PERCENT), workers=_MUCH),
    impossible=lambda: control_group.impossible(cpus=_CPUS),
)

WORKER_GROWS = Drill(
    "worker-grows",
    "A provider of the user's own takes memory without end in a worker, below the worker's limit",
    replace(
        _STOPPED,
        helped="replace-worker",
        holds=_WINDOW_SECONDS + _GROWN_SECONDS + _LEAK_KNOWN_SECONDS,
        calls_repeated=2,
    ),
    _leak,
    _SCENARIO,
    setting=own_provider(
        1,
        monitoring={
            "thresholds": {
                "cpuPercent": 100,
                "memoryPercent": _LEAK_PERCENT,
                "leakSeconds": _LEAK_KNOWN_SECONDS,
            }
        },
    ),
    impossible=lambda: control_group.impossible(memory_mb=_LEAK_MB),
)

DRILLS = (
    BUSY_NEIGHBOUR,
    TOO_MUCH_AT_ONCE,
    DISK_FILLED_WITH_OLD_LOGS,
    DISK_FILLED_BY_OTHERS,
    COMMAND_BURNS_PROCESSOR,
    COMMAND_TAKES_MEMORY,
    WORKER_GROWS,
)

"""Drills of the scenario "workflow stuck or hanging"."""

from __future__ import annotations

import os
import signal
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import DrillExpectation, DrillOutcome
from orchestration.drills.faults.fixtures import (
    AGENT_FILES,
    OWN_CODE,
    TOOL,
    TOOL_FILES,
    limited,
    provider_fault,
    trigger,
    with_files,
)
from orchestration.drills.model import Drill
from orchestration.drills.setup import DrillSetting

_SCENARIO = Scenario.WORKFLOW_STUCK
_STALLED_SECONDS = 4.0
_STALLED: dict[str, Any] = {"monitoring": {"thresholds": {"stalledSeconds": _STALLED_SECONDS}}}
# The interval at which the progress of runs is checked.
_RUNS_SECONDS = 2.0
_COMMAND_SECONDS = 3.0
_WENT_ON = DrillExpectation(
    DrillOutcome.REPAIRED,
    _SCENARIO,
    Severity.P2,
    helped="restart-worker",
    finds=("runs", "waits"),
    holds=_STALLED_SECONDS,
    every=_RUNS_SECONDS,
    calls_repeated=1,
)


# SIGSTOP can be neither caught nor ignored (signal(7)), so a missing heartbeat is all that gives the worker away.
async def _freeze(environment: DrillEnvironment) -> None:
    os.kill((await environment.worker_pids())[0], signal.SIGSTOP)


TOOL_BLOCKS = Drill(
    "tool-blocks",
    "A command of an agent blocks and takes no notice of signals",
    _WENT_ON,
    trigger("block"),
    _SCENARIO,
    TOOL,
    with_files(TOOL_FILES, **_STALLED),
    quick=True,
)
AGENT_BLOCKS = Drill(
    "agent-blocks",
    "The user's own agent blocks and takes no notice of signals",
    _WENT_ON,
    trigger("block"),
    _SCENARIO,
    OWN_CODE,
    with_files(AGENT_FILES, **_STALLED),
)
TOOL_OVER_ITS_LIMIT = Drill(
    "tool-over-its-limit",
    "A command blocks for longer than its own time limit of 3 s",
    DrillExpectation(DrillOutcome.ABSORBED, limit=_COMMAND_SECONDS),
    trigger("block"),
    _SCENARIO,
    TOOL,
    with_files(TOOL_FILES, agents=limited(commandSeconds=_COMMAND_SECONDS)),
)
TOOL_LEAKS = Drill(
    "tool-leaks",
    "A command takes more memory than it may",
    DrillExpectation(DrillOutcome.ABSORBED),
    trigger("leak"),
    _SCENARIO,
    TOOL,
    with_files(TOOL_FILES),
)
MODEL_GIVES_NOTHING = Drill(
    "model-gives-nothing",
    "A model call hangs, and its provider answers everything else",
    _WENT_ON,
    provider_fault("hang", match={"path": "/v1/chat/completions"}, count=1),
    _SCENARIO,
    setting=DrillSetting(
        providers=("primary",),
        configuration=_STALLED,
    ),
)
WORKER_FREEZES = Drill(
    "worker-freezes",
    "A worker's process is stopped in its tracks (SIGSTOP)",
    DrillExpectation(DrillOutcome.ABSORBED, calls_repeated=1),
    _freeze,
    _SCENARIO,
)

DRILLS = (
    TOOL_BLOCKS,
    AGENT_BLOCKS,
    TOOL_OVER_ITS_LIMIT,
    TOOL_LEAKS,
    MODEL_GIVES_NOTHING,
    WORKER_FREEZES,
)

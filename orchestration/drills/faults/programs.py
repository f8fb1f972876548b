"""Drills of agents that are programs: each hangs, is killed, or takes memory without end."""

from __future__ import annotations

from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills.expectation import CALLS_UNDER_WAY, DrillExpectation, DrillOutcome
from orchestration.drills.faults.fixtures import AGENT_FILES, WORKING, trigger, with_files
from orchestration.drills.model import Drill, DrillWork
from orchestration.drills.project import agents

_STALLED_SECONDS = 4.0
_PROGRAM = {
    "id": "program",
    "role": "worker",
    "description": "A program of the user's own",
    "entryPoint": ["python3", "{project}/drill_agent.py"],
    "limits": {"seconds": 120, "memoryMb": 256},
}
_WORK = DrillWork(goal="Do the work of the program.", agent="program", sign=WORKING)
_FAILED = DrillExpectation(
    DrillOutcome.REPAIRED,
    Scenario.AGENT_FAILURE,
    Severity.P2,
    helped="restart",
    finds=("runs", "agents", "environments"),
    holds=3.0,
)
_STALLED = DrillExpectation(
    DrillOutcome.REPAIRED,
    Scenario.WORKFLOW_STUCK,
    Severity.P2,
    helped="restart-worker",
    finds=("runs", "waits"),
    holds=_STALLED_SECONDS,
    every=2.0,
    calls_repeated=CALLS_UNDER_WAY,
)


def _drill(name: str, fault: str, how: str, expects: DrillExpectation, **configuration: Any) -> Drill:
    setting = with_files(AGENT_FILES, agents=[*agents(), _PROGRAM], **configuration)
    return Drill(name, fault, expects, trigger(how), expects.scenario or Scenario.AGENT_FAILURE, _WORK, setting)


PROGRAM_BLOCKS = _drill(
    "program-blocks",
    "A program that is an agent blocks and takes no notice of signals",
    "block",
    _STALLED,
    monitoring={"thresholds": {"stalledSeconds": _STALLED_SECONDS}},
)
PROGRAM_KILLED = _drill("program-killed", "A program that is an agent is killed at work", "kill", _FAILED)
PROGRAM_LEAKS = _drill("program-leaks", "A program that is an agent takes memory without end", "leak", _FAILED)

DRILLS = (PROGRAM_BLOCKS, PROGRAM_KILLED, PROGRAM_LEAKS)

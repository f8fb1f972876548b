"""Drills of the scenario "workflow stuck or hanging"."""

from __future__ import annotations

import os
import signal
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills import person
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import CALLS_UNDER_WAY, DrillExpectation, DrillOutcome
from orchestration.drills.faults.fixtures import (
    AGENT_FILES,
    OWN_CODE,
    TOOL,
    TOOL_FILES,
    TRIGGER,
    limited,
    provider_fault,
    trigger,
    with_files,
)
from orchestration.drills.model import Drill, DrillWork
from orchestration.drills.project import laid_over
from orchestration.drills.setup import DrillSetting
from orchestration.storage.approvals import ApprovalTable

_SCENARIO = Scenario.WORKFLOW_STUCK
_STALLED_SECONDS = 4.0
_STALLED: dict[str, Any] = {"monitoring": {"thresholds": {"stalledSeconds": _STALLED_SECONDS}}}
# The interval at which the progress of runs is checked.
_RUNS_SECONDS = 2.0
_COMMAND_SECONDS = 3.0
# Five past runs are enough to know, and a minute is the least that any run may take: a tenth of it is too long here.
_USUAL_RUNS, _OVERDUE_RATIO, _OVERDUE_SECONDS, _OVERDUE_HOLD = 5, 0.1, 6.0, 1.0
_LONG_SECONDS = 18.0
# A person who is awake: reads a message and gives a command, which starts a program.
_ANSWER_SECONDS = 10.0
# The rule of a user who wants to hear of runs that nobody approves; the product's own one waits for half an hour.
_FORGOTTEN_SECONDS = 3.0
_FORGOTTEN: dict[str, Any] = {
    "signal": "run_waiting",
    "scenario": _SCENARIO.value,
    "threshold": 1,
    "hold": _FORGOTTEN_SECONDS,
    "by": ["run"],
    "subject": "{run}",
    "facts": "run",
}
_WENT_ON = DrillExpectation(
    DrillOutcome.REPAIRED,
    _SCENARIO,
    Severity.P2,
    helped="restart-worker",
    finds=("runs", "waits"),
    holds=_STALLED_SECONDS,
    every=_RUNS_SECONDS,
    calls_repeated=CALLS_UNDER_WAY,
)


# SIGSTOP can be neither caught nor ignored (signal(7)), so a missing heartbeat is all that gives the worker away.
async def _freeze(environment: DrillEnvironment) -> None:
    os.kill((await environment.worker_pids())[0], signal.SIGSTOP)


async def _work_as_usual(environment: DrillEnvironment) -> None:
    """As often as it takes to know how long such a run takes."""
    (environment.workspace / TRIGGER).write_text("")
    for _ in range(_USUAL_RUNS):
        await environment.run("Do the work.", agent="own-code")
    await environment.wait_for_runs()
    (environment.workspace / TRIGGER).unlink()


async def _work_long(environment: DrillEnvironment) -> None:
    await environment.inject_by_run("Do the work.", agent="own-code")
    await environment.clock.sleep(_LONG_SECONDS)
    await trigger("")(environment)


async def _allow_more_time(environment: DrillEnvironment) -> None:
    """The limit that the playbook has raised is that of all runs."""
    document = environment.read_configuration()
    environment.write_configuration(laid_over(document, {"runtime": {"limits": {"seconds": 1500}}}))


async def _wait_for_approval(environment: DrillEnvironment) -> None:
    run = await environment.run(environment.sample.goal, approve="executor")

    async def waits() -> bool:
        return bool(await environment.database.call(lambda: ApprovalTable(environment.database).list_open(run)))

    await environment.until(waits, "a question of the run")
    environment.mark_injected()


async def _approve_when_reminded(environment: DrillEnvironment) -> None:
    await person.wait_for_action(environment, "people.remind")
    await environment.command("runs", "approve", environment.runs[0])


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
PROVIDER_LEAVES_CALLS_HANGING = Drill(
    "provider-leaves-calls-hanging",
    "A provider takes every request and answers none, and nobody watches its own check",
    DrillExpectation(DrillOutcome.ABSORBED, calls_repeated=CALLS_UNDER_WAY),
    provider_fault("hang"),
    _SCENARIO,
    setting=DrillSetting(
        configuration={**_STALLED, "alerting": {"rules": {"provider-down": {"enabled": False}}}},
    ),
)
WORK_TAKES_LONGER_THAN_USUAL = Drill(
    "work-takes-longer-than-usual",
    "A run takes much longer than such runs do, and gets on",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P2,
        helped="more-time",
        finds=("runs", "waits"),
        holds=_OVERDUE_SECONDS + _OVERDUE_HOLD,
        every=_RUNS_SECONDS,
        lasts=_LONG_SECONDS,
        mended=True,
    ),
    _work_long,
    _SCENARIO,
    DrillWork(),
    with_files(AGENT_FILES, alerting={"rules": {"run-overdue": {"threshold": _OVERDUE_RATIO, "hold": _OVERDUE_HOLD}}}),
    prepare=_work_as_usual,
    mend=_allow_more_time,
)
WAITS_FOR_A_PERSON = Drill(
    "waits-for-a-person",
    "A run waits for a person who has forgotten it",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P2,
        helped="remind",
        finds=("waits",),
        holds=_FORGOTTEN_SECONDS,
        lasts=_ANSWER_SECONDS,
    ),
    _wait_for_approval,
    _SCENARIO,
    DrillWork(),
    DrillSetting(configuration={"alerting": {"rules": {"forgotten": _FORGOTTEN}}}),
    attend=_approve_when_reminded,
)
WORKER_FREEZES = Drill(
    "worker-freezes",
    "A worker's process is stopped in its tracks (SIGSTOP)",
    DrillExpectation(DrillOutcome.ABSORBED, calls_repeated=CALLS_UNDER_WAY),
    _freeze,
    _SCENARIO,
)

DRILLS = (
    TOOL_BLOCKS,
    AGENT_BLOCKS,
    TOOL_OVER_ITS_LIMIT,
    TOOL_LEAKS,
    MODEL_GIVES_NOTHING,
    PROVIDER_LEAVES_CALLS_HANGING,
    WORK_TAKES_LONGER_THAN_USUAL,
    WAITS_FOR_A_PERSON,
    WORKER_FREEZES,
)

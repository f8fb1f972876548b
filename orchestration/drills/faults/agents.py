"""Drills of the scenario "agent execution failure"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import DrillExpectation, DrillOutcome
from orchestration.drills.faults.fixtures import AGENT_FILES, OWN_CODE, TRIGGER, trigger, with_files
from orchestration.drills.model import Drill, DrillWork, Inject
from orchestration.drills.project import laid_over
from orchestration.drills.setup import DrillSetting

_SCENARIO = Scenario.AGENT_FAILURE
# The rule holds for 3 s: if a broken provider is the cause, its own incident has to come first.
_RESTARTED = DrillExpectation(
    DrillOutcome.REPAIRED, _SCENARIO, Severity.P2, helped="restart", finds=("runs", "agents"), holds=3.0
)
_FILES = with_files(AGENT_FILES)


def _drill(name: str, fault: str, inject: Inject, expects: DrillExpectation = _RESTARTED, **more: Any) -> Drill:
    return Drill(name, fault, expects, inject, _SCENARIO, OWN_CODE, _FILES, **more)


# The rollback that the playbook asks about goes to a version with which a run
# succeeded, so one has to be on record first.
async def _one_good_run(environment: DrillEnvironment) -> None:
    (environment.workspace / TRIGGER).write_text("")
    await environment.run("Do the work once.", agent="own-code")
    await environment.wait_for_runs()


async def _break_agent(environment: DrillEnvironment) -> None:
    """Name a function that does not exist as the agent's entry point; then start a run."""
    document = environment.read_configuration()
    agents = [
        laid_over(agent, {"entryPoint": "drill_agent:absent"}) if agent["id"] == "own-code" else agent
        for agent in document["agents"]
    ]
    environment.write_configuration({**document, "agents": agents})
    # Longer than the interval at which an edited configuration is read.
    await environment.clock.sleep(2)
    await environment.inject_by_run("Do the work again.", agent="own-code")


async def _plan_badly(environment: DrillEnvironment) -> None:
    """Six bad answers: the planner gives up after three, is restarted, gives up again, and then succeeds."""
    await environment.primary.fault("bad_json_answer", count=6, match={"role": "planner"})
    await environment.inject_by_run(environment.sample.goal)


async def _save_nonsense(environment: DrillEnvironment) -> None:
    environment.configuration_file.write_text('{"runtime": {"defaultProvider": ', encoding="utf-8")


AGENT_CRASHES = _drill("agent-crashes", "The user's own agent raises an error", trigger("crash"), quick=True)
AGENT_EXITS = _drill("agent-exits", "The user's own agent ends its process", trigger("exit"))
AGENT_LEAKS = _drill("agent-leaks", "An agent takes memory without end", trigger("leak"))
AGENT_ALWAYS_CRASHES = _drill(
    "agent-always-crashes",
    "An agent fails again whenever it is restarted",
    trigger("always crash"),
    DrillExpectation(
        DrillOutcome.HANDED_OVER,
        _SCENARIO,
        Severity.P2,
        level=2,
        offers=("run.restart",),
        finds=("runs", "agents"),
        holds=3.0,
        work_succeeds=False,
    ),
)
ANSWERS_MALFORMED = Drill(
    "answers-malformed",
    "The model's answers do not match the form that was asked for, for a while",
    replace(_RESTARTED, calls_repeated=3),
    _plan_badly,
    _SCENARIO,
    DrillWork(),
    # No fallback: another provider would give good answers, and the fault would never be seen.
    DrillSetting(providers=("primary",)),
)
CONFIGURATION_BREAKS_AGENT = Drill(
    "configuration-breaks-agent",
    "A person's edit breaks an agent that worked",
    DrillExpectation(
        DrillOutcome.HANDED_OVER,
        _SCENARIO,
        Severity.P2,
        asks=("config.last-good",),
        finds=("runs", "agents"),
        holds=3.0,
        work_succeeds=False,
    ),
    _break_agent,
    _SCENARIO,
    DrillWork(),
    _FILES,
    prepare=_one_good_run,
)
EDIT_REFUSED = Drill(
    "edit-refused",
    "A person saves a configuration that is no JSON",
    DrillExpectation(DrillOutcome.ABSORBED),
    _save_nonsense,
    _SCENARIO,
)

DRILLS = (
    AGENT_CRASHES,
    AGENT_EXITS,
    AGENT_LEAKS,
    AGENT_ALWAYS_CRASHES,
    ANSWERS_MALFORMED,
    CONFIGURATION_BREAKS_AGENT,
    EDIT_REFUSED,
)

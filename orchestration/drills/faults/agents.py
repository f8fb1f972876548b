"""Drills of the scenario "agent execution failure"."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills import person
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import DrillExpectation, DrillOutcome
from orchestration.drills.faults.fixtures import AGENT_FILES, OWN_CODE, TRIGGER, trigger, with_files
from orchestration.drills.model import Drill, DrillWork, Inject
from orchestration.drills.project import agents, laid_over
from orchestration.drills.setup import DrillSetting

_SCENARIO = Scenario.AGENT_FAILURE
# The rule holds for 3 s: if a broken provider is the cause, its own incident has to come first.
_RESTARTED = DrillExpectation(
    DrillOutcome.REPAIRED, _SCENARIO, Severity.P2, helped="restart", finds=("runs", "agents"), holds=3.0
)
_FILES = with_files(AGENT_FILES)
# A person who is awake: reads a question and gives a command, which starts a program.
_ANSWER_SECONDS = 10.0
# Works for longer than its limit, and shows that it gets on.
_SLOW_SECONDS, _LIMIT_SECONDS = 6.0, 4.0
_SLOW = f"""\
import time


def work(task):
    for _ in range(int({_SLOW_SECONDS} / 0.2)):
        print("gets on", flush=True)
        time.sleep(0.2)
    return "The work was done."
"""


# What a commit of the workspace can break, and the check that shows with which one.
_RATIO = """\
import runpy
from pathlib import Path


def work(task):
    parts = runpy.run_path(str(Path(task["workspace"]) / "ratio.py"))["PARTS"]
    return f"Each part is {100 / parts} of a hundred."
"""
_RATIO_CHECK = 'python3 -c "import ratio; 100 / ratio.PARTS"'


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
    environment.edit_agent("own-code", entryPoint="drill_agent:absent")
    # Longer than the interval at which an edited configuration is read.
    await environment.clock.sleep(2)
    await environment.inject_by_run("Do the work again.", agent="own-code")


async def _correct_entry_point(environment: DrillEnvironment) -> None:
    environment.edit_agent("own-code", entryPoint="drill_agent:work")


async def _allow_more_time(environment: DrillEnvironment) -> None:
    environment.edit_agent("own-code", limits={"seconds": 10 * _LIMIT_SECONDS})


async def _plan_badly(environment: DrillEnvironment) -> None:
    """Three bad answers: the planner gives up after them, is restarted, and succeeds."""
    await environment.primary.fault("bad_json_answer", count=3, match={"role": "planner"})
    await environment.inject_by_run(environment.sample.goal)


async def _plan_always_badly(environment: DrillEnvironment) -> None:
    """A model that cannot do it; its server is well."""
    await environment.primary.fault("bad_json_answer", match={"role": "planner"})
    await environment.inject_by_run(environment.sample.goal)


async def _name_other_provider(environment: DrillEnvironment) -> None:
    environment.edit_agent("planner", provider="second")


async def _commit_in_workspace(environment: DrillEnvironment, message: str, **files: str) -> None:
    for name, text in files.items():
        (environment.workspace / f"{name}.py").write_text(text, encoding="utf-8")
    await environment.git("add", "--all")
    await environment.git("commit", "--quiet", "--message", message)


async def _work_with_history(environment: DrillEnvironment) -> None:
    """A repository in which the agent has worked well."""
    await environment.git("init", "--quiet")
    await _commit_in_workspace(environment, "Begin", ratio="PARTS = 4\n", notes="")
    await environment.run("Do the work once.", agent="ratio", checks=(_RATIO_CHECK,))
    await environment.wait_for_runs()
    # The history knows seconds.
    await environment.clock.sleep(1.1)


async def _commit_badly(environment: DrillEnvironment) -> None:
    await _commit_in_workspace(environment, "Note it", notes="# before\n")
    await _commit_in_workspace(environment, "Take no parts", ratio="PARTS = 0\n")
    await _commit_in_workspace(environment, "Note it again", notes="# after\n")
    await environment.inject_by_run("Do the work again.", agent="ratio", checks=(_RATIO_CHECK,))


async def _merge_branch(environment: DrillEnvironment) -> None:
    act = await person.wait_for_action(environment, "code.revert")
    await environment.git("merge", "--quiet", "--no-edit", str(act.findings["branch"]))


async def _work_slowly(environment: DrillEnvironment) -> None:
    await environment.inject_by_run("Do a long piece of work.", agent="own-code")


async def _half_break_provider(environment: DrillEnvironment) -> None:
    """It answers with nonsense, which is no failure of a call, and its own status says that it is not well."""
    await environment.primary.fault("bad_json_answer", match={"path": "/v1/chat/completions"})
    await environment.primary.fault("503", match={"path": "/v1/models"})
    await environment.inject_by_run(environment.sample.goal)


async def _save_nonsense(environment: DrillEnvironment) -> None:
    environment.configuration_file.write_text('{"runtime": {"defaultProvider": ', encoding="utf-8")


# A second attempt would ask the fallback by itself, and nothing would be left to respond to.
_ONE_ATTEMPT = DrillSetting(configuration={"runtime": {"agentRetries": 0}})

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
    replace(_ONE_ATTEMPT, providers=("primary",)),
)
CONFIGURATION_BREAKS_AGENT = Drill(
    "configuration-breaks-agent",
    "A person's edit breaks an agent that worked",
    DrillExpectation(
        DrillOutcome.REPAIRED,
        _SCENARIO,
        Severity.P2,
        helped="last-good-configuration",
        answers=("config.last-good",),
        finds=("runs", "agents"),
        holds=3.0,
        lasts=_ANSWER_SECONDS,
        mended=True,
    ),
    _break_agent,
    _SCENARIO,
    DrillWork(),
    _FILES,
    prepare=_one_good_run,
    mend=_correct_entry_point,
)
WORK_OUTGROWS_ITS_LIMIT = Drill(
    "work-outgrows-its-limit",
    "An agent's work takes longer than its time limit, and gets on",
    replace(_RESTARTED, helped="more-time", holds=3.0 + 2 * _LIMIT_SECONDS, lasts=_SLOW_SECONDS, mended=True),
    _work_slowly,
    _SCENARIO,
    DrillWork(),
    with_files(
        {"drill_agent.py": _SLOW},
        agents=[
            laid_over(agent, {"limits": {"seconds": _LIMIT_SECONDS}}) if agent["id"] == "own-code" else agent
            for agent in agents()
        ],
    ),
    mend=_allow_more_time,
)
COMMIT_BREAKS_AGENT = Drill(
    "commit-breaks-agent",
    "A commit in the workspace breaks the work of an agent, and the run's own check",
    replace(
        _RESTARTED,
        helped="revert-change",
        answers=("code.revert", "run.restart"),
        finds=("runs", "agents", "code"),
        lasts=3 * _ANSWER_SECONDS,
    ),
    _commit_badly,
    _SCENARIO,
    DrillWork(),
    with_files(
        {"drill_ratio.py": _RATIO},
        agents=[
            *agents(),
            {"id": "ratio", "role": "worker", "description": "Divides", "entryPoint": "drill_ratio:work"},
        ],
    ),
    prepare=_work_with_history,
    before_answering={"run.restart": _merge_branch},
    impossible=lambda: "" if shutil.which("git") else "git is not installed",
)
MODEL_IS_NOT_ABLE = Drill(
    "model-is-not-able",
    "A model's answers cannot be used at all, and its provider is well",
    replace(_RESTARTED, helped="other-model", holds=3.0 + 5.0, lasts=_ANSWER_SECONDS, calls_repeated=9, mended=True),
    _plan_always_badly,
    _SCENARIO,
    DrillWork(),
    _ONE_ATTEMPT,
    mend=_name_other_provider,
)
PROVIDER_TALKS_NONSENSE = Drill(
    "provider-talks-nonsense",
    "A provider whose own check fails answers with nonsense, and nobody watches that check",
    replace(
        _RESTARTED,
        helped="other-provider",
        finds=("runs", "agents", "probe"),
        holds=8.0,
        calls_repeated=6,
        mended=True,
    ),
    _half_break_provider,
    _SCENARIO,
    DrillWork(),
    DrillSetting(
        configuration={**_ONE_ATTEMPT.configuration, "alerting": {"rules": {"provider-down": {"enabled": False}}}}
    ),
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
    WORK_OUTGROWS_ITS_LIMIT,
    COMMIT_BREAKS_AGENT,
    MODEL_IS_NOT_ABLE,
    PROVIDER_TALKS_NONSENSE,
    EDIT_REFUSED,
)

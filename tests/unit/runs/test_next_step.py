"""The command to type next for a run in each state, and what goes on without a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestration.cli.render import outcome_text
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentStarted
from orchestration.runs.agent_steps import open_agents
from orchestration.runs.next_step import NextStep, next_step
from orchestration.storage.approvals import Approval
from orchestration.storage.runs import Run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = Run("run-1", "mend it", "/work", NOON)
RESUME, SHOW, FORK = (f"orchestrator runs {verb} run-1" for verb in ("resume", "show", "fork"))
QUESTIONS = tuple(Approval(f"q{number}", "run-1", f"may it {number}?\nIt would.", NOON) for number in (1, 2))
AT_ITS_END = {
    "use": {"seconds": 1.0, "model_calls": 1, "tokens": 1, "usd": 0, "rehearsal": False},
    "step_failed": False,
}


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        (RunStatus.QUEUED, {}, NextStep(RESUME, continues=True)),
        (RunStatus.RUNNING, {}, NextStep(RESUME, continues=True)),
        (RunStatus.WAITING, {"hold": RunHold.NO_PROVIDER}, NextStep(RESUME, continues=True)),
        (RunStatus.STOPPED, {"hold": RunHold.INTERRUPTED}, NextStep(RESUME, continues=True)),
        (RunStatus.STOPPED, {"hold": RunHold.PAUSED_BY_PERSON}, NextStep(RESUME)),
        (RunStatus.STOPPED, {"hold": RunHold.STOPPED_BY_RESPONSE}, NextStep(RESUME)),
        (RunStatus.STOPPED, {"hold": RunHold.STOPPED_BY_RESPONSE, "held_by": "inc-1"}, NextStep(RESUME)),
        (RunStatus.FAILED, {}, NextStep(RESUME)),
        (RunStatus.FAILED, {"outcome": {"use": {}}}, NextStep(RESUME)),
        (RunStatus.FAILED, {"outcome": AT_ITS_END}, NextStep(FORK)),
        (RunStatus.SUCCEEDED, {}, None),
        (RunStatus.CANCELLED, {"hold": RunHold.CANCELLED_BY_PERSON}, None),
    ],
)
def test_every_state_has_its_command(status: RunStatus, more: dict[str, object], expected: NextStep | None) -> None:
    assert next_step(replace(RUN, status=status, **more)) == expected  # type: ignore[arg-type]


def test_what_a_live_process_works_on_is_watched() -> None:
    assert next_step(replace(RUN, status=RunStatus.RUNNING), attended=True) == NextStep(SHOW, continues=True)


def test_what_an_open_incident_holds_is_decided_there() -> None:
    held = replace(RUN, status=RunStatus.STOPPED, hold=RunHold.PAUSED_BY_RESPONSE, held_by="inc-7")
    assert next_step(held, incident_open=True) == NextStep("orchestrator incidents show inc-7")


def test_a_question_comes_first_and_is_named_where_there_are_several() -> None:
    waiting = replace(RUN, status=RunStatus.WAITING, hold=RunHold.APPROVAL)
    assert next_step(waiting, QUESTIONS[:1], attended=True) == NextStep("orchestrator runs approve run-1")
    command = "orchestrator runs approve run-1 --question 'may it 1? It would.'"
    assert next_step(waiting, QUESTIONS, attended=True) == NextStep(command)


def test_a_run_that_failed_at_its_end_is_not_said_to_be_resumable() -> None:
    assert f"go on      {FORK}" in outcome_text(replace(RUN, status=RunStatus.FAILED, outcome=AT_ITS_END), ())
    assert f"go on      {RESUME}" in outcome_text(replace(RUN, status=RunStatus.FAILED), ())


def test_an_agent_has_an_open_step_from_its_start_until_it_succeeds() -> None:
    def event(agent: str, payload: AgentStarted | AgentFinished) -> Event:
        return Event(payload.kind, NOON, "run-1", agent, data=payload.data())

    begun = event("planner", AgentStarted("run-1.planner", "plan"))
    failed = event("planner", AgentFinished.from_data({**DONE, "failing": {"kind": "timeout", "message": "slow"}}))
    done = event("planner", AgentFinished.from_data(DONE))
    other = event("executor", AgentStarted("run-1.executor", "work"))
    assert open_agents([begun]) == {"planner"}
    assert open_agents([begun, failed, other]) == {"planner", "executor"}
    assert open_agents([begun, failed, begun, done]) == frozenset()


DONE = {
    "agent_run_id": "run-1.planner",
    "failing": None,
    "use": {"seconds": 1.0, "model_calls": 1, "tokens": 1, "usd": 0.0, "rehearsal": False},
}

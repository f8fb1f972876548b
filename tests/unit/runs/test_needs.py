"""The command to type next for a run in each state, and what goes on without a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentStarted
from orchestration.runs.agent_steps import open_agents
from orchestration.runs.needs import RunNeed, need_of
from orchestration.storage.approvals import Approval
from orchestration.storage.runs import Run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = Run("run-1", "mend it", "/work", NOON)
RESUME, SHOW = (f"orchestrator runs {verb} run-1" for verb in ("resume", "show"))
QUESTIONS = tuple(Approval(f"q{number}", "run-1", f"may it {number}?\nIt would.", NOON) for number in (1, 2))


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        (RunStatus.QUEUED, {}, RunNeed(RESUME, continues=True)),
        (RunStatus.RUNNING, {}, RunNeed(RESUME, continues=True)),
        (RunStatus.WAITING, {"hold": RunHold.NO_PROVIDER}, RunNeed(RESUME, continues=True)),
        (RunStatus.STOPPED, {"hold": RunHold.INTERRUPTED}, RunNeed(RESUME, continues=True)),
        (RunStatus.STOPPED, {"hold": RunHold.PAUSED_BY_PERSON}, RunNeed(RESUME)),
        (RunStatus.STOPPED, {"hold": RunHold.STOPPED_BY_RESPONSE}, RunNeed(RESUME)),
        (RunStatus.STOPPED, {"hold": RunHold.STOPPED_BY_RESPONSE, "held_by": "inc-1"}, RunNeed(RESUME)),
        (RunStatus.FAILED, {}, RunNeed(RESUME)),
        (RunStatus.NOT_APPROVED, {"outcome": {"ending": "changes-requested"}}, RunNeed(f"{RESUME} --rounds 2")),
        (RunStatus.NOT_APPROVED, {"outcome": {"ending": "approval-denied"}}, None),
        (RunStatus.INCOMPLETE, {"outcome": {"ending": "limit-reached"}}, RunNeed(RESUME)),
        (RunStatus.SUCCEEDED, {}, None),
        (RunStatus.CANCELLED, {"hold": RunHold.CANCELLED_BY_PERSON}, None),
    ],
)
def test_every_state_has_its_command(status: RunStatus, more: dict[str, object], expected: RunNeed | None) -> None:
    assert need_of(replace(RUN, status=status, **more)) == expected  # type: ignore[arg-type]


def test_what_a_live_process_works_on_is_watched() -> None:
    assert need_of(replace(RUN, status=RunStatus.RUNNING), attended=True) == RunNeed(SHOW, continues=True)


def test_while_the_system_is_isolated_nothing_goes_on() -> None:
    command = need_of(replace(RUN, status=RunStatus.WAITING), isolated=True)
    assert command == RunNeed('orchestrator isolate off --reason "…"')


def test_what_an_open_incident_holds_is_decided_there() -> None:
    held = replace(RUN, status=RunStatus.STOPPED, hold=RunHold.PAUSED_BY_RESPONSE, held_by="inc-7")
    assert need_of(held, incident_open=True) == RunNeed("orchestrator incidents show inc-7")


def test_a_question_comes_first_and_is_named_where_there_are_several() -> None:
    waiting = replace(RUN, status=RunStatus.WAITING, hold=RunHold.APPROVAL)
    assert need_of(waiting, QUESTIONS[:1], attended=True) == RunNeed("orchestrator runs approve run-1")
    command = "orchestrator runs approve run-1 --question 'may it 1? It would.'"
    assert need_of(waiting, QUESTIONS, attended=True) == RunNeed(command)


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

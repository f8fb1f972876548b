"""Whatever happens in a run, its stream is one that AG-UI permits: judged by the protocol's own package."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from ag_ui.core import Event as OfficialEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from orchestration.domain.run_status import RunStatus
from orchestration.errors import UsageError
from orchestration.events import Event
from orchestration.events.agents import (
    AgentFinished,
    AgentInterrupted,
    AgentRetried,
    AgentStarted,
    FailureCause,
    ToolCallFinished,
    Usage,
)
from orchestration.events.payload import EventPayload
from orchestration.events.runs import (
    ApprovalRequested,
    ArtifactWritten,
    CheckFinished,
    RunCancelled,
    RunContinued,
    RunCreated,
    RunFinished,
    RunStarted,
    RunStopped,
    RunWaiting,
)
from orchestration.web.ag_ui.request import AgUiRequest, InterruptAnswer
from orchestration.web.ag_ui.translation import RunTranslation

OFFICIAL: TypeAdapter[Any] = TypeAdapter(OfficialEvent)
USE = Usage(seconds=1.0, model_calls=1, tokens=10, usd=0.0, rehearsal=True)
WORK = st.sampled_from(["w1", "w2", "w3"])
TEXT = st.text(max_size=20)
PAYLOADS: st.SearchStrategy[EventPayload] = st.one_of(
    st.builds(RunCreated, goal=TEXT, priority=st.just("normal"), origin=TEXT, schedule=st.none(), due_at=st.none()),
    st.builds(RunStarted, goal=TEXT, workspace=TEXT),
    st.builds(AgentStarted, agent_run_id=WORK, title=st.sampled_from(["write", "read"])),
    st.builds(
        AgentFinished,
        agent_run_id=WORK,
        failing=st.none() | st.builds(FailureCause, kind=TEXT, message=TEXT, error=TEXT),
        use=st.just(USE),
        config_version=st.none(),
    ),
    st.builds(AgentInterrupted, agent_run_id=WORK),
    st.builds(AgentRetried, attempt=st.integers(1, 3), reason=TEXT),
    st.builds(
        ToolCallFinished,
        agent_run_id=WORK, key=st.uuids().map(str), tool=TEXT, about=TEXT, ok=st.booleans(), seconds=st.just(0.1),
        after=st.none(),
    ),
    st.builds(ArtifactWritten, name=st.sampled_from(["plan.md", "review.md"]), sha256=st.just("0" * 64)),
    st.builds(CheckFinished, key=TEXT, command=TEXT, exit_code=st.none() | st.integers(0, 2), seconds=st.just(0.1)),
    st.builds(RunWaiting, reason=TEXT, hints=st.just(("wait",))),
    st.just(RunContinued()),
    st.builds(ApprovalRequested, approval=st.just("a1"), question=TEXT, again=st.none(), incident=st.none()),
    st.builds(
        RunFinished,
        status=st.sampled_from([one.value for one in RunStatus if one.ended]),
        reason=TEXT, use=st.just(USE), verdict=st.none() | TEXT,
        ending=st.none(), by_agent=st.none(), failure=st.none(), config_version=st.none(),
    ),
    st.builds(RunStopped, reason=TEXT),
    st.builds(RunCancelled, reason=TEXT),
)  # fmt: skip


def happened(payload: EventPayload) -> Event:
    return Event(payload.kind, datetime(2026, 11, 30, tzinfo=UTC), "run-1", "executor", "system", payload.data())


def stream(payloads: list[EventPayload], *, lost: bool = False) -> list[dict[str, Any]]:
    translation = RunTranslation("thread", "request", "run-1")
    found = list(translation.begin())
    for payload in payloads:
        found += translation.translate(happened(payload))
    if lost and not translation.ended:
        found += translation.lose()
    return found


@given(st.lists(PAYLOADS, max_size=25))
def test_the_order_of_the_protocol_is_kept_whatever_happens(payloads: list[EventPayload]) -> None:
    found = stream(payloads, lost=True)
    for each in found:
        OFFICIAL.validate_python(each)
    kinds = [each["type"] for each in found]
    assert kinds[0] == "RUN_STARTED"
    assert kinds[-1] in ("RUN_FINISHED", "RUN_ERROR")
    assert sum(kind in ("RUN_FINISHED", "RUN_ERROR") for kind in kinds) == 1
    steps: set[str] = set()
    for each in found:
        match each["type"]:
            case "STEP_STARTED":
                assert each["stepName"] not in steps
                steps.add(each["stepName"])
            case "STEP_FINISHED":
                steps.remove(each["stepName"])
    assert not steps
    # What was begun is ended at once: nothing else of the protocol comes in between.
    pairs = {"TOOL_CALL_START": "TOOL_CALL_ARGS", "TOOL_CALL_ARGS": "TOOL_CALL_END",
             "TEXT_MESSAGE_START": "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CONTENT": "TEXT_MESSAGE_END"}  # fmt: skip
    for kind, following in pairwise(kinds):
        assert pairs.get(kind, following) == following


def test_a_run_that_waits_for_a_person_ends_the_stream_with_an_interrupt() -> None:
    found = stream([AgentStarted("w1", "write"), ApprovalRequested("a1", "may it write?"), RunStopped("later")])
    assert [each["type"] for each in found[-3:]] == ["STATE_SNAPSHOT", "STEP_FINISHED", "RUN_FINISHED"]
    (interrupt,) = found[-1]["outcome"]["interrupts"]
    assert (interrupt["id"], interrupt["message"]) == ("a1", "may it write?")


def test_the_end_of_a_run_says_how_it_was() -> None:
    finished = RunFinished("succeeded", "", USE, "approved")
    (*_, last) = stream([ArtifactWritten("plan.md", "0"), finished])
    assert last["result"] == {"run": "run-1", "verdict": "approved", "documents": ["plan.md"]}
    (*_, last) = stream([RunFinished("not-approved", "it lacks tests", USE, "changes-requested")])
    assert (last["type"], last["code"], "it lacks tests" in last["message"]) == ("RUN_ERROR", "not-approved", True)
    (*_, last) = stream([RunCancelled("wrong goal")])
    assert last["outcome"] == {"type": "cancelled"}


def asked(*messages: dict[str, Any], **values: Any) -> AgUiRequest:
    return AgUiRequest.model_validate({"threadId": "t", "runId": "r", "messages": messages, **values})


def test_the_goal_is_the_last_text_of_a_user() -> None:
    parts = [{"type": "text", "text": "write"}, {"type": "image", "source": {}}, {"type": "text", "text": "it"}]
    earlier = {"id": "1", "role": "user", "content": "no"}
    assert asked(earlier, {"id": "2", "role": "user", "content": parts}).goal() == "write\nit"
    assert asked(earlier, {"id": "2", "role": "assistant", "content": "yes"}).goal() == "no"
    for content in ("", " ", [], None, {"type": "text"}, [1, {"type": "text", "text": 5}]):
        with pytest.raises(UsageError, match="expected a message"):
            asked({"role": "user", "content": content}).goal()


def test_one_request_is_one_run() -> None:
    one = asked()
    assert one.run_name("ada") == asked().run_name("ada")
    assert len({one.run_name("ada"), one.run_name("ben"), asked(runId="s").run_name("ada")}) == 3


@pytest.mark.parametrize(
    ("answer", "approved"),
    [({"approved": True}, True), ({"approved": False, "reason": "no"}, False), (True, True), (False, False)],
)
def test_an_answer_says_whether_it_approves(answer: object, approved: bool) -> None:
    assert InterruptAnswer(interrupt_id="a", status="resolved", payload=answer).is_approval() is approved
    assert not InterruptAnswer(interrupt_id="a", status="cancelled", payload=answer).is_approval()


@pytest.mark.parametrize("answer", [None, "yes", 1, {}, {"approved": "true"}, [True]])
def test_an_answer_that_cannot_be_read_approves_nothing(answer: object) -> None:
    with pytest.raises(UsageError, match="expects"):
        InterruptAnswer(interrupt_id="a", status="resolved", payload=answer).is_approval()

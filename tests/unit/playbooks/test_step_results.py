"""What the steps of a response return: stored as JSON, and read again, also as version 0.1 has stored it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.playbooks.document import parse
from orchestration.playbooks.model import Mode
from orchestration.playbooks.step_results import (
    CLOSED,
    OPENED,
    ApprovalOutcome,
    ApprovalReply,
    ClosedResponse,
    OpenedResponse,
    StepDecision,
)
from orchestration.storage.playbooks import ActionRun
from orchestration.workflows.engine.values import from_json, to_json
from tests.unit.playbooks.test_runner import TEXT

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLAYBOOK = parse(TEXT, "sample.yaml")
ACTION = {
    "key": "response-1/mitigate/less/lower/4",
    "run_id": "response-1",
    "incident_id": "inc-1",
    "phase": "mitigate",
    "step": "lower",
    "action": "limit.lower",
    "risk": "reversible",
    "mode": "auto",
    "state": "undone",
    "started_at": "2026-03-01T12:00:00+00:00",
    "actor": "playbook",
    "guard": None,
    "parameters": {"providers": ["azure"]},
    "says": "at most 2 calls at once",
    "findings": {"limits": {"azure": 2}},
    "evidence": {},
    "undo": {"overrides": ["o-1"]},
    "finished_at": None,
}
DECISION = {
    "mode": "ask",
    "parameters": {},
    "says": "held back",
    "guard": "cooldown",
    "wait": 2.5,
    "preview": "lower it",
    "targets": ["azure"],
}


def test_an_action_of_version_0_1_is_read() -> None:
    action = from_json(ActionRun, ACTION, "act")
    assert (action.summary, action.state, action.started_at) == ("at most 2 calls at once", ActionState.UNDONE, NOON)
    assert to_json(ActionRun, action)["says"] == "at most 2 calls at once"


def test_a_decision_of_version_0_1_is_read() -> None:
    decision = from_json(StepDecision, DECISION, "decide")
    assert decision == StepDecision(Mode.ASK, {}, "held back", "cooldown", 2.5, "lower it", ("azure",))


def test_an_answer_of_version_0_1_is_read() -> None:
    stored = {"decision": "overtaken", "by": "system", "says": "the incident is resolved already"}
    reply = from_json(ApprovalReply, stored, "ask")
    assert reply == ApprovalReply(ApprovalOutcome.SUPERSEDED, "system", "the incident is resolved already")


def test_the_first_and_last_step_of_version_0_1_are_read() -> None:
    document = PLAYBOOK.model_dump(mode="json", by_alias=True)
    stored = {"playbook": document, "facts": {"incident.id": "inc-1"}, "attempts": 2}
    assert from_json(OPENED, stored, "open") == OpenedResponse(PLAYBOOK, {"incident.id": "inc-1"}, 2)
    assert from_json(OPENED, None, "open") is None
    closed = from_json(CLOSED, {"state": "overtaken", "says": "somebody settled it"}, "close")
    assert closed == ClosedResponse(PlaybookRunState.SUPERSEDED, "somebody settled it")


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (OPENED, OpenedResponse(PLAYBOOK, {"a": 1}, 0)),
        (CLOSED, ClosedResponse(PlaybookRunState.HELPED, "it helped")),
        (StepDecision, from_json(StepDecision, DECISION, "decide")),
        (ActionRun, from_json(ActionRun, ACTION, "act")),
        (ApprovalReply, ApprovalReply(ApprovalOutcome.DENIED, "ada", "denied by ada: not now")),
    ],
)
def test_what_is_stored_now_is_read_as_it_was(model: Any, value: Any) -> None:
    assert from_json(model, to_json(model, value), "a step") == value

"""A question about something that does not pass by itself stays open, however long nobody answers it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestration.clock import FakeClock
from orchestration.events import EventBus
from orchestration.playbooks.actions.registry import find_action
from orchestration.playbooks.approvals import ApprovalRequests
from orchestration.playbooks.execution import PlaybookExecution
from orchestration.playbooks.model import GuardSettings, Mode, Step
from orchestration.playbooks.step_results import ApprovalOutcome, ApprovalReply, StepDecision
from orchestration.storage.approvals import ApprovalTable
from tests.support.database import migrated

STEP = Step.model_validate({"step": "it", "do": "security.rotate", "with": {}, "why": "Rotate it."})
EXECUTION = PlaybookExecution("response-inc-1-1", "inc-1", "test", GuardSettings(), drill=False)


class Updates:
    """What becomes of the incident; `told` are the escalations."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.is_settled = ""

    async def approval_requested(self, *_: object) -> None:
        pass

    async def approval_expired(self, _execution: object, question: str) -> None:
        self.told.append(question)

    async def settled(self, _execution: object) -> str:
        return self.is_settled


@pytest.mark.parametrize(("lasting", "follow_up"), [(True, False), (True, True), (False, False)])
async def test_a_lasting_question_is_escalated_and_stays_and_another_one_expires(
    tmp_path: Path, lasting: bool, follow_up: bool
) -> None:
    table, clock, updates = ApprovalTable(migrated(f"sqlite:///{tmp_path}/o.db")), FakeClock(), Updates()
    told: Any = updates
    requests = ApprovalRequests(table, told, EventBus(clock), clock)
    replies: list[ApprovalReply] = []

    async def ask() -> None:
        decision = StepDecision(Mode.ASK, {}, preview="rotate it", lasting=lasting)
        if follow_up:
            await requests.post(EXECUTION, STEP, "k-1", decision)
            replies.append(await requests.wait_for_follow_up(EXECUTION, "k-1"))
        else:
            replies.append(await requests.ask(EXECUTION, STEP, "k-1", decision))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        for _ in range(40):
            await anyio.sleep(0.01)
            await clock.advance(timedelta(minutes=10).total_seconds())
        assert len(updates.told) == 1
        assert [reply.decision for reply in replies] == ([] if lasting else [ApprovalOutcome.EXPIRED])
        assert bool(table.list_open("inc-1")) is lasting
        updates.is_settled = "the incident is resolved already"
        for _ in range(20):
            await anyio.sleep(0.01)
            await clock.advance(10)
    expected = ApprovalOutcome.SUPERSEDED if lasting else ApprovalOutcome.EXPIRED
    assert [reply.decision for reply in replies] == [expected]
    assert table.list_open("inc-1") == ()


def test_the_rotation_of_a_credential_asks_for_as_long_as_it_takes() -> None:
    assert find_action("security.rotate").lasting
    assert not find_action("security.quarantine").lasting

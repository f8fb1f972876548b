"""The flow of a response, with its real rules, over hand-written steps and updates that are only recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType, SimpleNamespace
from typing import Any

from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.playbooks.document import parse
from orchestration.playbooks.execution import PlaybookExecution
from orchestration.playbooks.model import Mode, Phase, Step
from orchestration.playbooks.runner import PlaybookRunner
from orchestration.playbooks.step_results import ClosedResponse, OpenedResponse, ResponseRequest, StepDecision
from orchestration.storage.playbooks import ActionRun
from orchestration.workflows.engine import NamedStep
from orchestration.workflows.engine.values import from_json, to_json

TEXT = """\
playbook: sample
title: A sample
scenario: agent-failure
about: For the tests.
mitigate:
  - option: again
    says: Begin again
    steps: [{ step: restart, do: run.restart }]
verify:
  steps: [{ step: after, do: evidence.runs }]
  holds: { after.failed: 0, after.unfinished: 0 }
  fails: { after.failed: { above: 0 } }
  within: 300
  stable: 0
document:
  - { step: draft, do: document.review }
"""
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class RecordedUpdates:
    """Records the names of the updates; the incident counts as settled once it was resolved."""

    def __init__(self, text: str, facts: Mapping[str, Any]) -> None:
        self.text = text
        self.facts = facts
        self.values: dict[str, dict[str, Any]] = {}
        self.received: list[str] = []
        self.closed: tuple[str, str, str | None] | None = None

    async def open(self, run_id: str, incident_id: str) -> OpenedResponse:
        return OpenedResponse(
            parse(self.text, "sample.yaml"), {"incident.id": incident_id, "incident.drill": True, **self.facts}, 0
        )

    async def settled(self, execution: PlaybookExecution) -> str:
        return "the incident is resolved already" if "resolve" in self.received else ""

    async def close(
        self, execution: PlaybookExecution, state: PlaybookRunState, summary: str, helped: str | None = None
    ) -> ClosedResponse:
        self.closed = (state.value, summary, helped)
        return ClosedResponse(state, summary)

    def __getattr__(self, name: str) -> Any:
        async def receive(*_: Any, **values: Any) -> None:
            self.received.append(name)
            self.values[name] = values

        return receive


class Executor:
    """Runs every step; the verification finds one result after the other, and the last again and again."""

    def __init__(self, *found: Mapping[str, Any]) -> None:
        self.found = list(found)
        self.done: list[str] = []

    async def decide(self, execution: PlaybookExecution, step: Step, facts: Any, attempts: int) -> StepDecision:
        return StepDecision(Mode.AUTO, {})

    async def act(
        self, execution: PlaybookExecution, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str
    ) -> ActionRun:
        self.done.append(step.id)
        action = ActionRun(
            key, "run", "inc-1", phase.value, step.id, step.action, "reads", "auto", ActionState.DONE, NOW, actor
        )
        if step.id != "after":
            return action
        return replace(action, findings=self.found.pop(0) if len(self.found) > 1 else self.found[0])

    async def undo(self, execution: PlaybookExecution, action: ActionRun) -> ActionRun:
        self.done.append(f"undo {action.step}")
        return action


class Flow:
    """Runs steps at once and counts what would have been waited."""

    id = "response-inc-1-0"

    def __init__(self) -> None:
        self.waited = 0.0

    async def step(self, name: str, model: Any, function: Any) -> Any:
        return from_json(model, to_json(model, await function()), name)

    async def steps(self, named: Sequence[NamedStep[Any]]) -> list[Any]:
        return [await self.step(one.name, one.model, one.function) for one in named]

    async def sleep(self, seconds: float) -> None:
        self.waited += seconds


async def played(
    *found: Mapping[str, Any], text: str = TEXT, facts: Mapping[str, Any] = MappingProxyType({})
) -> SimpleNamespace:
    updates, executor, flow = RecordedUpdates(text, facts), Executor(*found), Flow()
    await PlaybookRunner(executor, updates, SimpleNamespace()).body(flow, ResponseRequest("inc-1"))  # type: ignore[arg-type]
    return SimpleNamespace(updates=updates, executor=executor, flow=flow)


WELL, WORKING, BROKEN = (
    {"failed": failed, "unfinished": unfinished} for failed, unfinished in ((0, 0), (0, 1), (1, 0))
)


async def test_its_own_resolution_does_not_keep_a_response_from_writing_things_up() -> None:
    response = await played(WORKING, WELL)
    assert response.updates.closed == ("helped", "Begin again", "again")
    assert response.executor.done[-1] == "draft"


async def test_a_failure_that_is_seen_ends_the_wait_for_a_success() -> None:
    response = await played(WORKING, BROKEN)
    assert response.flow.waited < 5
    assert response.updates.closed[0] == "handed-over"
    assert "undo restart" in response.executor.done


async def test_without_one_the_whole_time_is_waited() -> None:
    response = await played(WORKING)
    assert response.flow.waited >= 300
    assert response.updates.closed[0] == "handed-over"


async def test_where_no_way_applies_and_all_is_well_it_has_passed_by_itself() -> None:
    text = TEXT.replace("says: Begin again", "says: Begin again\n    when: { after.failed: { above: 9 } }")
    response = await played(WORKING, WELL, text=text)
    assert response.updates.closed == ("helped", "it passed by itself", None)
    assert "restart" not in response.executor.done


TWO_OPTIONS = TEXT.replace(
    "verify:",
    "  - option: elsewhere\n    says: Go elsewhere\n    when: { never.known: true }\n"
    "    steps: [{ step: move, do: run.restart, mode: ask }]\n"
    "  - option: wait\n    says: Wait\n    steps: [{ step: pause, do: run.restart, mode: ask }]\nverify:",
)


class Requested(RecordedUpdates):
    """Somebody has asked for an option."""

    option = "wait"

    async def open(self, run_id: str, incident_id: str) -> OpenedResponse:
        return replace(await super().open(run_id, incident_id), option=self.option, requested_by="ada")


async def requested(option: str, *found: Mapping[str, Any]) -> tuple[RecordedUpdates, Asking]:
    updates, executor = Requested(TWO_OPTIONS, {}), Asking(*found)
    updates.option = option
    approvals = SimpleNamespace()
    await PlaybookRunner(executor, updates, approvals).body(Flow(), ResponseRequest("inc-1"))  # type: ignore[arg-type]
    return updates, executor


class Asking(Executor):
    """Every step that changes something needs an approval."""

    actors: tuple[str, ...] = ()

    async def decide(self, execution: PlaybookExecution, step: Step, facts: Any, attempts: int) -> StepDecision:
        return StepDecision(step.mode, {})

    async def act(
        self, execution: PlaybookExecution, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str
    ) -> ActionRun:
        self.actors = (*self.actors, actor)
        return await super().act(execution, phase, step, key, decision, actor)


async def test_a_requested_option_is_the_only_one_and_the_request_is_its_approval() -> None:
    updates, executor = await requested("wait", {"failed": 0, "unfinished": 0})
    assert executor.done == ["pause", "after", "draft"]
    assert executor.actors[0] == "ada"
    assert updates.closed == ("helped", "Wait", "wait")


async def test_a_requested_option_that_does_not_help_is_undone_and_nobody_is_called() -> None:
    updates, executor = await requested("wait", {"failed": 1, "unfinished": 0})
    assert executor.done[:3] == ["pause", "after", "undo pause"]
    assert updates.closed == ("handed-over", "the option wait did not help", None)
    assert "hand_over" not in updates.received
    assert "note" in updates.received


async def test_a_requested_option_that_does_not_apply_or_does_not_exist_says_so() -> None:
    updates, executor = await requested("elsewhere", {"failed": 0, "unfinished": 0})
    assert (executor.done, updates.closed and updates.closed[0]) == ([], "handed-over")
    assert updates.closed is not None
    assert "the option elsewhere was not carried out; it is for when" in updates.closed[1]
    updates, _ = await requested("nowhere", {"failed": 0, "unfinished": 0})
    assert updates.closed is not None
    assert "has no option 'nowhere'; it has: again, elsewhere, wait" in updates.closed[1]

"""How often each option of a playbook was tried, helped, was undone or denied."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.playbooks.document import parse
from orchestration.playbooks.reliability import OptionUse, option_records
from orchestration.storage.playbooks import MitigationStep, PlaybookRun

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BOOK = parse(
    """
playbook: sample
title: A sample
scenario: agent-failure
about: For the tests.
mitigate:
  - option: again
    says: Begin again
    steps: [{ step: stop, do: run.restart }, { step: restart, do: run.restart }]
  - option: elsewhere
    says: Go elsewhere
    steps: [{ step: move, do: run.restart }]
""",
    "sample.yaml",
)


def run(name: str, helped: str | None = None, *, drill: bool = False, incident: str = "inc-1") -> PlaybookRun:
    state = PlaybookRunState.HELPED if helped else PlaybookRunState.HANDED_OVER
    return PlaybookRun(name, incident, "sample", 1, NOW, state, helped=helped, drill=drill)


def test_an_option_counts_once_a_run_however_many_steps_it_has() -> None:
    runs = [run("a", "again"), run("b", "elsewhere"), run("c"), run("drill", "again", drill=True)]
    steps = [
        MitigationStep("a", "stop", ActionState.DONE),
        MitigationStep("a", "restart", ActionState.DONE),
        MitigationStep("b", "restart", ActionState.UNDONE),
        MitigationStep("b", "move", ActionState.DONE),
        MitigationStep("c", "restart", ActionState.DENIED),
        MitigationStep("c", "move", ActionState.LEFT_OUT),
        MitigationStep("drill", "restart", ActionState.DONE),
        MitigationStep("a", "a-step-of-an-earlier-version", ActionState.DONE),
    ]
    again, elsewhere = option_records(BOOK, runs, steps)
    assert (again.tried, again.helped, again.undone, again.denied, again.share) == (2, 1, 1, 1, 0.5)
    assert (elsewhere.tried, elsewhere.helped, elsewhere.undone, elsewhere.denied) == (1, 1, 0, 0)


def test_of_no_try_there_is_no_share() -> None:
    assert [one.share for one in option_records(BOOK, [], [])] == [None, None]


def test_each_use_names_its_incident_and_what_came_of_it_last() -> None:
    runs = [run("c", "again", incident="inc-2"), run("b", incident="inc-1"), run("a", "again", incident="inc-1")]
    steps = [
        MitigationStep("c", "restart", ActionState.DONE),
        MitigationStep("b", "restart", ActionState.UNDONE),
        MitigationStep("a", "restart", ActionState.DONE),
        MitigationStep("c", "move", ActionState.DENIED),
    ]
    again, elsewhere = option_records(BOOK, runs, steps)
    assert again.uses == (
        OptionUse("inc-2", helped=True, undone=False, denied=False),
        OptionUse("inc-1", helped=False, undone=True, denied=False),
    )
    assert elsewhere.uses == (OptionUse("inc-2", helped=False, undone=False, denied=True),)

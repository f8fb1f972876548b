"""Who has an incident, and what automation does about it or has ended with."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import PlaybookRunState
from orchestration.incidents.model import TimelineEntry
from orchestration.incidents.ownership import ownership
from orchestration.storage.playbooks import PlaybookRun
from tests.support.incidents import NOON, declared

INCIDENT = declared().incident
RUNNING = PlaybookRun("response-1", INCIDENT.id, "agent-failure", 1, NOON)
NOBODY = "nobody has acknowledged it"


def ended(state: PlaybookRunState, summary: str = "") -> PlaybookRun:
    return replace(RUNNING, state=state, summary=summary, finished_at=NOON + timedelta(minutes=7))


def called(*contacts: str, actor: str = "automation:playbook:agent-failure") -> TimelineEntry:
    return TimelineEntry(NOON, "escalated", actor, {"level": 2, "reason": "help", "contacts": list(contacts)})


def test_until_somebody_begins_nobody_has_it() -> None:
    assert ownership(INCIDENT, [], None, []) == NOBODY


def test_a_playbook_is_at_work_only_while_it_is() -> None:
    since = f"{NOON:%Y-%m-%d %H:%M:%S} UTC"
    text = f"{NOBODY}; the playbook agent-failure has been at work since {since}"
    assert ownership(INCIDENT, [], RUNNING, []) == text
    for state in PlaybookRunState:
        if state is not PlaybookRunState.RUNNING:
            assert "at work" not in ownership(INCIDENT, [], ended(state), [])


@pytest.mark.parametrize(
    ("entries", "to"),
    [
        ([called("ada", actor="ben"), called("cy", "di")], "cy, di (level 2)"),
        ([called()], "level 2, for which the configuration names nobody"),
        ([], "the people on call"),
    ],
)
def test_a_hand_over_says_to_whom_when_and_what_is_waited_for(entries: list[TimelineEntry], to: str) -> None:
    text = ownership(INCIDENT, entries, ended(PlaybookRunState.HANDED_OVER), [])
    assert f"at {NOON:%Y-%m-%d} {NOON.hour:02}:07:00 UTC the playbook" in text
    assert f"handed it over to {to}, and" in text
    assert text.endswith("waits for a person to acknowledge it")


def test_a_question_is_what_is_waited_for() -> None:
    assert ownership(INCIDENT, [], RUNNING, ["may I\nrestart it?"]) == (
        f"{NOBODY}; an answer is waited for: may I restart it?"
    )


@pytest.mark.parametrize(("values", "owner"), [({"acknowledged_by": "ada"}, "user ada"), ({"assignee": "ben"}, "ben")])
def test_a_person_who_has_it_is_named_alone(values: dict[str, Any], owner: str) -> None:
    incident = replace(INCIDENT, **values)
    assert ownership(incident, [], ended(PlaybookRunState.HANDED_OVER), []) == owner
    assert ownership(incident, [], RUNNING, ["rotate it?"]) == f"{owner}; an answer is waited for: rotate it?"


def test_of_what_is_over_only_the_owner_is_told() -> None:
    assert ownership(replace(INCIDENT, status=IncidentStatus.RESOLVED), [], RUNNING, []) == NOBODY

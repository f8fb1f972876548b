"""States and moves: what may follow what, and what is refused with which reason."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents.model import MOVES, Actor, IncidentRefusedError, Refusal, move, person, require_open
from tests.support.incidents import ADA, NOON, after, declared

STATES = tuple(IncidentStatus)
ALLOWED = {
    "detected": "acknowledged mitigating mitigated resolved suppressed cancelled merged",
    "reopened": "acknowledged mitigating mitigated resolved suppressed cancelled merged",
    "acknowledged": "mitigating mitigated resolved suppressed cancelled merged",
    "mitigating": "verifying mitigated resolved cancelled merged",
    "verifying": "mitigating mitigated resolved cancelled merged",
    "mitigated": "detected mitigating verifying resolved cancelled merged",
    "suppressed": "detected resolved cancelled merged",
    "resolved": "in-review reopened closed",
    "in-review": "reopened closed",
    "closed": "",
    "cancelled": "",
    "merged": "",
}


@pytest.mark.parametrize(("one", "to"), list(product(STATES, STATES)))
def test_every_move_is_allowed_or_refused_as_it_is_written_down(one: IncidentStatus, to: IncidentStatus) -> None:
    incident = replace(declared().incident, status=one)
    if to.value in ALLOWED[one.value].split():
        moved, entry = move(incident, to, after(minutes=1), ADA, why="test")
        assert moved.status is to
        assert (entry.kind, entry.actor, entry.at) == (to.value, "ada", after(minutes=1))
        assert entry.data == {"from": one.value, "why": "test"}
        return
    with pytest.raises(IncidentRefusedError) as refused:
        move(incident, to, NOON, ADA)
    assert refused.value.reason is (Refusal.SAME_STATE if one is to else Refusal.ILLEGAL_MOVE)


def test_every_state_has_its_moves_and_each_can_be_reached() -> None:
    assert set(MOVES) == set(STATES)
    assert set().union(*MOVES.values()) == set(STATES)


def test_a_clock_that_was_set_back_does_not_turn_the_timeline_round() -> None:
    incident = declared(now=after(minutes=5)).incident
    moved, entry = move(incident, IncidentStatus.ACKNOWLEDGED, after(minutes=1), ADA)
    assert entry.at == moved.changed_at == after(minutes=5)


def test_people_and_automation_are_told_apart_by_name() -> None:
    assert str(person("ada")) == "ada"
    assert str(Actor("ada")) == "automation:ada"


@pytest.mark.parametrize("status", [status for status in STATES if not status.is_open])
def test_what_is_over_is_not_open(status: IncidentStatus) -> None:
    with pytest.raises(IncidentRefusedError, match="expected an open incident to assign") as refused:
        require_open(replace(declared().incident, status=status), "assign")
    assert refused.value.reason is Refusal.NOT_OPEN


def test_drills_false_alarms_and_duplicates_do_not_count() -> None:
    incident = declared().incident
    assert incident.counted
    assert not replace(incident, drill=True).counted
    assert not replace(incident, status=IncidentStatus.CANCELLED).counted
    assert not replace(incident, status=IncidentStatus.MERGED).counted

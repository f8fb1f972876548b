"""Who is told what: of an end that comes before the beginning went out, of a reopening, and of a merge."""

from __future__ import annotations

import itertools

import pytest

from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.manual_escalation import Escalate
from orchestration.incidents.commands.merge import Merge
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.model import Incident
from orchestration.incidents.sla import TargetKind, TargetState
from orchestration.storage.outbox import DeliveryAttempt, OutboxState, SendOutcome
from tests.integration.incidents.conftest import Room
from tests.support.incidents import ADA, ALL_AGENTS, HALF, MACHINE, a_report, after

STEPS = {"ack": Acknowledge(), "escalate": Escalate(3, "it lasts"), "note": AddNote("looking")}


def pending(room: Room, incident: Incident) -> list[tuple[str, str]]:
    return [(row.kind, row.contact) for row in room.rows(incident) if row.state == "pending"]


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)), ids="-".join)
def test_what_is_over_before_it_could_be_told_is_told_once_as_it_ended(room: Room, order: tuple[str, ...]) -> None:
    incident = room.service.open_or_join(a_report(ALL_AGENTS))
    for minute, name in enumerate(order, 1):
        room.go_to(after(minutes=minute))
        room.service.execute(incident.id, ADA, STEPS[name])
    room.tick(after(hours=3))
    told = {contact for _, contact, _ in room.messages(incident)}
    room.resolve(incident.id)
    assert sorted(pending(room, incident)) == sorted(("resolved", contact) for contact in told)


def test_what_went_out_before_the_end_stays_as_it_was(room: Room) -> None:
    incident = room.service.open_or_join(a_report(ALL_AGENTS))
    first, *_ = room.rows(incident)
    room.outbox.mark_sent(first, DeliveryAttempt(first.key, after(seconds=1), SendOutcome.SENT, 0.1))
    room.resolve(incident.id)
    assert next(row for row in room.rows(incident) if row.key == first.key).state is OutboxState.SENT
    # What is being sent at that moment may arrive all the same, and counts as sent then.
    other = next(row for row in room.rows(incident) if row.state is OutboxState.CANCELLED)
    room.outbox.mark_sent(other, DeliveryAttempt(other.key, after(seconds=2), SendOutcome.SENT, 0.1))
    assert next(row for row in room.rows(incident) if row.key == other.key).state is OutboxState.SENT


def test_whoever_was_told_that_it_was_over_is_told_that_it_is_not(room: Room) -> None:
    incident = room.service.open_or_join(a_report(HALF))
    room.service.execute(incident.id, ADA, Escalate(3, "it lasts"))
    room.resolve(incident.id)
    knew = {row.contact for row in room.rows(incident) if row.kind == "resolved"}
    room.go_to(after(minutes=5))
    again = room.service.execute(incident.id, ADA, Reopen("it is still broken"))
    new = [(row.kind, row.contact) for row in room.rows(again) if row.created_at == after(minutes=5)]
    assert {contact for _, contact in new} == knew
    assert ("update", "cleo") in new
    assert len(new) == len(knew), "nobody is told twice"
    told = next(row for row in room.rows(again) if (row.kind, row.contact) == ("update", "cleo"))
    assert told.payload["reason"] == "reopened: it is still broken"


def test_a_worse_incident_that_nobody_has_is_paged_for_after_the_merge(room: Room) -> None:
    mild = room.service.open_or_join(a_report())
    room.service.execute(mild.id, ADA, Acknowledge())
    room.go_to(after(hours=1))
    grave = room.service.open_or_join(a_report(ALL_AGENTS, at=after(hours=1), key="agents", fingerprints=("f-2",)))
    assert (mild.severity, grave.severity) == (Severity.P2, Severity.P0)
    room.go_to(after(hours=1, minutes=2))
    merged = room.service.execute(grave.id, ADA, Merge(mild.id))
    assert (merged.id, merged.severity, merged.acknowledged) == (mild.id, Severity.P0, False)
    # Its target is that of the worse one, from its own detection.
    assert merged.clock.due(TargetKind.RESPONSE) == grave.clock.due(TargetKind.RESPONSE)
    paged = {row.contact for row in room.rows(merged) if row.kind == "initial" and row.state == "pending"}
    assert paged == {"ada", "ben", "cleo", "sec"}
    assert merged.page_due is not None
    room.tick(after(hours=2))
    late = room.service.records.get(merged.id)
    assert late.clock.state(TargetKind.RESPONSE, after(hours=2), 80) is TargetState.BREACHED
    assert late.levels_paged > 1
    taken = room.service.execute(merged.id, ADA, Acknowledge())
    assert (taken.acknowledged, taken.page_due) == (True, None)


def test_a_worse_incident_that_somebody_has_keeps_its_merge_quiet(room: Room) -> None:
    mild = room.service.open_or_join(a_report())
    grave = room.service.open_or_join(a_report(ALL_AGENTS, key="agents", fingerprints=("f-2",)))
    for one in (mild, grave):
        room.service.execute(one.id, ADA, Acknowledge())
    merged = room.service.execute(grave.id, ADA, Merge(mild.id))
    assert (merged.severity, merged.acknowledged, merged.page_due) == (Severity.P0, True, None)


KEY = "agent:executor"


def test_nobody_is_paged_while_all_that_fires_is_silenced(room: Room) -> None:
    incident = room.service.open_or_join(a_report(ALL_AGENTS))
    told = len(room.rows(incident))
    held = room.service.mark(KEY, silence="sil-1", flapping=False)
    assert held is not None
    assert held.is_silenced
    room.tick(after(hours=3))
    assert len(room.rows(incident)) == told + _updates(room, incident), "no page, no warning, nobody further up"
    again = room.service.mark(KEY, silence="", flapping=False)
    assert again is not None
    assert again.page_due is not None
    assert again.page_due > after(hours=3), "the next level still gets its time"
    room.tick(after(hours=4))
    assert any(row.kind == "escalation" for row in room.rows(incident))
    kinds = room.kinds(incident)
    assert kinds.index("paging-held") < kinds.index("paging-resumed") < kinds.index("paged")
    assert room.said().count("incident.paging_held") == 1


def test_what_fires_beside_a_silenced_alert_is_paged_for(room: Room) -> None:
    incident = room.service.open_or_join(a_report(ALL_AGENTS))
    room.service.mark(KEY, silence="sil-1", flapping=False)
    other = room.service.open_or_join(a_report(ALL_AGENTS, key="agents", fingerprints=("f-2",)))
    merged = room.service.execute(other.id, ADA, Merge(incident.id))
    assert not merged.is_silenced
    room.tick(after(hours=1))
    assert any(row.kind == "escalation" for row in room.rows(merged))
    # The one that is not silenced has gone: what is left is.
    room.service.mark_cleared("agents", after(hours=1))
    assert room.service.records.get(merged.id).is_silenced


def test_a_silence_that_is_reported_again_or_of_something_over_changes_nothing(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.service.mark(KEY, silence="sil-1", flapping=False)
    before = room.service.records.get(incident.id)
    room.service.mark(KEY, silence="sil-1", flapping=False)
    assert room.service.records.get(incident.id) == before
    room.resolve(incident.id)
    over = room.service.records.get(incident.id)
    room.service.mark(KEY, silence="", flapping=False)
    assert room.service.records.get(incident.id) == over
    assert room.service.mark("unknown", silence="sil-1", flapping=False) is None


def test_what_comes_and_goes_in_spite_of_what_was_tried_is_handed_over(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.service.mark(KEY, silence="", flapping=True)
    assert "escalated" not in room.kinds(incident), "nothing was tried yet; its pages go their way"
    room.service.execute(incident.id, MACHINE, BeginMitigation("ask it again"))
    room.service.mark(KEY, silence="", flapping=True)
    [entry] = [one for one in room.service.records.entries(incident.id) if one.kind == "escalated"]
    assert entry.data["reason"] == "it comes and goes in spite of what was tried"
    assert room.kinds(incident).count("flapping") == 1
    assert room.service.mark(KEY, silence="", flapping=False) == room.service.records.get(incident.id)


def _updates(room: Room, incident: Incident) -> int:
    return sum(row.kind == "update" for row in room.rows(incident))

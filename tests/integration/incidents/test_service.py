"""The desk: correlation, snapshots, acknowledgement, resolution, merging, all of it in the database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from orchestration.config.escalation import EscalationLevel, EscalationSettings
from orchestration.config.response import Contact, TargetSettings
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.errors import NotFoundError
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.action_items import AddActionItem, CompleteActionItem
from orchestration.incidents.commands.assignment import Assign
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.commands.closure import Close
from orchestration.incidents.commands.estimate import SetEstimate
from orchestration.incidents.commands.impact import SetImpact
from orchestration.incidents.commands.merge import Merge
from orchestration.incidents.commands.mitigation import (
    BeginMitigation,
    BeginVerification,
    MarkMitigated,
    RecordFailedMitigation,
)
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.escalation import due_times
from orchestration.incidents.model import IncidentRefusedError, Refusal, ReviewField
from orchestration.incidents.report import BlastRadius, Facts
from orchestration.storage.tables import incident_policies, incidents
from tests.integration.incidents.conftest import Room
from tests.support.incidents import ADA, ALL_AGENTS, HALF, MACHINE, NOON, a_report, after, some_settings


def test_a_report_becomes_an_incident_with_timeline_timers_messages_and_an_event(room: Room) -> None:
    incident = room.service.open_or_join(a_report(HALF))
    assert room.service.records.get(incident.id) == incident
    assert room.kinds(incident) == ["detected"]
    assert room.messages(incident) == [("initial", "ada", "pending"), ("initial", "ben", "pending")]
    waiting = {row.kind: row.due_at for row in room.service.records.table.list_timers(incident.id)}
    assert waiting == {timer.value: due for timer, due in due_times(incident, room.settings).items()}
    event = room.events[-1]
    assert (event.kind, event.data["incident"], event.data["severity"]) == ("incident.detected", incident.id, "P1")


def test_reports_of_one_trouble_are_one_incident_that_rises_and_widens(room: Room) -> None:
    first = room.service.open_or_join(a_report())
    same = room.service.open_or_join(a_report(at=after(seconds=10)))
    worse = room.service.open_or_join(
        a_report(ALL_AGENTS, after(seconds=20), fingerprints=("f-2",), blast_radius=BlastRadius(runs=("r",)))
    )
    assert (first.id, first.version) == (same.id, same.version)
    assert worse.id == first.id
    assert (worse.severity, worse.fingerprints, worse.blast_radius.runs) == (Severity.P0, ("f-1", "f-2"), ("r",))
    assert len(room.service.records.table.list()) == 1


def test_another_key_is_another_incident(room: Room) -> None:
    assert room.service.open_or_join(a_report()).id != room.service.open_or_join(a_report(key="other")).id


def test_what_comes_back_soon_is_reopened_and_later_is_a_new_one_linked_to_the_earlier(room: Room) -> None:
    first = room.service.open_or_join(a_report())
    room.go_to(after(minutes=10))
    room.service.execute(first.id, ADA, Resolve("restarted", anyway=True))
    room.go_to(after(minutes=30))
    again = room.service.open_or_join(a_report(at=after(minutes=30)))
    assert (again.id, again.status, again.clock.number) == (first.id, IncidentStatus.REOPENED, 1)
    room.go_to(after(minutes=40))
    room.service.execute(first.id, ADA, Resolve("restarted again", anyway=True))
    room.go_to(after(days=2))
    later = room.service.open_or_join(a_report(at=after(days=2)))
    assert (later.recurrence_of, room.service.records.get(first.id).recurred_as) == (first.id, later.id)
    assert "incident.recurred" in room.said()


def test_a_false_alarm_that_goes_on_opens_nothing_until_it_was_over(room: Room) -> None:
    cancelled = room.service.execute(
        room.service.open_or_join(a_report()).id, ADA, CancelIncident("the check is wrong")
    )
    assert room.service.open_or_join(a_report(at=after(minutes=1))).id == cancelled.id
    assert room.service.mark_cleared("agent:executor", after(minutes=2)) is None
    assert room.service.open_or_join(a_report(at=after(minutes=3))).id != cancelled.id


def test_what_was_cleared_is_resolved_after_the_stability_window_and_everybody_is_told(room: Room) -> None:
    incident = room.service.open_or_join(a_report(ALL_AGENTS))
    room.go_to(after(minutes=2))
    cleared = room.service.mark_cleared("agent:executor", after(minutes=2))
    assert cleared is not None
    assert cleared.status is IncidentStatus.DETECTED
    assert room.tick(after(minutes=2, seconds=29)) == 0
    assert room.tick(after(minutes=2, seconds=30)) == 1
    assert room.service.records.get(incident.id).status is IncidentStatus.RESOLVED
    told = {contact for kind, contact, state in room.messages(incident) if kind == "resolved" and state == "pending"}
    assert told == {"ada", "ben", "cleo", "sec"}


def test_a_clearing_of_nothing_is_nothing(room: Room) -> None:
    assert room.service.mark_cleared("unheard-of", NOON) is None


def test_settings_contacts_and_targets_are_those_of_the_detection_to_the_end(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.settings = some_settings(
        contacts=(Contact(id="zoe", level=2),),
        targets={Severity.P2: TargetSettings(response=1, resolution=2)},
        escalation=EscalationSettings(levels=(EscalationLevel(level=4, after=1),)),
    )
    fresh = room.new_service()
    fresh.fire_due_timers(after(minutes=10))
    assert [contact for kind, contact, _ in room.messages(incident) if kind == "escalation"] == ["ben"]
    assert fresh.records.get(incident.id).clock.response_due == after(hours=4)


def test_the_same_settings_are_kept_once(room: Room) -> None:
    for number in range(3):
        room.service.open_or_join(a_report(key=f"key-{number}"))
    with room.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(incident_policies)).scalar() == 1


def test_an_acknowledgement_stops_what_has_not_gone_out_and_automations_does_not(room: Room) -> None:
    incident = room.service.open_or_join(a_report(HALF))
    room.service.execute(incident.id, MACHINE, Acknowledge())
    assert {state for _, _, state in room.messages(incident)} == {"pending"}
    room.service.execute(incident.id, ADA, Acknowledge())
    assert room.messages(incident) == [
        ("acknowledged", "ada", "pending"),
        ("acknowledged", "ben", "pending"),
        ("initial", "ada", "cancelled"),
        ("initial", "ben", "cancelled"),
    ]
    assert room.tick(after(minutes=59)) == 0


def test_the_security_teams_message_is_not_stopped_by_an_acknowledgement(room: Room) -> None:
    incident = room.service.open_or_join(a_report(Facts(access_refused=True)))
    room.service.execute(incident.id, ADA, Acknowledge())
    assert ("escalation", "sec", "pending") in room.messages(incident)


def test_a_refused_change_leaves_nothing_behind(room: Room) -> None:
    incident = room.service.execute(room.service.open_or_join(a_report()).id, ADA, Acknowledge())
    before = (room.kinds(incident), room.messages(incident))
    with pytest.raises(IncidentRefusedError):
        room.service.execute(incident.id, ADA, Acknowledge())
    with pytest.raises(NotFoundError, match="incidents list"):
        room.service.execute("inc-unknown", ADA, Acknowledge())
    assert (room.kinds(incident), room.messages(incident)) == before


def test_a_failing_planner_takes_the_whole_change_back(room: Room) -> None:
    def broken(*_: object) -> tuple[()]:
        raise RuntimeError("no channel")

    with pytest.raises(RuntimeError, match="no channel"):
        room.new_service(plan=broken).open_or_join(a_report())
    assert room.service.records.table.list() == ()
    assert room.events == []


def test_a_merged_incident_stops_and_its_reports_go_to_the_other(room: Room) -> None:
    one, two = (
        room.service.open_or_join(a_report()),
        room.service.open_or_join(a_report(HALF, key="provider")),
    )
    merged = room.service.execute(two.id, ADA, Merge(one.id))
    assert (merged.id, merged.severity) == (one.id, Severity.P1)
    assert room.service.records.get(two.id).merged_into == one.id
    assert room.service.open_or_join(a_report(ALL_AGENTS, after(minutes=1), key="provider")).id == one.id
    assert room.service.records.get(one.id).severity is Severity.P0


def test_an_old_incident_is_not_reopened_beside_a_new_one_of_its_key(room: Room) -> None:
    first = room.service.open_or_join(a_report())
    room.service.execute(first.id, ADA, Resolve("mended", anyway=True))
    room.go_to(after(days=1))
    second = room.service.open_or_join(a_report(at=after(days=1)))
    with pytest.raises(IncidentRefusedError, match=second.id) as refused:
        room.service.execute(first.id, ADA, Reopen("really this one"))
    assert refused.value.reason is Refusal.ANOTHER_IS_OPEN


def test_an_incident_goes_through_its_whole_life(room: Room) -> None:
    name = room.service.open_or_join(a_report(started_at=after(minutes=-1))).id
    service = room.service
    service.execute(name, MACHINE, Acknowledge())
    service.execute(name, MACHINE, BeginMitigation("restart executor"))
    service.execute(name, ADA, Acknowledge())
    service.execute(name, ADA, Assign("ada"))
    service.execute(name, ADA, SetImpact("no reviews for two customers"))
    service.execute(name, ADA, SetEstimate(after(hours=1)))
    service.execute(name, ADA, AddNote("the new model does not fit into memory"))
    service.execute(name, MACHINE, BeginVerification("watch it for a minute"))
    service.execute(name, MACHINE, RecordFailedMitigation("it failed again"))
    service.execute(name, ADA, MarkMitigated("smaller model"))
    service.execute(name, ADA, BeginVerification())
    room.go_to(after(minutes=9))
    service.execute(name, ADA, Resolve("smaller model in use", "the model was too large", anyway=True))
    for field in ReviewField:
        service.execute(name, ADA, WriteReview(field, "none"))
    service.execute(name, ADA, AddActionItem("check sizes before loading", "ben", after(days=7).date()))
    service.execute(name, ADA, CompleteActionItem(1))
    closed = service.execute(name, ADA, Close())
    assert closed.status is IncidentStatus.CLOSED
    assert (closed.acknowledged_at, closed.automation_at) == (NOON, NOON)
    assert closed.verified_at == closed.resolved_at == after(minutes=9)
    entries = service.records.entries(name)
    assert [entry.kind for entry in entries if "from" in entry.data and entry.kind != "assigned"] == [
        "mitigating",
        "verifying",
        "mitigating",
        "mitigated",
        "verifying",
        "resolved",
        "in-review",
        "closed",
    ]
    assert [f"incident.{entry.kind.replace('-', '_')}" for entry in entries] == room.said()


def test_no_secret_reaches_the_database_or_a_message(room: Room) -> None:
    room.redactor.remember(["hunter2-very-secret"])
    report = a_report(
        title="refused hunter2-very-secret",
        summary="hunter2-very-secret",
        evidence=({"line": "key hunter2-very-secret"},),
        labels={"line": "hunter2-very-secret"},
    )
    incident = room.service.open_or_join(report)
    room.service.execute(incident.id, ADA, AddNote("it was hunter2-very-secret"))
    room.service.execute(incident.id, ADA, Resolve("hunter2-very-secret rotated", anyway=True))
    room.database.close()
    files = list(room.folder.glob("orchestrator.db*"))
    assert files
    assert not any(b"hunter2" in file.read_bytes() for file in files)
    assert "hunter2" not in str(room.events)


def test_a_very_long_key_is_still_one_trouble_and_another_is_another(room: Room) -> None:
    one = room.service.open_or_join(a_report(key="k" * 4000))
    assert room.service.open_or_join(a_report(HALF, after(minutes=1), key="k" * 4000)).id == one.id
    assert room.service.open_or_join(a_report(key="k" * 4001)).id != one.id
    assert room.service.mark_cleared("k" * 4000, after(minutes=2)) is not None


def test_an_incident_is_found_by_its_ending_and_by_latest(room: Room) -> None:
    one = room.service.open_or_join(a_report())
    room.go_to(after(seconds=5))
    two = room.service.open_or_join(a_report(key="other", at=after(seconds=5)))
    assert room.service.records.find(one.id[-5:]).id == one.id
    assert room.service.records.find("latest").id == two.id
    for text, message in (("inc-", f"matches .*{one.id}"), ("", "There is no incident"), ("%", "There is no incident")):
        with pytest.raises(NotFoundError, match=message):
            room.service.records.find(text)


def test_lists_are_narrowed(room: Room) -> None:
    names = []
    for number, facts in enumerate((Facts(), HALF, ALL_AGENTS)):
        room.go_to(after(minutes=number))
        names.append(room.service.open_or_join(a_report(facts, after(minutes=number), key=f"key-{number}")).id)
    room.service.execute(names[0], ADA, Resolve("mended", anyway=True))
    table = room.service.records.table
    assert [row.id for row in table.list(limit=2)] == [names[2], names[1]]
    assert [row.id for row in table.list(is_open=True)] == [names[2], names[1]]
    assert [row.id for row in table.list(statuses=["resolved"])] == [names[0]]
    assert [row.id for row in table.list(severities=[Severity.P0, Severity.P1])] == [names[2], names[1]]
    assert [row.id for row in table.list(since=after(minutes=2))] == [names[2]]


def test_a_row_is_the_same_as_the_document_and_versions_rise_by_one(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    after_note = room.service.execute(incident.id, ADA, AddNote("seen"))
    with room.database.read() as connection:
        row = connection.execute(sa.select(incidents)).one()
    assert (row.version, after_note.version) == (2, 2)
    assert (row.severity, row.status, row.is_open, row.month) == ("P2", "detected", True, "2026-03")
    assert row.reversed_id == incident.id[::-1]
    assert incident.detected_at == row.detected_at

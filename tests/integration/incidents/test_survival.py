"""Nothing is lost and nothing is done twice: killed processes, restarts, two services at once, a sender beside."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.model import IncidentRefusedError, person
from orchestration.incidents.service import IncidentService
from orchestration.storage.outbox import OutboxState
from orchestration.storage.tables import outbox
from tests.integration.incidents.conftest import Room
from tests.support import prefork
from tests.support.incidents import ADA, ALL_AGENTS, HALF, MACHINE, NOON, a_report, after
from tests.support.patience import patient

MODULE = "tests.integration.incidents.service_process"
ROOT = Path(__file__).parents[3]


def killed(room: Room, point: str, *arguments: str) -> list[str]:
    """Run a desk in a process that dies at that point; what it had said by then."""
    command = [sys.executable, "-m", MODULE, f"{room.folder}/orchestrator.db", point, *arguments]
    done = prefork.call(command, seconds=patient(60), cwd=ROOT)
    assert done.returncode == 9, done.stderr.decode()
    return done.stdout.decode().split()


def test_killed_after_the_commit_the_messages_and_timers_are_there_and_the_event_is_said_later(room: Room) -> None:
    assert killed(room, "committed", "report") == []
    incident = room.service.records.find("latest")
    assert room.messages(incident) == [("initial", "ada", "pending"), ("initial", "ben", "pending")]
    assert room.events == []
    room.tick(after(minutes=10))
    assert room.said() == ["incident.detected", "incident.paged"]
    assert ("escalation", "ben", "pending") in room.messages(incident)
    room.tick(after(minutes=11))
    assert room.said() == ["incident.detected", "incident.paged"]


def test_killed_after_an_event_was_said_it_is_said_once_more_and_no_more(room: Room) -> None:
    assert killed(room, "announced", "report") == ["incident.detected"]
    room.tick(after(minutes=1))
    room.tick(after(minutes=2))
    assert room.said() == ["incident.detected"]


def test_killed_after_an_acknowledgement_the_pages_stay_stopped(room: Room) -> None:
    incident = room.service.open_or_join(a_report(HALF))
    killed(room, "committed", "acknowledge", incident.id)
    assert {state for kind, _, state in room.messages(incident) if kind == "initial"} == {"cancelled"}
    assert room.tick(after(minutes=59)) == 0
    assert "incident.acknowledged" in room.said()


def test_killed_in_the_middle_of_a_tick_the_rest_is_done_and_nothing_twice(room: Room) -> None:
    one = room.service.open_or_join(a_report(HALF))
    two = room.service.open_or_join(a_report(HALF, key="other"))
    killed(room, "committed", "tick")
    room.tick(after(minutes=10, seconds=1))
    for incident in (one, two):
        pages = [row.key for row in room.rows(incident) if row.kind == "escalation"]
        assert pages == [f"{incident.id}:page-1-2:ben"]
        assert room.kinds(incident) == ["detected", "paged"]


def test_after_a_long_downtime_everything_that_fell_due_is_done_once(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    done = []
    moment = after(days=4)
    while count := room.tick(moment):
        done.append(count)
    assert sum(done) == 4
    kinds = "detected paged update-sent response-at-risk response-breached resolution-at-risk resolution-breached"
    assert Counter(room.kinds(incident)) == Counter(kinds.split())
    steps = {row.key.split(":")[1] for row in room.rows(incident)}
    assert steps == {
        "initial-1",
        "page-1-2",  # the next level, and no other at the same time
        "update-1",
        "response-breached-1-P2",
        "resolution-breached-1-P2",
    }


def test_two_desks_that_tick_at_the_same_time_do_everything_once(room: Room) -> None:
    incidents = [room.service.open_or_join(a_report(HALF, key=f"key-{number}")) for number in range(10)]
    moment = after(minutes=45)
    room.go_to(moment)
    services = [room.new_service() for _ in range(2)]
    _together([lambda service=service: service.fire_due_timers(moment) for service in services])
    for incident in incidents:
        assert room.kinds(incident) == ["detected", "paged", "response-at-risk"]
        keys = [row.key for row in room.rows(incident)]
        assert len(keys) == len(set(keys))


def test_reports_of_one_trouble_from_many_threads_are_one_incident(room: Room) -> None:
    reports = [a_report(fingerprints=(f"f-{number}",)) for number in range(12)]
    services = [room.new_service() for _ in range(3)]
    _together(
        [
            lambda report=report, service=services[n % 3]: service.open_or_join(report)
            for n, report in enumerate(reports)
        ]
    )
    found = room.service.records.table.list()
    assert len(found) == 1
    incident = room.service.records.get(found[0].id)
    assert set(incident.fingerprints) == {f"f-{number}" for number in range(12)}
    assert incident.version == 12


def test_of_many_who_acknowledge_one_has_it(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    won: list[str] = []

    def take(service: IncidentService, name: str) -> None:
        try:
            won.append(service.execute(incident.id, person(name), Acknowledge()).acknowledged_by)
        except IncidentRefusedError:
            return

    _together([lambda name=name: take(room.new_service(), name) for name in ("ada", "ben", "cleo")])
    assert len(won) == 1
    assert room.service.records.get(incident.id).acknowledged_by == won[0]


def test_no_page_goes_out_after_an_acknowledgement_however_busy_the_sender_is(room: Room) -> None:
    """A sender claims one pending row after another; once `acknowledge` has returned it must find no page."""
    acknowledged = threading.Event()
    late: list[str] = []

    def send() -> None:
        while True:
            was_acknowledged = acknowledged.is_set()
            claimed = _claim_one(room)
            if claimed is None and was_acknowledged:
                return
            if claimed is not None and was_acknowledged and claimed.stops_on_acknowledge:
                late.append(claimed.key)

    for number in range(8):
        incident = room.service.open_or_join(a_report(ALL_AGENTS, key=f"key-{number}"))
        acknowledged.clear()
        sender = threading.Thread(target=send)
        sender.start()
        room.service.execute(incident.id, ADA, Acknowledge())
        acknowledged.set()
        sender.join(patient(30))
        assert late == []
        states = {state for kind, _, state in room.messages(incident) if kind == "acknowledged"}
        assert states == {"sent"}


def test_a_change_that_was_overtaken_is_done_again_on_what_the_other_left(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    stale = room.new_service()
    original = stale.records.load

    def overtaken(connection: sa.Connection, incident_id: str):  # type: ignore[no-untyped-def]
        found = original(connection, incident_id)
        stale.records.load = original  # type: ignore[method-assign]
        connection.execute(sa.text("UPDATE incidents SET version = version + 1"))
        return found

    stale.records.load = overtaken  # type: ignore[method-assign]
    after_ack = stale.execute(incident.id, ADA, Acknowledge())
    assert (after_ack.acknowledged_by, room.kinds(incident)) == ("ada", ["detected", "acknowledged"])


def test_a_timer_that_cannot_be_fired_waits_and_does_not_keep_the_others(room: Room) -> None:
    bad = room.service.open_or_join(a_report(HALF))
    good = room.service.open_or_join(a_report(HALF, key="other"))
    with room.database.write() as connection:
        connection.execute(
            sa.text("UPDATE incident_documents SET document = '{}' WHERE incident_id = :id"), {"id": bad.id}
        )
        connection.execute(
            sa.text("UPDATE incident_entries SET announced = false WHERE incident_id = :id"), {"id": bad.id}
        )
    for _ in range(4):
        try:
            room.tick(after(minutes=10))
        except ValueError:
            continue
    assert room.kinds(good) == ["detected", "paged"]
    assert [event.data["incident"] for event in room.events if event.kind == "incident.detected"] == [
        bad.id,
        good.id,
        bad.id,
    ]
    assert all(row.due_at > after(minutes=10) for row in room.service.records.table.list_timers(bad.id))


def test_an_escalation_goes_on_after_a_restart(room: Room) -> None:
    incident = room.service.open_or_join(a_report(HALF))
    room.tick(after(minutes=10))
    fresh = room.new_service()
    room.go_to(after(minutes=30))
    fresh.fire_due_timers(after(minutes=30))
    paged = [row.contact for row in room.rows(incident) if row.key.split(":")[1].startswith("page")]
    assert paged == ["ben", "cleo"]


def test_a_clock_that_is_set_back_keeps_the_timeline_in_order(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.service.execute(incident.id, ADA, AddNote("one"))
    room.go_to(after(hours=-1))
    room.service.execute(incident.id, ADA, AddNote("two"))
    assert [entry.at for entry in room.service.records.entries(incident.id)] == [NOON, NOON, NOON]


@pytest.mark.parametrize("actor", [ADA, MACHINE])
def test_severity_falls_only_by_a_person(room: Room, actor) -> None:  # type: ignore[no-untyped-def]
    incident = room.service.open_or_join(a_report(HALF))
    if actor.human:
        assert (
            room.service.execute(incident.id, actor, ChangeSeverity(Severity.P3, "a test site")).severity is Severity.P3
        )
        return
    with pytest.raises(IncidentRefusedError):
        room.service.execute(incident.id, actor, ChangeSeverity(Severity.P3, "it looks fine"))
    assert room.service.records.get(incident.id).severity is Severity.P1


def _claim_one(room: Room) -> sa.Row | None:  # type: ignore[type-arg]
    """What a sender does: take a pending row in a transaction, then send it."""
    with room.database.write() as connection:
        row = connection.execute(sa.select(outbox).where(outbox.c.state == "pending").limit(1)).first()
        if row is not None:
            connection.execute(sa.update(outbox).where(outbox.c.key == row.key).values(state=OutboxState.SENT.value))
        return row


def _together(calls: list) -> None:  # type: ignore[type-arg]
    """Call all of them at once, on a thread each; raises the first error."""
    barrier, errors = threading.Barrier(len(calls)), []

    def run(call) -> None:  # type: ignore[no-untyped-def]
        barrier.wait(patient(30))
        try:
            call()
        except Exception as error:  # noqa: BLE001 (raised below, on the test's own thread)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patient(60))
    if errors:
        raise errors[0]

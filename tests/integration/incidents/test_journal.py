"""The last resort: a database that is away, a process that dies while writing, a disk that is full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.journal import ReportJournal
from orchestration.incidents.report import TroubleReport
from orchestration.notifications.notice import Notice
from tests.integration.incidents.conftest import Room
from tests.support.incidents import ADA, ALL_AGENTS, HALF, a_report, after


class Kept:
    """A journal over the room's desk, and everything that was told as a last resort."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.told: list[Notice] = []
        self.folder = room.folder / "var" / "journal"
        self.journal = self.restarted()

    def restarted(self) -> ReportJournal:
        return ReportJournal(self.folder, self.room.service, self.room.bus, self.room.clock, self.told.append)

    @property
    def lines(self) -> list[str]:
        path = self.folder / "incidents.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """No table of incidents: every statement about them fails, as it does on a broken file."""
        self._rename("incidents", "away")
        yield
        self._rename("away", "incidents")

    def _rename(self, one: str, other: str) -> None:
        with self.room.database.write() as connection:
            connection.execute(sa.text(f"ALTER TABLE {one} RENAME TO {other}"))


@pytest.fixture
def kept(room: Room) -> Kept:
    return Kept(room)


def test_while_the_database_works_the_journal_is_the_desk(kept: Kept) -> None:
    incident = kept.journal.report(a_report())
    assert incident is not None
    assert kept.journal.clear("agent:executor", after(minutes=1), observed=True) is not None
    assert (kept.told, kept.lines, kept.journal.waiting) == ([], [], False)


def test_without_it_a_p0_is_told_at_once_and_becomes_the_same_incident_later(kept: Kept) -> None:
    with kept.database_away():
        assert kept.journal.report(a_report(ALL_AGENTS)) is None
        assert [notice.severity for notice in kept.told] == [Severity.P0]
        assert kept.journal.waiting
    kept.room.go_to(after(hours=1))
    assert kept.journal.replay() == 1
    incident = kept.room.service.records.get(kept.told[0].incident_id)
    assert (incident.severity, incident.detected_at, incident.title) == (Severity.P0, after(), "executor fails")
    assert not kept.journal.waiting
    assert "incident.journalled" in kept.room.said()


def test_only_p0_and_p1_are_told_and_each_rise_once(kept: Kept) -> None:
    with kept.database_away():
        for facts in (a_report().facts, HALF, HALF, ALL_AGENTS):
            kept.journal.report(a_report(facts))
    assert [notice.severity for notice in kept.told] == [Severity.P1, Severity.P0]
    assert len({notice.incident_id for notice in kept.told}) == 1


def test_records_are_replayed_in_order_before_the_next_report(kept: Kept) -> None:
    with kept.database_away():
        kept.journal.report(a_report())
        kept.journal.clear("agent:executor", after(minutes=1), observed=True)
        kept.journal.report(a_report(key="other", at=after(minutes=2)))
    kept.room.go_to(after(minutes=5))
    third = kept.journal.report(a_report(HALF, key="third", at=after(minutes=5)))
    assert third is not None
    rows = kept.room.service.records.table.list()
    assert [row.detected_at for row in rows] == [after(minutes=5), after(minutes=2), after()]
    kept.room.tick()
    assert kept.room.service.records.get(rows[2].id).status is IncidentStatus.RESOLVED


def test_whoever_watches_is_given_the_reports_that_were_replayed(kept: Kept) -> None:
    given: list[TroubleReport] = []
    with kept.database_away():
        kept.journal.report(a_report(ALL_AGENTS))
    journal = ReportJournal(
        kept.folder, kept.room.service, kept.room.bus, kept.room.clock, kept.told.append, replayed=given.append
    )
    journal.replay()
    assert [report.key for report in given] == [a_report().key]


def test_handing_over_twice_does_no_harm(kept: Kept) -> None:
    with kept.database_away():
        kept.journal.report(a_report(at=after()))
        kept.journal.report(a_report(HALF, at=after(seconds=30)))
        kept.journal.clear("agent:executor", after(minutes=1), observed=True)
    before = "\n".join(kept.lines) + "\n"
    kept.room.go_to(after(minutes=5))
    kept.journal.replay()
    kept.room.tick()
    first = kept.room.service.records.find("latest")
    (kept.folder / "incidents.jsonl").write_text(before)
    assert kept.journal.replay() == 3
    assert kept.room.service.records.find("latest") == first
    assert first.status is IncidentStatus.RESOLVED


def test_a_trouble_that_came_back_and_went_while_the_database_was_away_is_resolved_again(kept: Kept) -> None:
    incident = kept.journal.report(a_report())
    assert incident is not None
    kept.room.service.execute(incident.id, ADA, Resolve("mended", anyway=True))
    with kept.database_away():
        kept.journal.report(a_report(at=after(minutes=10)))
        kept.journal.clear("agent:executor", after(minutes=12), observed=True)
    kept.room.go_to(after(minutes=40))
    kept.journal.replay()
    assert kept.room.service.records.get(incident.id).status is IncidentStatus.REOPENED
    kept.room.tick()
    assert kept.room.service.records.get(incident.id).status is IncidentStatus.RESOLVED


def test_a_torn_last_line_is_kept_aside_and_spoils_no_other(kept: Kept) -> None:
    with kept.database_away():
        kept.journal.report(a_report())
        path = kept.folder / "incidents.jsonl"
        path.write_text(path.read_text() + '{"kind": "report", "incid')
        kept.restarted().report(a_report(key="other"))
    assert kept.restarted().replay() == 2
    assert len(kept.room.service.records.table.list()) == 2
    aside = [json.loads(line) for line in (kept.folder / "aside.jsonl").read_text().splitlines()]
    assert [record["line"] for record in aside] == ['{"kind": "report", "incid']


def test_it_stays_kept_while_the_database_is_away_again(kept: Kept) -> None:
    with kept.database_away():
        kept.journal.report(a_report())
        with pytest.raises(sa.exc.SQLAlchemyError):
            kept.journal.replay()
        assert len(kept.lines) == 1


def test_another_process_takes_over_what_one_has_left(kept: Kept) -> None:
    with kept.database_away():
        kept.journal.report(a_report())
    assert kept.restarted().replay() == 1


def test_no_secret_stands_in_the_file(kept: Kept) -> None:
    kept.room.redactor.remember(["hunter2-very-secret"])
    with kept.database_away():
        kept.journal.report(a_report(ALL_AGENTS, title="hunter2-very-secret", evidence=({"x": "hunter2-very-secret"},)))
    assert "hunter2" not in "".join(kept.lines)
    assert "hunter2" not in str(kept.told)


def test_where_even_the_file_cannot_be_written_it_is_kept_in_memory_and_still_told(room: Room, tmp_path: Path) -> None:
    blocked = tmp_path / "var"
    blocked.write_text("a file where the folder should be")
    kept = Kept(room)
    with kept.database_away():
        assert kept.journal.report(a_report(ALL_AGENTS)) is None
        assert len(kept.told) == 1
    assert kept.journal.waiting
    assert kept.journal.replay() == 1
    assert room.service.records.get(kept.told[0].incident_id).severity is Severity.P0


def test_once_there_is_room_what_was_in_memory_goes_to_the_file_first(room: Room, tmp_path: Path) -> None:
    blocked = tmp_path / "var"
    blocked.write_text("")
    kept = Kept(room)
    with kept.database_away():
        kept.journal.report(a_report())
        blocked.unlink()
        kept.journal.report(a_report(key="other"))
    assert [json.loads(line)["report"]["key"] for line in kept.lines] == ["agent:executor", "other"]


def test_an_incident_from_the_journal_can_be_worked_on_like_any_other(kept: Kept) -> None:
    with kept.database_away():
        kept.journal.report(a_report(HALF))
    kept.room.go_to(after(minutes=20))
    kept.journal.replay()
    incident = kept.room.service.execute(kept.told[0].incident_id, ADA, Acknowledge())
    assert incident.acknowledged_at == after(minutes=20)
    assert incident.clock.started_at == after()


def test_the_next_process_knows_whom_the_last_resort_reached(kept: Kept) -> None:
    reached = frozenset({("ada", "log"), ("ben", "log")})
    journal = ReportJournal(
        kept.folder, kept.room.service, kept.room.bus, kept.room.clock, kept.told.append, lambda _: reached
    )
    with kept.database_away():
        journal.report(a_report(ALL_AGENTS))
        journal.keep_reached()
    assert kept.restarted().replay() == 2
    assert not (kept.folder / "aside.jsonl").exists()
    incident = kept.room.service.records.get(kept.told[0].incident_id)
    pages = {contact: state for kind, contact, state in kept.room.messages(incident) if kind == "initial"}
    assert pages == {"ada": "sent", "ben": "sent", "cleo": "pending", "sec": "pending"}


@pytest.mark.parametrize(
    "line", ['{"kind": "reached"}', '{"kind": "reached", "incident": 1, "contacts": [1]}', "[]", "1"]
)
def test_what_is_wrong_about_who_was_reached_spoils_nothing(kept: Kept, line: str) -> None:
    with kept.database_away():
        kept.journal.report(a_report(ALL_AGENTS))
    with (kept.folder / "incidents.jsonl").open("a") as stream:
        stream.write(f"{line}\n")
    kept.restarted().replay()
    assert kept.room.service.records.get(kept.told[0].incident_id).status is IncidentStatus.DETECTED


def test_whom_the_last_resort_reached_is_not_paged_again_and_hears_of_the_end(kept: Kept) -> None:
    reached = frozenset({("ada", "log"), ("ben", "log")})
    journal = ReportJournal(
        kept.folder, kept.room.service, kept.room.bus, kept.room.clock, kept.told.append, lambda _: reached
    )
    with kept.database_away():
        journal.report(a_report(ALL_AGENTS))
    journal.replay()
    incident = kept.room.service.records.get(kept.told[0].incident_id)
    pages = {contact: state for kind, contact, state in kept.room.messages(incident) if kind == "initial"}
    assert pages == {"ada": "sent", "ben": "sent", "cleo": "pending", "sec": "pending"}
    kept.room.service.execute(incident.id, ADA, Resolve("mended", anyway=True))
    ends = {contact for kind, contact, _ in kept.room.messages(incident) if kind == "resolved"}
    assert {"ada", "ben"} <= ends

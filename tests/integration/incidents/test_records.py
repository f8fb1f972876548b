"""Documents of incidents as earlier versions wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orchestration.cli.common import plain
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.records import IncidentRecords, report_from_json, report_to_json, upgraded
from orchestration.incidents.report import BlastRadius
from orchestration.incidents.severity import SeverityReason
from orchestration.storage.database import Database
from orchestration.storage.tables.incidents import incident_documents
from tests.integration.incidents.conftest import Room
from tests.support.incidents import ADA, HALF, a_report

OLD = json.loads((Path(__file__).parent / "incident-of-an-earlier-version.json").read_text())
NAMES = {
    "ground": "severity_reason",
    "blast": "blast_radius",
    "told": "notified",
    "tried": "attempted_actions",
    "judged": "assessed_severity",
    "alarms": "paging_rounds",
    "paged": "levels_paged",
}
# Fields that later versions have added; the ones before ignore them.
ADDED = {
    "links",
    "escalation_path",
    "causes",
    "conditions",
    "duties",
    "acted_at",
    "proof",
    "proven_at",
    "asserted_by",
    "ended_by",
    "expected",
    "responses",
    "active_response",
    "responding_since",
    "review_authors",
    "silences",
    "flapping",
    "answered_links",
    "attended_at",
    "reminded_at",
    "lapsed_at",
    "snoozed_until",
    "snoozed_by",
    "storm",
    "storm_told",
    "failed_actions",
    "likely_causes",
    "requested_option",
    "requested_by",
}


def stored(database: Database, incident_id: str) -> dict[str, Any]:
    with database.read() as connection:
        query = sa.select(incident_documents.c.document).where(incident_documents.c.incident_id == incident_id)
        document: dict[str, Any] = connection.execute(query).scalar_one()
        return document


def test_a_document_of_an_earlier_version_is_read_and_written_with_the_same_names(room: Room) -> None:
    incident = room.service.open_or_join(a_report(HALF))
    with room.database.write() as connection:
        values = {"document": {**OLD, "id": incident.id, "policy": incident.policy, "version": incident.version}}
        whose = incident_documents.c.incident_id == incident.id
        connection.execute(sa.update(incident_documents).where(whose).values(**values))
    found = IncidentRecords(room.database).get(incident.id)
    assert (found.severity_reason, found.assessed_severity) == (SeverityReason.MANY_AGENTS_FAILING, Severity.P1)
    assert found.blast_radius == BlastRadius(agents=("executor",), runs=("run-1",))
    assert (found.notified, found.attempted_actions) == (("ada", "ben"), ("restart executor",))
    assert (found.paging_rounds, found.levels_paged) == (2, 1)
    room.service.execute(incident.id, ADA, AddNote("seen"))
    assert stored(room.database, incident.id).keys() == OLD.keys() | ADDED


def test_the_console_publishes_the_same_names_as_the_api(room: Room) -> None:
    published = plain(room.service.open_or_join(a_report(HALF)))
    assert published.keys() == OLD.keys() | ADDED
    assert not published.keys() & set(NAMES.values())


def test_a_report_of_an_earlier_versions_journal_is_read() -> None:
    values = report_to_json(a_report(HALF))
    assert "blast" in values
    assert report_from_json(values) == a_report(HALF)


def test_likely_causes_that_are_only_in_the_text_of_a_note_are_found() -> None:
    old = {"text": "likely causes: the disk is full (80 of 100); a leak (20 of 100)"}
    assert upgraded("noted", old)["likely_causes"] == ["the disk is full (80 of 100)", "a leak (20 of 100)"]
    assert upgraded("noted", {"text": "a plain note"}) == {"text": "a plain note"}
    assert upgraded("resolved", old) == old

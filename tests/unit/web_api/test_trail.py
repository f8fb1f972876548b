"""The audit trail: whatever is done to its lines afterwards is found."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from orchestration.clock import FakeClock
from orchestration.events import Event, EventBus
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.redaction import Redactor
from orchestration.storage.audit import AuditTable
from orchestration.storage.database import Database
from tests.support.database import migrated


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = migrated(database_url)
    yield made
    made.close()


@pytest.fixture
def said() -> list[Event]:
    return []


@pytest.fixture
def trail(database: Database, said: list[Event]) -> AuditTrail:
    bus = EventBus(FakeClock())
    bus.subscribe(said.append)
    redactor = Redactor()
    redactor.remember(["s3cret-of-ours-0123456789"])
    made = AuditTrail(AuditTable(database), bus, FakeClock(), redactor.data)
    for number in range(5):
        made.write("ada", f"POST /api/v1/things/{number}", "done", {"status": 200, "factor": 0.1})
    return made


def test_an_untouched_trail_is_as_it_was_written(trail: AuditTrail, said: list[Event]) -> None:
    found = trail.verify()
    assert (found.lines, found.broken_at) == (5, None)
    assert said[-1].data["digest"] == found.digest, "the log knows the last seal"


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE sequence = 2", 2),
        ("UPDATE audit SET outcome = 'refused' WHERE sequence = 5", 5),
        ("UPDATE audit SET details = '{\"status\": 500}' WHERE sequence = 1", 1),
        ("UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE sequence = 3", 3),
        ("DELETE FROM audit WHERE sequence = 1", 2),
        ("DELETE FROM audit WHERE sequence = 3", 4),
        ("UPDATE audit SET digest = (SELECT digest FROM audit WHERE sequence = 4) WHERE sequence = 3", 3),
    ],
)
def test_what_was_changed_or_taken_out_is_found(
    trail: AuditTrail, database: Database, change: str, broken_at: int
) -> None:
    with database.write() as connection:
        connection.execute(sa.text(change))
    assert trail.verify().broken_at == broken_at


def test_lines_that_are_written_at_once_are_sealed_one_after_the_other(trail: AuditTrail) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: trail.write("ada", f"{number}", "done", {}), range(40)))
    found = trail.verify()
    assert (found.lines, found.broken_at) == (45, None)


def test_a_secret_is_not_written(trail: AuditTrail, database: Database) -> None:
    trail.write("ada", "a", "done", {"note": "s3cret-of-ours-0123456789"})
    with database.read() as connection:
        assert "s3cret" not in str(connection.execute(sa.text("SELECT * FROM audit")).all())
    assert trail.verify().broken_at is None


def test_lines_are_read_backwards_and_by_who_did_it(trail: AuditTrail) -> None:
    trail.write("ben", "b", "done", {})
    assert [one.sequence for one in trail.table.list(limit=2)] == [6, 5]
    assert [one.sequence for one in trail.table.list(before=3)] == [2, 1]
    assert [one.sequence for one in trail.table.list(actor="ben")] == [6]

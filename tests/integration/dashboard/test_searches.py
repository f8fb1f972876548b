"""What the pages look for among many records, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.playbook_state import ActionState
from orchestration.storage.alerts import AlertRow, Alerts
from orchestration.storage.charge import Charge
from orchestration.storage.database import Database
from orchestration.storage.incidents.table import IncidentTable
from orchestration.storage.outbox import Outbox
from orchestration.storage.playbooks import ActionRun, MitigationStep, PlaybookRecords
from orchestration.storage.runs import Run, Runs
from orchestration.storage.search import RecordSearch
from orchestration.storage.spend import Spend
from orchestration.storage.tables import incidents
from tests.support.database import migrated

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = migrated(database_url)
    yield database
    database.close()


def an_incident(database: Database, number: int, key: str, title: str) -> str:
    name = f"inc-{number:04d}"
    values = {
        "id": name, "reversed_id": name[::-1], "key": key, "scenario": "agent-failure", "severity": "P2",
        "status": "closed", "is_open": False, "drill": False, "title": title, "acknowledged_by": "",
        "detected_at": NOON + timedelta(minutes=number), "counted": True, "version": 1, "open_actions": 0,
        "month": "2026-03", "recurred": False,
    }  # fmt: skip
    with database.write() as connection:
        connection.execute(sa.insert(incidents).values(values))
    return name


def test_words_are_found_in_any_case_and_order_and_since_a_time(database: Database) -> None:
    search = RecordSearch(database)
    first = an_incident(database, 1, "a", "The Provider is 100% down")
    second = an_incident(database, 2, "b", "the disk is full")
    assert [row.id for row in search.incidents(["is"])] == [second, first]
    assert [row.id for row in search.incidents(["100%", "provider"])] == [first]
    assert [row.id for row in search.incidents(["1_0%"])] == []
    assert [row.id for row in search.incidents(["agent-failure"], NOON + timedelta(minutes=2))] == [second]
    Runs(database).add(Run("run-1", "Make the TESTS pass", "/tmp", NOON))
    assert [row.id for row in search.runs(["tests"])] == ["run-1"]
    alert = AlertRow("a-1", "f", "disk-low", AlertStatus.FIRING, "monitoring", "s", "g", {}, 1.0, {}, NOON, NOON)
    Alerts(database).save([alert])
    assert [row.id for row in search.alerts(["monitoring", "disk"])] == ["a-1"]
    assert [run.id for run in Runs(database).list_of(["run-1", "run-none"])] == ["run-1"]


def test_the_newest_incident_of_each_key(database: Database) -> None:
    for number, key in enumerate(("a", "b", "a", "a")):
        an_incident(database, number, key, "t")
    assert IncidentTable(database).newest_of_keys(["a", "b", "c"]) == {"a": "inc-0003", "b": "inc-0001"}
    assert IncidentTable(database).newest_of_keys([]) == {}


def test_spend_is_summed_by_agent_and_by_model(database: Database) -> None:
    spend = Spend(database)
    for number, (agent, model) in enumerate((("planner", "m"), (None, "m"), ("planner", "n"))):
        spend.add(Charge(f"key-{number}", "run-1", agent, "p", model, 10, 5, 0.5, NOON + timedelta(hours=number)))
    until = NOON + timedelta(hours=3)
    assert spend.by_agent(NOON, until) == {"planner": (30, 1.0), "": (15, 0.5)}
    assert spend.by_route(NOON, until) == {"p/m": (30, 1.0), "p/n": (15, 0.5)}
    assert spend.by_agent(NOON, NOON + timedelta(hours=1)) == {"planner": (15, 0.5)}


def test_the_steps_of_mitigations_and_the_newest_tries(database: Database) -> None:
    records = PlaybookRecords(database)
    for phase in ("identify", "mitigate"):
        records.save_action(
            ActionRun(f"k/{phase}", "r", "inc", phase, "s", "a.b", "reads", "auto", ActionState.DONE, NOON, "x")
        )
    assert records.list_mitigation_steps(["r", "other"]) == (MitigationStep("r", "s", ActionState.DONE),)
    assert Outbox(database).list_newest_attempts(10) == ()

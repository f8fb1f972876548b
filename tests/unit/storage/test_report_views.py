"""The views for dashboards: the same figures on both databases, by the queries of the how-to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from orchestration.storage.database import Database
from orchestration.storage.tables import action_runs, alerts, incidents, playbook_runs, runs, spend
from tests.support.database import migrated

PAGE = (Path(__file__).parents[3] / "docs/how-to/grafana.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"(?<!<!-- postgresql -->\n)```sql\n(.*?)```", PAGE, re.DOTALL)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(days=1, hours=13)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = migrated(database_url)
    yield database
    database.close()


def fill(database: Database) -> None:
    run = {"goal": "g", "workspace": "/w", "options": {}, "reason": "", "created_at": NOON}
    call = {"provider": "ollama", "prompt_tokens": 100, "completion_tokens": 20, "at": NOON}
    incident = {
        "scenario": "agent-failure", "status": "closed", "is_open": False, "drill": False, "counted": True,
        "title": "t", "acknowledged_by": "ada", "open_actions": 0, "month": "2026-03", "recurred": False, "version": 1,
        "detected_at": NOON, "resolved_at": LATER, "severity": "P2", "ended_by": "proof",
    }  # fmt: skip
    alert = {
        "fingerprint": "f", "status": "resolved", "source": "s", "scenario": "x", "group_key": "g", "labels": {},
        "value": 1.0, "state": {}, "verdict": "notify", "muted_by": "", "drill": False, "since": NOON,
        "starts_at": NOON, "ends_at": after(90.5), "updated_at": NOON,
    }  # fmt: skip
    response = {
        "playbook": "agent-failure", "version": 1, "state": "helped", "phase": "done", "summary": "", "hypotheses": [],
        "drill": False, "started_at": NOON, "finished_at": after(60), "incident_id": "i1",
    }  # fmt: skip
    action = {
        "incident_id": "i1", "phase": "mitigate", "risk": "low", "mode": "auto", "parameters": {}, "summary": "",
        "findings": {}, "evidence": {}, "actor": "playbook", "started_at": NOON,
    }  # fmt: skip
    rows: dict[sa.Table, list[dict[str, Any]]] = {
        runs: [
            {**run, "id": "r1", "status": "succeeded", "origin": "", "started_at": NOON, "finished_at": after(60.25)},
            {**run, "id": "r2", "status": "queued", "origin": "drill stuck"},
        ],
        spend: [
            {**call, "key": "1", "run_id": "r1", "agent": "planner", "model": "m", "usd": 0.5},
            {**call, "key": "2", "run_id": "r1", "agent": "planner", "model": "m", "usd": None},
            {**call, "key": "3", "run_id": None, "agent": None, "model": "m", "usd": 0.25, "at": LATER},
        ],
        incidents: [
            {**incident, "id": f"i{number}", "reversed_id": str(number), "key": f"k{number}", **own}
            for number, own in enumerate(
                (
                    {"seconds_to_detect": 10.0, "seconds_to_resolve": 100.0, "recurred": True},
                    {"seconds_to_detect": -5.0, "seconds_to_resolve": 300.0},
                    {"seconds_to_detect": None, "seconds_to_resolve": 9999.0, "ended_by": "workaround"},
                    {"seconds_to_detect": 1.0, "seconds_to_resolve": 1.0, "drill": True, "counted": False},
                )
            )
        ],
        alerts: [{**alert, "id": "a1", "name": "cpu-high"}, {**alert, "id": "a2", "name": "cpu-high", "ends_at": None}],
        playbook_runs: [
            {**response, "id": "p1", "helped": "restart"}, {**response, "id": "p2", "helped": "restart"},
            {**response, "id": "p3", "helped": None}, {**response, "id": "p4", "helped": "restart", "drill": True},
        ],
        action_runs: [
            {**action, "key": f"{one}.{step}", "run_id": one, "step": step, "action": "agent.restart", "state": state}
            for one, step, state in (("p1", "again", "done"), ("p2", "again", "done"), ("p3", "again", "failed"),
                                     ("p3", "other", "denied"), ("p4", "again", "failed"))
        ],
    }  # fmt: skip
    with database.write() as connection:
        for table, values in rows.items():
            for value in values:
                connection.execute(sa.insert(table), [value])


def asked(database: Database, query: str) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def test_the_figures_are_the_same_on_both_databases(database: Database) -> None:
    fill(database)
    (one,) = asked(database, QUERIES[0])
    assert (one["severity"], one["incidents"], one["mttd"], one["mttr"], one["mtta"]) == ("P2", 3, 10.0, 200.0, None)
    assert float(asked(database, QUERIES[1])[0]["recurrence"]) == pytest.approx(1 / 3)
    days = asked(database, QUERIES[2])
    assert [(day["calls"], day["tokens"], day["usd"]) for day in days] == [(2, 240, 0.5), (1, 120, 0.25)]
    midnight = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)
    assert [day["time"] for day in days] == [one.timestamp() if database.is_sqlite else one for one in midnight]
    (run,) = asked(database, QUERIES[3])
    assert (run["run_id"], run["run_seconds"]) == ("r1", pytest.approx(60.25, abs=0.001))
    assert (run["tokens"], run["cost_usd"]) == (240, 0.5)
    (alert,) = asked(database, QUERIES[4])
    assert (alert["fired"], float(alert["seconds"])) == (2, pytest.approx(90.5, abs=0.001))
    (option,) = asked(database, QUERIES[5])
    assert (option["option"], option["helped"], option["playbook_runs"]) == ("restart", 2, 3)
    assert float(option["share"]) == pytest.approx(2 / 3)
    actions = {row["step"]: row for row in asked(database, QUERIES[6])}
    assert (actions["again"]["runs_tried"], actions["again"]["runs_failed"]) == (3, 1)
    assert actions["other"]["runs_tried"] == 0
    assert [row["state"] for row in asked(database, QUERIES[7])] == ["helped"] * 3
    assert len(QUERIES) == 8, "a query of the page is not tried here"


def test_the_page_names_every_view_and_every_column(database: Database) -> None:
    inspector = sa.inspect(database.engine)
    rows = re.findall(r"\| `(report_\w+)` \|[^|]*\|([^|]*)\|", PAGE)
    named = {view: re.findall(r"`(\w+)`", columns) for view, columns in rows}
    found = {view: [one["name"] for one in inspector.get_columns(view)] for view in inspector.get_view_names()}
    assert named == found


def test_a_role_that_may_only_read_the_views_reads_nothing_else(postgres_url: str) -> None:
    database = migrated(postgres_url)
    fill(database)
    (text,) = re.findall(r"<!-- postgresql -->\n```sql\n(.*?)```", PAGE, re.DOTALL)
    role = f"grafana_{abs(hash(postgres_url)) % 10**9}"
    try:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in text.replace("grafana", role).split(";"):
                if statement.strip():
                    connection.exec_driver_sql(statement)
            connection.exec_driver_sql(f"SET ROLE {role}")
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM report_incidents").scalar() == 4
            for refused in ("SELECT * FROM incidents", "SELECT * FROM spend", "DELETE FROM report_alerts"):
                with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                    connection.exec_driver_sql(refused)
            connection.exec_driver_sql("RESET ROLE")
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")
    finally:
        database.close()


def test_the_views_can_be_taken_away_and_made_again(database: Database) -> None:
    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parents[3] / "orchestration/storage/migrations"))
    with database.write() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0029")
    assert sa.inspect(database.engine).get_view_names() == []
    database.migrate()
    assert len(sa.inspect(database.engine).get_view_names()) == 7

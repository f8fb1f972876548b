"""Overrides record which action made them; a migration reads that out of the reasons of earlier versions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestration.config.overrides import LimitProvider, Override, OverrideOrigin, SetLogLevel
from orchestration.storage.configuration import Overrides
from orchestration.storage.database import Database
from tests.unit.storage.test_run_holds import downgrade

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ORIGIN = OverrideOrigin(incident_id="inc-1", action_key="response-inc-1-0/mitigate/less/lower/4", part="0.5")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/orchestrator.db")
    database.migrate()
    yield database
    database.close()


def test_the_origin_of_an_override_is_stored_with_it(database: Database) -> None:
    overrides = Overrides(database)
    limit = LimitProvider(target="azure", concurrency=2)
    made = Override(id="o-1", change=limit, reason="too much", actor="playbook:p", created_at=NOON, origin=ORIGIN)
    by_person = Override(id="o-2", change=SetLogLevel(level="DEBUG"), reason="curious", actor="ada", created_at=NOON)
    overrides.add(made)
    overrides.add(by_person)
    assert overrides.list_active(NOON) == (made, by_person)


EARLIER = {
    "inc-1: because [response-inc-1-0/mitigate/less/lower/4#0.5]": ORIGIN,
    "inc-2: two lines,\nor [more] [a/b/4]": OverrideOrigin(incident_id="inc-2", action_key="a/b/4"),
    "I like it [more]": None,
    "inc-1 is why I do it": None,
}


def test_the_origins_of_an_earlier_version_are_read_from_its_reasons(database: Database) -> None:
    downgrade(database, "0011")
    with database.write() as connection:
        for number, reason in enumerate(EARLIER):
            connection.execute(
                sa.text(
                    "INSERT INTO overrides (id, kind, target, value, reason, actor, created_at)"
                    " VALUES (:id, 'set_log_level', '*', :value, :reason, 'playbook:p', '2026-03-01 12:00:00.000000')"
                ),
                {"id": f"o-{number}", "value": '{"level": "DEBUG"}', "reason": reason},
            )
    database.migrate()
    assert {one.reason: one.origin for one in Overrides(database).list_active(NOON)} == EARLIER

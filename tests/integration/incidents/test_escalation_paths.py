"""Escalation paths on a real database: over a killed process and an edited configuration, and on the console."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestration.app import project
from orchestration.clock import SystemClock
from orchestration.errors import UsageError
from orchestration.events import EventBus
from orchestration.incidents.service import IncidentService, Ports
from orchestration.storage.database import Database
from orchestration.storage.outbox import Outbox
from tests.integration.incidents.test_clock_steps import a_process, tell
from tests.integration.incidents.test_console import CONTACTS, Console
from tests.support.database import migrated
from tests.support.incidents import HALF, a_report, plan, some_settings
from tests.support.patience import until

PATHS = {
    "escalationPaths": {
        "agents": {
            "levels": [{"level": 1, "targets": ["ben"], "after": 1}, {"level": 2, "targets": ["sec"], "after": 600}],
            "audience": {"P2": []},
        }
    },
    "escalationRoutes": [{"path": "agents", "scenarios": ["agent-failure"]}],
}


def told(database: Database) -> dict[str, str]:
    """The step of the first message for each contact, in the order of the messages."""
    service = IncidentService(
        database, EventBus(SystemClock()), SystemClock(), Ports(some_settings, plan, lambda data: data)
    )
    rows = [one for row in service.records.table.list() for one in Outbox(database).list_for_incident(row.id)]
    return {row.contact: row.key.split(":")[1] for row in reversed(rows)}


def test_paging_goes_on_by_the_path_after_the_process_was_killed_and_the_path_removed_from_the_file(
    tmp_path: Path,
) -> None:
    file, offset = tmp_path / "o.db", tmp_path / "offset"
    offset.write_text("0")
    people = some_settings().model_dump(mode="json", by_alias=True, include={"contacts"})
    with closing(migrated(f"sqlite:///{file}")) as database:
        with a_process(file, offset, json.dumps({**people, **PATHS})) as first:
            tell(first, "open")
            first.kill()
            first.wait()
        with a_process(file, offset, json.dumps(people)):
            until(lambda: len(told(database)) > 1, 20, "the second level was not paged")
        # Not ada, who is level 1 of the default path: the incident keeps the path of its detection.
        assert told(database) == {"ben": "initial-1", "sec": "page-1-2"}


@pytest.fixture
def console(tmp_path: Path) -> Console:
    here = Console(tmp_path)
    everyone = [*CONTACTS, {"id": "dba", "channels": [{"channel": "log"}]}]
    here.configure(
        contacts=everyone,
        escalationPaths={"database": {"levels": [{"level": 1, "targets": ["dba"], "after": 300}]}},
        escalationRoutes=[{"path": "database", "matchers": ['team=~"db|database"']}],
        escalation={"levels": [{"level": 1, "after": 600}, {"level": 2, "after": 600}]},
    )
    return here


def incident_of(console: Console, **values: Any) -> str:
    with project(str(console.config)) as here:
        return here.incident_service.open_or_join(a_report(HALF, here.clock.now(), **values)).id


def test_a_route_can_be_tried_before_any_alert_comes(console: Console) -> None:
    tried = console.json("oncall", "route", "team=db", "severity=warning")
    assert (tried["path"]["name"], tried["route"], tried["subject"]["severity"]) == ("database", 0, "P2")
    assert tried["path"]["levels"] == [{"level": 1, "contacts": ["dba"], "after": 300.0}]
    assert tried["path"]["notified_first"]["P2"] == ["ada"]
    other = console.json("oncall", "route", "team=web", "--severity", "P0")
    assert (other["path"]["name"], other["route"], other["subject"]["severity"]) == ("default", None, "P0")
    text = console.run("oncall", "route", "team=database", "--severity", "P0").output
    assert "a P0 takes the escalation path database: by response.escalationRoutes[0]" in text
    with pytest.raises(UsageError, match="LABEL=VALUE"):
        console.run("oncall", "route", "team")
    with pytest.raises(UsageError, match="either --alert"):
        console.run("oncall", "route", "team=db", "--alert", "a")


def test_the_paths_are_shown_and_an_incident_can_be_moved(console: Console) -> None:
    shown = console.json("oncall", "show")
    assert [(path["name"], path["routes"]) for path in shown["paths"]] == [("default", []), ("database", [0])]
    assert shown["levels"] == shown["paths"][0]["levels"], "as before there were paths"
    name = incident_of(console, key="db", labels={"team": "db"})
    assert console.json("incidents", "show", name)["escalation_path"] == "database"
    assert "path       database; level 1 is paged next" in console.do("show", name)
    console.do("path", name, "default", "--reason", "not the database")
    moved = console.json("incidents", "show", name)
    assert moved["escalation_path"] == "default"
    assert "path changed by user" in console.do("show", name)
    with pytest.raises(UsageError, match="There are: default, database"):
        console.run("incidents", "path", name, "db")

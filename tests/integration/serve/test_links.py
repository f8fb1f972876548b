"""Where the links in messages lead: to the dashboard of whoever serves, or where the configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.app.project import ProjectRecords, project
from orchestration.domain.scenario import Scenario
from orchestration.incidents.report import Facts, TroubleReport
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import Outbox
from orchestration.workflows.processes import CONTROL_PREFIX, this_process
from tests.support.console import ConsoleProject, stop, wait_for_line
from tests.support.patience import until

_ADA = {"id": "ada", "level": 1, "channels": [{"channel": "log"}]}


@pytest.fixture
def folder(tmp_path: Path) -> ConsoleProject:
    made = ConsoleProject(tmp_path / "project")
    made.document["response"] = {"contacts": [_ADA]}
    made.write()
    return made


def serves(here: ProjectRecords, url: str) -> None:
    """Another process says that it serves there."""
    Leases(here.database).acquire(CONTROL_PREFIX + "other", "other", 60, this_process(workers=[], url=url))


def told(here: ProjectRecords) -> list[str]:
    """The links in what is to be sent about a new incident."""
    at, facts = here.clock.now(), Facts(agents_failing=1, agents_total=2)
    incident = here.incident_service.open_or_join(
        TroubleReport("a", Scenario.AGENT_FAILURE, "An agent fails", "It fails", facts, at)
    )
    rows = Outbox(here.database).list_for_incident(incident.id)
    return sorted({row.payload["notice"]["url"].replace(incident.id, "ID") for row in rows})


def test_a_message_leads_to_the_dashboard_of_the_process_that_serves(folder: ConsoleProject) -> None:
    with project(str(folder.file)) as here:
        assert here.incident_url("inc-1") == "", "nobody serves"
        serves(here, "http://127.0.0.1:8642")
    with project(str(folder.file)) as here:
        assert here.incident_url("inc-1") == "http://127.0.0.1:8642/incidents/inc-1"
        assert told(here) == ["http://127.0.0.1:8642/incidents/ID"]


def test_the_address_of_the_configuration_comes_first(folder: ConsoleProject) -> None:
    folder.document["response"]["dashboardUrl"] = "https://ops.example.org/agents/"
    folder.write()
    with project(str(folder.file)) as here:
        serves(here, "http://127.0.0.1:8642")
        assert here.incident_url("inc-1") == "https://ops.example.org/agents/incidents/inc-1"


def test_serve_tells_others_where_its_dashboard_is(folder: ConsoleProject) -> None:
    with folder.started("serve", "--workers", "0", "--port", "0") as serve:
        address = wait_for_line(serve, "dashboard and API: ")[-1].partition("API: ")[2].strip()
        assert until(lambda: [one["url"] for one in folder.call("status", "--json").json()["control"]] == [address])
        with project(str(folder.file)) as here:
            assert here.incident_url("inc-1") == f"{address}/incidents/inc-1"
        stop(serve)

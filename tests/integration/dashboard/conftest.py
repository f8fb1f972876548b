"""A dashboard whose pages are all filled, one for each module: it takes a second to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestration.incidents.model import Incident
from orchestration.storage.runs import Run
from tests.support.dashboard import ADMIN, Dashboard, a_dashboard
from tests.support.dashboard_records import fill, finished_run
from tests.support.project import ProjectFolder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    project = ProjectFolder(tmp_path_factory.mktemp("project"), {})
    people = [{"id": name, "level": 1, "channels": [{"channel": "log"}]} for name in ("ada", "ben", "cyd")]
    rotation = {"id": "primary", "members": ["ada", "ben"], "start": "2026-01-05", "hours": 8}
    window = {"name": "weekly", "matchers": ['host="web-1"'], "cron": "0 2 * * sun", "seconds": 7200}
    project.configure(
        {
            **project.settings,
            "models": {"rehearsal": ["rehearsal-1"]},
            "response": {"contacts": people, "rotations": [rotation]},
            "alerting": {"maintenanceWindows": [window]},
        }
    )
    with a_dashboard(project.configuration_file) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def incidents(served: Dashboard) -> dict[str, Incident]:
    return fill(served.app)


@pytest.fixture(scope="module")
def run(served: Dashboard) -> Run:
    return finished_run(served.app)


@pytest.fixture
def dashboard(served: Dashboard) -> Iterator[Dashboard]:
    """The dashboard, as an admin sees it; nothing may have gone wrong in it afterwards."""
    served.principal, served.csrf = ADMIN, ""
    yield served
    faults, served.faults = served.faults, []
    assert faults == []

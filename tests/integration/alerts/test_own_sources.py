"""A user's own alert sources, as installed packages: the one of the how-to, and packages that are broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orchestration.alerts.sources.registry import GROUP, alert_sources, own_sources, shipped_sources
from orchestration.domain.alert_status import AlertStatus
from orchestration.storage.database import Database
from tests.support.alerts import Bench
from tests.support.intake import BEARER
from tests.support.intake_process import application
from tests.support.plugins import blocks, how_to, install, site_packages

PAGE = how_to("own-alert-source")
(CODE,) = blocks(PAGE, "python")
PATH = "/api/v1/intake/own.sensors"
HEAD = "from orchestration.alerts.source import AlertSource\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with site_packages(tmp_path / "site", monkeypatch, own_sources) as folder:
        yield folder


def install_the_how_to(site: Path) -> None:
    found = re.search(r'^sensors = "(\S+)"$', PAGE, re.MULTILINE)
    assert found is not None
    install(site, GROUP, "own_sensors", CODE, found[1], "sensors")


def body_of_the_how_to() -> str:
    found = re.search(r"-d '(.*)'", PAGE)
    assert found is not None
    assert PATH in PAGE
    return found[1]


def test_the_source_of_the_how_to_becomes_an_alert_and_its_end(site: Path, bench: Bench, database: Database) -> None:
    install_the_how_to(site)
    body = body_of_the_how_to()
    with TestClient(application(database)) as client:
        assert client.post(PATH, content=body, headers=BEARER).json() == {"accepted": 1}
        bench.evaluate()
        (alert,) = bench.alerts.list()
        assert (alert.source, alert.name, alert.status) == ("own.sensors", "sensor-alarm", AlertStatus.FIRING)
        assert alert.labels["host"] == "rack-7"
        over = body.replace('"alarm"', '"normal"')
        assert client.post(PATH, content=over, headers=BEARER).status_code == 200
        assert client.post(PATH, content=over).status_code == 401
        refused = client.post(PATH, content='{"readings": 7}', headers=BEARER)
        assert (refused.status_code, refused.json()["error"]) == (
            400,
            "expected a list in readings, got something else",
        )


@pytest.mark.parametrize(
    ("code", "entry", "reason"),
    [
        ("import there_is_no_such_module", "broken_one", "ModuleNotFoundError"),
        ("x = 7", "broken_one:x", "7, which is not an AlertSource"),
        (f"{HEAD}x = AlertSource('webhook', 's', print)", "broken_one:x", "'webhook' is not of the form own.sensors"),
        (f"{HEAD}x = AlertSource('own.a', 's', print, path='webhook')", "broken_one:x", "'webhook' is taken"),
        (f"{HEAD}x = AlertSource('own.a', 's', print, path='a b')", "broken_one:x", "has characters other than"),
        (f"{HEAD}x = AlertSource('own.a', 's', print, at_root='/api')", "broken_one:x", "only shipped sources"),
    ],
)
def test_a_broken_package_is_reported_and_keeps_no_other_source_from_being_used(
    site: Path, code: str, entry: str, reason: str
) -> None:
    install(site, GROUP, "broken_one", code, entry, "a-broken-one")
    install_the_how_to(site)
    (problem,) = own_sources().problems
    assert problem.startswith("the alert source 'a-broken-one' (")
    assert reason in problem
    assert [source.name for source in alert_sources()] == [*(one.name for one in shipped_sources()), "own.sensors"]


def test_each_source_has_a_path_and_a_name_of_its_own() -> None:
    sources = shipped_sources()
    assert len({source.name for source in sources}) == len({source.route for source in sources}) == len(sources)
    assert all(source.route.startswith("/api/v1/intake/") for source in sources)

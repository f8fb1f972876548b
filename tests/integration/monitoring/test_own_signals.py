"""A user's own collectors, as installed packages: the one of the how-to, and packages that are broken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.alerts.signal import Signal
from orchestration.clock import SystemClock
from orchestration.config.loader import ConfigLoader
from orchestration.config.schema import Configuration
from orchestration.monitoring.collectors.descriptor import CollectorContext, CollectorDescriptor, InstalledCollector
from orchestration.monitoring.collectors.plugins import GROUP, own_collectors
from orchestration.monitoring.signals.descriptor import SignalDescriptor
from orchestration.storage.database import Database
from tests.integration.monitoring.test_monitoring import monitored
from tests.support.plugins import blocks, how_to, install, site_packages

PAGE = how_to("own-signal")
(CODE,) = blocks(PAGE, "python")
OURS = "from dataclasses import replace\nfrom own_signals import INBOX\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with site_packages(tmp_path / "site", monkeypatch, own_collectors) as folder:
        yield folder


def settings() -> dict[str, object]:
    """The configuration of the how-to."""
    (text,) = blocks(PAGE, "json")
    found: dict[str, object] = json.loads(f"{{{text}}}")
    return found


def install_the_how_to(site: Path) -> None:
    found = re.search(r'^inbox = "(\S+)"$', PAGE, re.MULTILINE)
    assert found is not None
    install(site, GROUP, "own_signals", CODE, found[1], "inbox")


async def test_the_collector_of_the_how_to_reports_its_signal(site: Path, tmp_path: Path, database: Database) -> None:
    install_the_how_to(site)
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "one.txt").touch()
    monitoring = settings()["monitoring"]
    assert isinstance(monitoring, dict)
    async with monitored(tmp_path, database, **monitoring) as house:
        found = await house.wait_for("inbox_files")
    assert (found.value, found.labels) == (1.0, {"folder": "inbox"})


async def test_a_collector_that_is_disabled_does_not_run(site: Path, tmp_path: Path, database: Database) -> None:
    install_the_how_to(site)
    async with monitored(tmp_path, database, collectors={"own.inbox": {"enabled": False}}) as house:
        await house.wait_for("loop_age_seconds", lambda one: one.labels["loop"] == "resources")
        assert not [one for one in house.signals if one.labels.get("loop") == "own.inbox"]


def test_the_rule_of_the_how_to_is_valid(tmp_path: Path) -> None:
    document = {"runtime": {"defaultProvider": "rehearsal", "rehearsal": {}}, **settings()}
    loaded = ConfigLoader(tmp_path / "agents.config.json").parse(json.dumps(document), ())
    assert [finding.code.value for finding in loaded.findings if finding.code.value.startswith("E")] == []
    assert Configuration.model_validate(document).monitoring.collectors["own.inbox"].seconds == 5


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("ONE = object()", "expected a CollectorDescriptor, got object"),
        ("raise ValueError('no')", "ValueError: no"),
        (OURS + "ONE = replace(INBOX, name='inbox')", "full stop"),
        (OURS + "ONE = replace(INBOX, seconds=0)", "interval"),
        (OURS + "ONE = replace(INBOX, signals=[replace(INBOX.signals[0], name='cpu_percent')])", "already"),
    ],
)
def test_a_package_that_cannot_be_used_keeps_no_other_from_its_work(site: Path, code: str, reason: str) -> None:
    install_the_how_to(site)
    install(site, GROUP, "own_broken", code, "own_broken:ONE", "broken")
    found = own_collectors()
    assert [one.name for one in found.usable] == ["own.inbox"]
    (problem,) = found.problems
    assert reason in problem


class Misreporter:
    """Reports what it was told to."""

    def __init__(self, signal: Signal) -> None:
        self._signal = signal

    def collect(self) -> tuple[Signal, ...]:
        return (self._signal,)


@pytest.mark.parametrize(("name", "labels"), [("other", {}), ("files", {}), ("files", {"folder": "a", "user": "b"})])
def test_a_signal_that_is_not_declared_is_refused(tmp_path: Path, name: str, labels: dict[str, str]) -> None:
    clock = SystemClock()
    signal = Signal(name, clock.now(), 1.0, labels)
    declared = (SignalDescriptor("files", ("folder",), "files"),)
    descriptor = CollectorDescriptor("own.files", "files", declared, lambda _: Misreporter(signal))
    context = CollectorContext({}, lambda _: None, clock, tmp_path)
    with pytest.raises(ValueError, match=f"own.files does not declare {name}"):
        InstalledCollector(descriptor, context).collect()

"""Heartbeats over a real database: what is taken down, what becomes an alert and when, and what is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.alerts.heartbeats.reception import HeartbeatReception
from orchestration.alerts.heartbeats.state import HeartbeatStatus
from orchestration.alerts.heartbeats.watch import HeartbeatWatch
from orchestration.alerts.inbound import InboundAlert
from orchestration.config.alerting import HeartbeatSettings
from orchestration.errors import NotFoundError
from orchestration.security.redaction import Redactor
from orchestration.storage.alert_inbox import AlertInbox
from orchestration.storage.database import Database
from orchestration.storage.heartbeat_monitors import HeartbeatMonitors
from tests.support.database import migrated
from tests.support.incidents import NOON


class Place:
    """A reception and a watch on one database; `settings` may be changed."""

    def __init__(self, database: Database) -> None:
        self.settings = {"backup": HeartbeatSettings(period=3600, grace=600)}
        self.counts: Mapping[HeartbeatStatus, int] = {}
        self.monitors, self.inbox = HeartbeatMonitors(database), AlertInbox(database)
        self.reception = HeartbeatReception(self.monitors, lambda: self.settings, Redactor().text)
        self._redact = Redactor()
        self.watch = self.new_watch()

    def new_watch(self) -> HeartbeatWatch:
        return HeartbeatWatch(self.monitors, self.inbox, lambda: self.settings, self._redacted, self._show)

    def _redacted(self, value: Any) -> Any:
        return self._redact.data(value)

    def _show(self, counts: Mapping[HeartbeatStatus, int]) -> None:
        self.counts = counts

    def go_on(self, minutes: float, *, listens: bool = True, begins: bool = False) -> list[tuple[bool, str]]:
        """What the inbox has got by then: whether it fires, and its title."""
        now = at(minutes)
        if listens:
            self.reception.listen(now, begins=begins)
        self.watch.check(now)
        alerts = [InboundAlert.from_json(one) for each in self.inbox.list(1000) for one in each.notices]
        return [(alert.firing, alert.title) for alert in alerts]


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    yield Place(database)
    database.close()


def listen(place: Place, start: int, end: int) -> list[tuple[bool, str]]:
    """Somebody listens all the time."""
    for part in range((end - start) * 7 + 1):
        # So close that none of it counts as a pause.
        place.reception.listen(at(start + part / 7), begins=False)
        if part % 7 == 0:
            place.go_on(start + part / 7, listens=False)
    return place.go_on(end)


def test_it_counts_from_its_configuration_and_is_reported_once_until_it_returns(place: Place) -> None:
    assert listen(place, 0, 70) == []
    late = (True, "Heartbeat backup is late")
    assert place.go_on(70.1) == [late]
    assert (place.go_on(70.2), place.counts[HeartbeatStatus.LATE]) == ([late], 1)
    # Another process that leads from now on knows what was reported; it is repeated before it could be forgotten.
    place.watch = place.new_watch()
    assert place.go_on(70.3) == [late]
    assert place.go_on(80.2) == [late, late]
    place.reception.receive("backup", "", "", at(81))
    assert place.go_on(81) == [late, late, (False, "Heartbeat backup is late")]
    assert (place.go_on(82)[3:], place.counts[HeartbeatStatus.UP]) == ([], 1)


def test_a_failure_is_reported_at_once_with_what_the_job_has_said_but_no_secret(place: Place) -> None:
    place.go_on(0)
    place.reception.receive("backup", "3", "password=hunter2 disk full", at(1))
    assert place.go_on(1) == [(True, "Heartbeat backup has failed")]
    [delivery] = place.inbox.list(10)
    assert "exit status 3" in str(delivery.notices)
    assert "disk full" in str(delivery.notices)
    assert "hunter2" not in str(delivery.notices)
    assert place.monitors.list()["backup"].detail == "password=[redacted:password] disk full"
    place.reception.receive("backup", "0", "", at(2))
    assert place.go_on(2)[-1] == (False, "Heartbeat backup is late")


def test_a_job_that_has_started_has_its_grace(place: Place) -> None:
    place.go_on(0)
    place.reception.receive("backup", "start", "", at(1))
    assert listen(place, 1, 11) == []
    assert place.counts[HeartbeatStatus.STARTED] == 1
    assert listen(place, 11, 12) == [(True, "Heartbeat backup has started and not ended")]


def test_after_a_downtime_it_gets_as_long_as_it_could_not_be_heard(place: Place) -> None:
    listen(place, 0, 50)
    assert place.go_on(500, listens=False) == [], "nobody listens, so nothing is late"
    assert place.go_on(500, begins=True) == [], "what was due meanwhile may have been sent"
    assert listen(place, 500, 570) == []
    assert listen(place, 570, 571) == [(True, "Heartbeat backup is late")]


def test_what_is_not_expected_any_more_ends_and_is_forgotten(place: Place) -> None:
    place.go_on(0)
    place.reception.receive("backup", "fail", "", at(1))
    place.go_on(1)
    place.settings = {}
    assert place.go_on(2)[-1] == (False, "Heartbeat backup is late")
    assert place.monitors.list() == {}
    with pytest.raises(NotFoundError, match="expected a heartbeat"):
        place.reception.receive("backup", "", "", at(3))


@pytest.mark.parametrize("signal", ["256", "-1", "finished", "٣", "1.0", "0000"])
def test_another_signal_is_refused(place: Place, signal: str) -> None:
    with pytest.raises(NotFoundError, match="an exit status from 0 to 255"):
        place.reception.receive("backup", signal, "", NOON)
    assert place.monitors.list() == {}


def test_an_alert_that_means_a_heartbeat_feeds_it_and_only_while_it_fires(place: Place) -> None:
    watchdog = HeartbeatSettings(period=600, alerts=('alertname="Watchdog"', 'cluster=~"a|b"'))
    place.settings = {"prometheus": watchdog}
    place.go_on(0)
    fires = InboundAlert("Watchdog", "f", firing=True, at=NOON, labels={"cluster": "a"})
    ended = InboundAlert("Watchdog", "f", firing=False, at=NOON, labels={"cluster": "a"})
    other = InboundAlert("Watchdog", "f", firing=True, at=NOON, labels={"cluster": "c"})
    assert [place.reception.feed(one, at(5)) for one in (ended, other)] == [True, False]
    assert place.monitors.list()["prometheus"].heard_at is None
    assert place.reception.feed(fires, at(6))
    assert place.monitors.list()["prometheus"].heard_at == at(6)

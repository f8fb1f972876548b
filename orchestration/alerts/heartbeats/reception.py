"""Receives heartbeats: by their own address, or as alerts of another system that mean one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache

from orchestration.alerts.heartbeats.state import after_gap
from orchestration.alerts.inbound import InboundAlert
from orchestration.config.alerting import HeartbeatSettings
from orchestration.config.matchers import parse_matcher
from orchestration.errors import NotFoundError
from orchestration.storage.heartbeat_monitors import HeartbeatMonitorRow, HeartbeatMonitors

LISTEN_SECONDS = 2.0
# So long without a note that a server listens means that none did. In a running server a note may be late, because the
# machine or the database is busy; a server that begins knows that it was not there.
_LONGEST_PAUSE = 10.0
_LONGEST_PAUSE_AT_START = 1.5 * LISTEN_SECONDS
_LONGEST_DETAIL = 4_000
START, FAIL = "start", "fail"
# Asked of each of thousands of alerts.
_matcher = lru_cache(maxsize=256)(parse_matcher)


class HeartbeatReception:
    """Takes heartbeats down. Every method blocks until that is on the disk, and raises what the database raises."""

    def __init__(
        self,
        monitors: HeartbeatMonitors,
        settings: Callable[[], Mapping[str, HeartbeatSettings]],
        redact: Callable[[str], str],
    ) -> None:
        self._monitors = monitors
        self._settings = settings
        self._redact = redact

    def settings(self, name: str) -> HeartbeatSettings | None:
        """The settings of a heartbeat; None for one that is not expected."""
        return self._settings().get(name)

    def receive(self, name: str, signal: str, output: str, now: datetime) -> None:
        """A signal: empty for success, `start`, `fail`, or an exit status. Raises NotFoundError for any other name or
        signal."""
        code = int(signal) if signal.isascii() and signal.isdigit() and len(signal) <= 3 else None
        if self.settings(name) is None:
            raise NotFoundError(f"expected a heartbeat of alerting.heartbeats, got '{name[:64]}'")
        match signal:
            case "":
                self._monitors.record_success(name, now)
            case "start":
                self._monitors.record_start(name, now)
            case "fail":
                self._monitors.record_failure(name, now, None, self._clean(output))
            case _ if code == 0:
                self._monitors.record_success(name, now)
            case _ if code is not None and code <= 255:
                self._monitors.record_failure(name, now, code, self._clean(output))
            case _:
                raise NotFoundError(f"expected start, fail or an exit status from 0 to 255, got '{signal[:20]}'")

    @property
    def is_fed_by_alerts(self) -> bool:
        """Whether any heartbeat is expected as an alert."""
        return any(settings.alerts for settings in self._settings().values())

    def feed(self, alert: InboundAlert, now: datetime) -> bool:
        """Whether an alert is a sign of life; one that fires is taken down as such."""
        labels = {**alert.labels, "alertname": alert.name}
        fed = [
            name
            for name, settings in self._settings().items()
            if settings.alerts and all(_matcher(text).fits(labels) for text in settings.alerts)
        ]
        for name in fed if alert.firing else ():
            self._monitors.record_success(name, now)
        return bool(fed)

    def listen(self, now: datetime, *, begins: bool) -> None:
        """Note that this process can be reached; call it again every LISTEN_SECONDS. `begins` is for the first time."""

        def after(row: HeartbeatMonitorRow, start: datetime, end: datetime) -> HeartbeatMonitorRow:
            settings = self.settings(row.name)
            return row if settings is None else after_gap(row, settings, start, end)

        self._monitors.listen(now, _LONGEST_PAUSE_AT_START if begins else _LONGEST_PAUSE, after)

    def _clean(self, output: str) -> str:
        return self._redact(output[-_LONGEST_DETAIL:].replace("\0", "?"))

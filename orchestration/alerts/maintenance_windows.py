"""Maintenance windows that come again and again, as the configuration describes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from orchestration.alerts.silences import Silence
from orchestration.config.alerting import MaintenanceWindowSettings
from orchestration.config.matchers import parse_matchers
from orchestration.cron import last_due, next_due
from orchestration.storage.silences import SilenceKind

_PREFIX = "window-"


@dataclass(frozen=True, slots=True)
class WindowOccurrence:
    """One time of a window: it is in force from `starts_at` until `ends_at`."""

    name: str
    starts_at: datetime
    ends_at: datetime


def current(window: MaintenanceWindowSettings, now: datetime) -> WindowOccurrence | None:
    """The occurrence that is in force; None between two. Its length is time that passes, whatever the clocks do."""
    start = _last_start(window, now)
    if start is None:
        return None
    found = WindowOccurrence(window.name, start, start + timedelta(seconds=window.seconds))
    return found if found.ends_at > now else None


def upcoming(window: MaintenanceWindowSettings, after: datetime, count: int) -> Iterator[WindowOccurrence]:
    """The occurrence that is in force, and those after it, `count` in all at most."""
    running = current(window, after)
    if running is not None:
        yield running
    start: datetime | None = after
    for _ in range(count - (running is not None)):
        start = None if start is None else _next_start(window, start)
        if start is not None:
            yield WindowOccurrence(window.name, start, start + timedelta(seconds=window.seconds))


def silences_of(windows: Iterable[MaintenanceWindowSettings], now: datetime) -> tuple[Silence, ...]:
    """The windows in force, as what mutes alerts."""
    pairs = ((window, current(window, now)) for window in windows)
    return tuple(
        Silence(
            f"{_PREFIX}{window.name}",
            SilenceKind.MAINTENANCE,
            parse_matchers(window.matchers),
            running.starts_at,
            running.ends_at,
        )
        for window, running in pairs
        if running is not None
    )


def _last_start(window: MaintenanceWindowSettings, now: datetime) -> datetime | None:
    if window.recurrence is not None:
        return window.recurrence.last_due(now)
    # Cron has whole minutes, so within one the answer is the same; alerts are evaluated every second.
    return _last_cron(window.cron, window.time_zone, now.replace(second=0, microsecond=0)) if window.cron else None


def _next_start(window: MaintenanceWindowSettings, after: datetime) -> datetime | None:
    if window.recurrence is not None:
        return window.recurrence.next_due(after)
    return next_due(window.cron, window.time_zone, after) if window.cron else None


@lru_cache(maxsize=512)
def _last_cron(cron: str, zone: str, minute: datetime) -> datetime:
    return last_due(cron, zone, minute)

"""Errors in the log, grouped by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.logs.origin import repeats_incident
from orchestration.monitoring.collectors.error_fingerprint import fingerprint
from orchestration.monitoring.collectors.log_reader import ERRORS, LogFollower, entries, recent_errors

_KNOWN_AT_MOST = 10_000
_SHOWN_CHARACTERS = 500
_SAMPLE_CHARACTERS = 180
_SHOWN = ("at", "level", "event", "run", "agent", "message", "reason", "exception")


@dataclass(slots=True)
class _Group:
    count: int
    sample: Mapping[str, Any]


class LogErrors:
    """Follows the log of all processes. A fingerprint is new if it was in the log neither at the start nor since."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._follower = LogFollower(path)
        self._clock = clock
        self._began = clock.now()
        self._known = dict.fromkeys(fingerprint(entry) for entry in recent_errors(path))

    def recall(self, since: datetime) -> tuple[Signal, ...]:
        """The errors from that moment on, up to where the following begins; oldest first. Blocks."""
        found = []
        for entry in recent_errors(self._path):
            at = _moment(entry.get("at"))
            if at is None or at >= self._began or repeats_incident(entry):
                continue
            # The newest come first, so everything after this one is older still.
            if at < since:
                break
            name = fingerprint(entry)
            found.append(Signal("log_errors", at, 1.0, {"fingerprint": name}, self._evidence(name, _Group(1, entry))))
        return tuple(reversed(found))

    def collect(self) -> tuple[Signal, ...]:
        """The errors since the last round. Blocks."""
        groups: dict[str, _Group] = {}
        for entry in entries(self._follower.read()):
            # An urgent notice is written as an error; many of them must not become an incident about incidents.
            if entry.get("level") in ERRORS and not repeats_incident(entry):
                groups.setdefault(fingerprint(entry), _Group(0, entry)).count += 1
        now = self._clock.now()
        return tuple(
            Signal("log_errors", now, float(group.count), {"fingerprint": name}, self._evidence(name, group))
            for name, group in groups.items()
        )

    def _evidence(self, name: str, group: _Group) -> dict[str, object]:
        new = name not in self._known
        self._known[name] = None
        if len(self._known) > _KNOWN_AT_MOST:
            self._known.pop(next(iter(self._known)))
        entry = {key: str(group.sample[key])[:_SHOWN_CHARACTERS] for key in _SHOWN if group.sample.get(key)}
        said = entry.get("message") or entry.get("reason") or ""
        sample = f"{entry.get('event', '')} {said}".strip()[:_SAMPLE_CHARACTERS]
        return {"new": new, "sample": sample, "entry": entry}


def _moment(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else None

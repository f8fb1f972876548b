"""Timeline entries, clocks and durations as text. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestration.config.response import ResponseSettings
from orchestration.incidents.folded_timeline import FoldedEntry
from orchestration.incidents.model import Incident, TimelineEntry, describe_actor
from orchestration.incidents.sla import TargetKind

# Long, or shown elsewhere in the review; `likely_causes` and `code_changes` repeat the entry's text for programs.
_REPEATED = ("likely_causes", "code_changes")
_HIDDEN = ("evidence", "summary", "title", "contacts", "stable_for", "fingerprints", "source", *_REPEATED)
# The data that an entry is about; its line shows them without their names.
_MAIN = ("text", "question", "action")


def clock_lines(incident: Incident, settings: ResponseSettings, now: datetime) -> tuple[str, ...]:
    """Both targets: when they are due, and whether they are met."""
    return tuple(_clock_line(incident, kind, settings, now) for kind in TargetKind)


def entry_text(entry: TimelineEntry | FoldedEntry) -> str:
    """A timeline entry as one line of text."""
    again = ""
    if isinstance(entry, FoldedEntry) and entry.last_at is not None:
        again = f" ({entry.count} times, last {entry.last_at:%Y-%m-%d %H:%M:%S})"
    return _entry_text(entry) + again


def _entry_text(entry: TimelineEntry | FoldedEntry) -> str:
    data = {key: value for key, value in entry.data.items() if key not in _HIDDEN and value not in (None, "", [])}
    main = "".join(f": {_plain(data.pop(key))}" for key in _MAIN if key in data)
    details = "; ".join(f"{_label(key)}: {_plain(value)}" for key, value in data.items())
    return f"{entry.kind.replace('-', ' ')} by {describe_actor(entry.actor)}{main}" + (
        f" ({details})" if details else ""
    )


def _label(key: str) -> str:
    # Entries keep the key under which severity reasons have been stored from the first release on.
    return "because" if key == "ground" else key.replace("_", " ")


def span(length: timedelta) -> str:
    """A duration in its two largest units."""
    seconds = max(0, int(length.total_seconds()))
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts = []
    for unit, size in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _clock_line(incident: Incident, kind: TargetKind, settings: ResponseSettings, now: datetime) -> str:
    clock = incident.clock
    state = clock.state(kind, now, settings.at_risk_percent)
    stopped = clock.stopped_at(kind)
    due = clock.due(kind)
    if stopped is not None:
        how = f"after {span(stopped - clock.start(kind))}"
    else:
        how = f"{span(due - now)} left" if due > now else f"{span(now - due)} late"
    return f"{kind.value} {state.value}: due {due:%Y-%m-%d %H:%M} UTC, {how}"


def _plain(value: object) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)

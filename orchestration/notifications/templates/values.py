"""The variables of templates: a notice as texts, with "Unknown" for missing values. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.notifications.notice import Notice

UNKNOWN = "Unknown"
MAX_LINE, _MAX_TEXT, _MAX_LINES = 300, 4_000, 20
# Terminals and mail readers act on these: they can hide text, reverse it, or move the cursor. A line break is the only
# control character that a text needs.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def values(notice: Notice, contact: str, zone: str) -> dict[str, Any]:
    """Every name that a template may use. `zone` is the contact's time zone, which is shown beside UTC."""
    return {
        "incident_id": one_line(notice.incident_id),
        "kind": notice.kind.value,
        "severity": notice.severity.value,
        "scenario": notice.scenario.value,
        "title": ("[DRILL] " if notice.drill else "") + one_line(notice.title),
        "status": one_line(notice.status),
        "impact": one_line(notice.impact),
        "started": _started(notice, zone),
        "detected": moment(notice.detected_at, zone),
        "eta": moment(notice.eta, zone) + (f" ({one_line(notice.eta_basis)})" if notice.eta_basis else ""),
        "details": many_lines(notice.details),
        "severity_reason": one_line(notice.severity_reason),
        "origin": one_line(notice.origin),
        "causes": tuple(one_line(each) for each in notice.causes[:_MAX_LINES]),
        "guidance": guidance(notice),
        "next_update": moment(notice.next_update, zone),
        "duration": UNKNOWN if notice.duration is None else span(notice.duration),
        "root_cause": one_line(notice.root_cause),
        "resolution": one_line(notice.resolution),
        "review": one_line(notice.review),
        "reason": one_line(notice.reason),
        "tried": tuple(one_line(each) for each in notice.tried[:_MAX_LINES]),
        "to_do": _commands(notice),
        "url": one_line(notice.url) if notice.url else "",
        "drill": notice.drill,
        "contact": one_line(contact),
    }


def guidance(notice: Notice) -> str:
    """How bad it is and why, what was tried, and what to do now, for a person who has never seen this system."""
    why = [f"Why {notice.severity.value}: {one_line(notice.severity_reason)}"] if notice.severity_reason else []
    likely = [f"Likely: {one_line('; '.join(notice.causes))}"] if notice.causes else []
    tried = [f"- {one_line(each)}" for each in notice.tried[:_MAX_LINES]] or ["- nothing yet"]
    commands = [f"  {each}" for each in _commands(notice)]
    return "\n".join([*why, *likely, "", "Tried so far:", *tried, "", "What to do now:", *commands])


def _started(notice: Notice, zone: str) -> str:
    """When it began, or else when it was detected; and, where that is known, which of the two it is."""
    if not notice.origin:
        return moment(notice.started_at, zone)
    return f"{moment(notice.started_at or notice.detected_at, zone)}; {one_line(notice.origin)}"


def moment(at: datetime | None, zone: str) -> str:
    """`2026-01-05 09:00:00 UTC (10:00:00 Europe/Vienna)`, with the local date if it differs."""
    if at is None:
        return UNKNOWN
    exact = at.astimezone(UTC)
    text = f"{exact:%Y-%m-%d %H:%M:%S} UTC"
    if zone == "UTC":
        return text
    local = exact.astimezone(zone_of(zone))
    return f"{text} ({local:{'%H:%M:%S' if local.date() == exact.date() else '%Y-%m-%d %H:%M:%S'}} {zone})"


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name; UTC if the machine does not know it, since the message matters more than the zone."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        return ZoneInfo("UTC")


def span(duration: timedelta) -> str:
    """A duration in its two largest units: `1 h 5 min`."""
    seconds = max(0, round(duration.total_seconds()))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts[:2]) or "0 s"


def one_line(text: str) -> str:
    """The text on one line, without control characters; "Unknown" for none."""
    line = " ".join(_clean(text).split())
    return _cut(line, MAX_LINE) or UNKNOWN


def many_lines(text: str) -> str:
    """The text with its line breaks, without other control characters; "Unknown" for none."""
    return _cut(_clean(text).strip(), _MAX_TEXT) or UNKNOWN


def _commands(notice: Notice) -> Sequence[str]:
    given = tuple(one_line(each) for each in notice.to_do[:_MAX_LINES])
    subject = one_line(notice.incident_id)
    return given or (f"orchestrator incidents ack {subject}", f"orchestrator incidents show {subject}")


def _clean(text: str) -> str:
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n"))


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}… ({len(text) - length} more characters)"

"""How times, amounts and states are put into words and signs on a page. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from orchestration.domain.run_status import RunStatus
from orchestration.domain.severity import Severity
from orchestration.incidents.review import span

# What a form that has worked says on the page it leads to. The address names one of these and no text of its own, so
# that nobody can put words into our mouth by a link.
DONE: Mapping[str, str] = {
    "acknowledged": "You have acknowledged it. Nobody else is paged any more.",
    "noted": "The note is on the timeline.",
    "assigned": "It is assigned.",
    "impact": "The impact is written down.",
    "estimate": "The estimate is written down.",
    "severity": "The severity has changed.",
    "escalated": "The level is being told.",
    "mitigating": "The attempt is on the timeline.",
    "resolved": "It is resolved. Everybody who was told is told so.",
    "reopened": "It is open again. People are told.",
    "cancelled-incident": "It is a false alarm now.",
    "merged": "It was merged; the other incident goes on for both.",
    "reviewed": "That part of the review is written.",
    "action-added": "The action item is written down.",
    "action-done": "The action item is done.",
    "closed": "It is closed.",
    "approved": "You have approved it. It goes on.",
    "denied": "You have denied it.",
    "run-cancelled": "The run is cancelled. It can be resumed.",
    "run-resumed": "The run goes on from its last committed steps.",
    "run-forked": "This is the fork. It shares what came before that part.",
    "limit": "The limit is in force, here at once and in the workers within a second.",
    "switched-off": "No calls go there until the override ends.",
    "override-removed": "The override has ended.",
    "answers": "The provider answers.",
    "silent": "The provider does not answer; the table says why.",
    "rolled-back": "The file holds that version now. Processes take it in like any other edit.",
    "silenced": "The silence is in force.",
    "silence-ended": "The silence has ended.",
    "drills-begun": "They are being held. This page follows them.",
    "drills-stopped": "They were told to stop, and clear away what they made.",
    "job-begun": "The job is being done. What comes of it stands here.",
    "signed": "It is signed off, for every month that waited.",
    "rehearsed": "The newest backup was restored into a scratch database, and is good.",
    "guard-reset": "The action may run by itself again.",
    "automation-stopped": "Automation is stopped until the override ends.",
}

_TONES: Mapping[str, str] = {
    **{status.value: "calm" for status in RunStatus},
    **dict.fromkeys(("succeeded", "resolved", "closed", "met", "on-track", "ok", "done", "approved", "works"), "good"),
    **dict.fromkeys(("waiting", "stopped", "half-open", "at-risk", "pending", "reopened", "starts", "waits"), "fair"),
    **dict.fromkeys(("failed", "open", "breached", "firing", "detected", "denied", "P0", "P1"), "bad"),
    **dict.fromkeys(("P2", "acknowledged", "mitigating", "verifying"), "fair"),
    **dict.fromkeys(("P3", "unknown", "disabled", "cancelled", "merged", "suppressed", "in-review"), "calm"),
    **dict.fromkeys(("helped", "looked", "passed", "whole"), "good"),
    **dict.fromkeys(("handed-over", "undone", "suggested", "ask", "interrupted", "refused"), "fair"),
}


def tone(word: str) -> str:
    """Which of four tones a state has: good, fair, bad, or calm where there is nothing to judge."""
    return _TONES.get(str(word), "calm")


def stamp(moment: datetime | None) -> str:
    """A time in full, UTC."""
    return "unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def iso(moment: datetime) -> str:
    """A time for machines."""
    return moment.isoformat().replace("+00:00", "Z")


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits; or in how long."""
    seconds = abs(int((now - moment).total_seconds()))
    unit, size = next((one for one in (("d", 86_400), ("h", 3600), ("min", 60)) if seconds >= one[1]), ("s", 1))
    length = f"{seconds // size} {unit}"
    return f"{length} ago" if moment <= now else f"in {length}"


def seconds(value: float | None) -> str:
    """A duration in the unit that fits; above a minute in two."""
    if value is None:
        return "unknown"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.2f} s"
    return f"{value:.1f} s" if value < 60 else span(timedelta(seconds=value))


def money(usd: float | None) -> str:
    """Dollars; small amounts to a hundredth of a cent."""
    if usd is None:
        return "no price known"
    return f"${usd:,.4f}" if 0 < usd < 1 else f"${usd:,.2f}"


def number(value: float) -> str:
    """A number with separators, without decimals that say nothing."""
    if 0 < abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def many(count: int, noun: str) -> str:
    """So many of something."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """Bytes in the unit that fits."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def share(part: float | None) -> str:
    """A share from 0 to 1 as percent."""
    return "unknown" if part is None else f"{part:.1%}"


def first_line(text: str, width: int = 100) -> str:
    """The first line of a text, cut to a width."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= width else line[: width - 1] + "…"


def plain(word: object) -> str:
    """A name as people write it."""
    return str(word).replace("_", " ").replace("-", " ")


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def severity_words(severity: Severity) -> str:
    """A severity with its meaning."""
    words = {Severity.P0: "critical", Severity.P1: "high", Severity.P2: "medium", Severity.P3: "low"}
    return f"{severity.value} {words[severity]}"


FILTERS = {
    "tone": tone,
    "stamp": stamp,
    "iso": iso,
    "ago": ago,
    "seconds": seconds,
    "money": money,
    "number": number,
    "many": many,
    "size": size,
    "share": share,
    "first_line": first_line,
    "plain": plain,
    "pretty": pretty,
    "severity_words": severity_words,
}

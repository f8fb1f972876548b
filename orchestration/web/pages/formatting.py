"""Formats times, amounts and states for pages, and the confirmations that forms lead to. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from orchestration.commands.command import Command
from orchestration.domain.console_command import answer_command
from orchestration.domain.run_status import RunStatus
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.table import COMMANDS, OPENING_COMMANDS
from orchestration.incidents.model import describe_actor
from orchestration.incidents.review import span
from orchestration.runs.activity_text import activity_text, lost_seconds, tail_lines
from orchestration.runs.commands.table import RUN_COMMANDS
from orchestration.web.pages.bidirectional import unmarked
from orchestration.web.pages.markdown import html

_COMMANDS: Sequence[type[Command]] = (
    *COMMANDS.values(),
    *OPENING_COMMANDS.values(),
    *RUN_COMMANDS.values(),
)
# The confirmation that a page shows after a form has worked. The URL carries only a key of this table and never a text:
# otherwise anybody could make the dashboard show a message of theirs through a link.
CONFIRMATIONS: Mapping[str, str] = {
    **{each.spec.page.done: each.spec.page.confirmation for each in _COMMANDS if each.spec.page},
    "run-started": "Run started. This page follows it.",
    "approved": "Approved. Work continues.",
    "approved-and-acknowledged": "Approved and acknowledged. Paging has stopped, and work continues.",
    "resumed-for-incident": "The run goes on from its last committed step.",
    "paused-for-incident": "The run is paused. It can be resumed here.",
    "action-undone": "Undone. The timeline says what that has done.",
    "undone": "Undone. All processes know it within a second.",
    "view-saved": "View saved under this name.",
    "view-deleted": "View deleted.",
    "denied": "Denied.",
    "limit": "Limit set. The workers apply it within a second.",
    "switched-off": "Provider disabled until the override ends.",
    "override-removed": "Override ended.",
    "isolated": "The system is isolated. All processes know it within a second.",
    "isolation-lifted": "The isolation is lifted. Runs can be started and resumed.",
    "answers": "The provider works.",
    "silent": "The probe failed. The table shows the reason.",
    "rolled-back": "Version restored to the file. All processes load it like any other edit.",
    "silenced": "Silence added.",
    "silence-ended": "Silence ended.",
    "on-call-changed": "Entered. Pages go to whoever is on call from now on.",
    "on-call-cancelled": "Cancelled.",
    "test-sent": "The test messages are on their way. What came of them appears below.",
    "push-subscribed": "This device gets your push messages from now on. Send a test to see one.",
    "push-removed": "The device gets no more push messages.",
    "drills-begun": "Drills started. This page shows their progress.",
    "drills-stopped": "Drills are being stopped and cleaned up.",
    "job-begun": "Job started. Its result will appear here.",
    "signed": "Duty signed off for every open month.",
    "rehearsed": "The latest backup was restored into a scratch database and is intact.",
    "guard-reset": "Guard reset. The action may run without approval again.",
    "automation-stopped": "Automation is stopped until the override ends.",
}

# What is longer is shown with its beginning and its end, and opened whole by a link.
SHOWN_CHARACTERS = 4_000

_TONES: Mapping[str, str] = {
    **{status.value: "calm" for status in RunStatus},
    **dict.fromkeys(
        ("succeeded", "up", "resolved", "closed", "met", "on-track", "ok", "done", "approved", "works"), "good"
    ),
    **dict.fromkeys(("waiting", "stopped", "half-open", "at-risk", "pending", "reopened", "starts", "waits"), "fair"),
    **dict.fromkeys(("not-approved", "incomplete"), "fair"),
    **dict.fromkeys(("failed", "late", "open", "breached", "firing", "detected", "denied", "P0", "P1"), "bad"),
    **dict.fromkeys(("P2", "acknowledged", "mitigating", "verifying"), "fair"),
    **dict.fromkeys(("P3", "unknown", "disabled", "cancelled", "merged", "suppressed", "in-review"), "calm"),
    **dict.fromkeys(("helped", "looked", "passed", "whole", "sent"), "good"),
    **dict.fromkeys(("did-not-help", "under-way", "being-verified"), "fair"),
    **dict.fromkeys(("handed-over", "undone", "suggested", "ask", "interrupted", "refused"), "fair"),
}


def tone(state: str) -> str:
    """The colour class of a state: good, fair, bad, or calm for a neutral one."""
    return _TONES.get(str(state), "calm")


def stamp(moment: datetime | None) -> str:
    """A full date and time, in UTC."""
    return "unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def someone(actor: str) -> str:
    """Who did something, unmistakably; empty for nobody."""
    return describe_actor(actor)


def iso(moment: datetime) -> str:
    """A time in ISO 8601, for the `datetime` attribute."""
    return moment.isoformat().replace("+00:00", "Z")


def ago(moment: datetime, now: datetime) -> str:
    """The time since a moment, or until it, in the largest unit that fits."""
    seconds = abs(int((now - moment).total_seconds()))
    unit, size = next((one for one in (("d", 86_400), ("h", 3600), ("min", 60)) if seconds >= one[1]), ("s", 1))
    length = f"{seconds // size} {unit}"
    return f"{length} ago" if moment <= now else f"in {length}"


def elapsed(value: float) -> str:
    """How long something has taken so far, in whole seconds: the page counts on."""
    minutes, rest = divmod(max(0, int(value)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def seconds(value: float | None) -> str:
    """A duration in a suitable unit; in two units from a minute on."""
    if value is None:
        return "unknown"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.2f} s"
    return f"{value:.1f} s" if value < 60 else span(timedelta(seconds=value))


def money(usd: float | None) -> str:
    """An amount in US dollars; less than a dollar to a hundredth of a cent, which is what one call costs."""
    if usd is None:
        return "unknown"
    return f"${usd:,.4f}" if 0 < usd < 1 else f"${usd:,.2f}"


def number(value: float) -> str:
    """A number with thousands separators, and with only as many decimals as matter."""
    if 0 < abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def many(count: int, singular: str, plural: str = "") -> str:
    """A count with its noun; the plural is the singular with an `s` unless it is given."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def size(count: int) -> str:
    """A number of bytes in a suitable unit."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def share(part: float | None) -> str:
    """A share between 0 and 1 in percent."""
    return "unknown" if part is None else f"{part:.1%}"


def first_line(text: str, width: int = 100) -> str:
    """The first line of a text, truncated to a width."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= width else line[: width - 1] + "…"


def middle_left_out(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """A text with at most so many characters: its beginning and its end."""
    if len(text) <= most:
        return text
    head, end = most * 2 // 3, most // 3
    return f"{text[:head]}\n[… {len(text) - head - end:,} characters …]\n{text[-end:]}"


def plain(name: object) -> str:
    """An identifier with spaces instead of hyphens and underscores."""
    return str(name).replace("_", " ").replace("-", " ")


def pretty(value: Any) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def flat(data: Any, path: str = "") -> list[tuple[str, str]]:
    """JSON as lines for people: the path of each value, and the value."""
    if isinstance(data, Mapping) and data:
        return [line for key, value in data.items() for line in flat(value, f"{path}.{key}" if path else str(key))]
    if isinstance(data, Sequence) and not isinstance(data, str) and any(isinstance(one, Mapping) for one in data):
        return [line for number, one in enumerate(data, start=1) for line in flat(one, f"{path} {number}".strip())]
    return [(path, _said(data))]


def _said(value: Any) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case str():
            return value or "(empty)"
        case Sequence() | Mapping():
            return ", ".join(str(one) for one in value) or "none"
        case _:
            return str(value)


def severity_words(severity: Severity) -> str:
    """A severity with its name, such as `P1 high`."""
    words = {Severity.P0: "critical", Severity.P1: "high", Severity.P2: "medium", Severity.P3: "low"}
    return f"{severity.value} {words[severity]}"


FILTERS = {
    "tone": tone,
    "stamp": stamp,
    "iso": iso,
    "ago": ago,
    "seconds": seconds,
    "elapsed": elapsed,
    "activity": activity_text,
    "lost": lost_seconds,
    "tail": tail_lines,
    "money": money,
    "number": number,
    "many": many,
    "size": size,
    "share": share,
    "first_line": first_line,
    "middle_left_out": middle_left_out,
    "someone": someone,
    "plain": plain,
    "pretty": pretty,
    "flat": flat,
    "unmarked": unmarked,
    "markdown": html,
    "severity_words": severity_words,
    "answer_command": answer_command,
}

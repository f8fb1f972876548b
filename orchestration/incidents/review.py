"""The post-incident review, drafted from the timeline: facts only, and blanks where a person has to judge. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from orchestration.config.response import ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.incidents import notices
from orchestration.incidents.folded_timeline import FoldedEntry, fold
from orchestration.incidents.model import Incident, ReviewField, TimelineEntry, describe_actor
from orchestration.incidents.sla import TargetKind

_BLANK = "_To be written by a person._"
# Long, or shown elsewhere in the review; `likely_causes` and `code_changes` repeat the entry's text for programs.
_REPEATED = ("likely_causes", "code_changes")
_HIDDEN = ("evidence", "summary", "title", "contacts", "stable_for", "fingerprints", "source", *_REPEATED)
# The data that an entry is about; its line shows them without their names.
_MAIN = ("text", "question", "action")


def draft(incident: Incident, entries: Sequence[TimelineEntry], settings: ResponseSettings, now: datetime) -> str:
    """The review as Markdown. All times are UTC."""
    parts = [
        _overview(incident),
        _section("Impact", _impact(incident)),
        _section("Timeline (UTC)", _timeline(entries)),
        _section("Root cause", [_written(incident, ReviewField.ROOT_CAUSE)]),
        _section("Contributing factors", [_written(incident, ReviewField.FACTORS)]),
        _section("What helped", _helped(incident, entries)),
        _section("SLA", _sla(incident, settings, now)),
        _section("Action items", _actions(incident)),
        _section("Proposed change to the playbook", _playbook(incident)),
        _section("Workarounds", [_written(incident, ReviewField.WORKAROUNDS)]),
        _section("Shared with", [_written(incident, ReviewField.SHARED)]),
    ]
    if incident.scenario is Scenario.SECURITY_ALERT:
        parts.insert(6, _section("Security", _security(incident)))
    return "\n\n".join(parts) + "\n"


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


def _overview(incident: Incident) -> str:
    duration = notices.duration(incident)
    rows = [
        ("Incident", incident.id + (" (drill)" if incident.drill else "")),
        (
            "Severity",
            f"{incident.severity} (at detection {incident.first_severity}; because: {incident.severity_reason})",
        ),
        ("Scenario", incident.scenario.value),
        ("Status", incident.status.value),
        ("Impact began", _time(incident.impact_started_at)),
        ("Detected", f"{_time(incident.detected_at)} by {incident.source}"),
        ("Acknowledged", _time(incident.acknowledged_at) + _by(incident.acknowledged_by)),
        ("Automation began", _time(incident.automation_at)),
        ("Mitigated", _time(incident.mitigated_at)),
        ("Resolved", _time(incident.resolved_at)),
        ("Duration", "Unknown" if duration is None else span(duration)),
        ("Playbook", incident.playbook),
    ]
    if incident.recurrence_of:
        rows.append(("Recurrence of", incident.recurrence_of))
    table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows)
    return f"# Post-incident review: {incident.title}\n\n{incident.summary}\n\n| | |\n| --- | --- |\n{table}"


def _section(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(lines)


def _impact(incident: Incident) -> list[str]:
    return [line for line in (incident.impact or _BLANK, notices.affected(incident)) if line]


def _timeline(entries: Sequence[TimelineEntry]) -> list[str]:
    rows = [f"| {entry.at:%Y-%m-%d %H:%M:%S} | {_cell(entry_text(entry))} |" for entry in fold(entries)]
    return ["| when | what |", "| --- | --- |", *rows]


def _helped(incident: Incident, entries: Sequence[TimelineEntry]) -> list[str]:
    tried = [f"- tried: {action}" for action in incident.attempted_actions]
    failed = [
        f"- did not help: {entry.data.get('reason', '')}" for entry in entries if entry.kind == "mitigation-failed"
    ]
    resolution = incident.review.get(ReviewField.RESOLUTION)
    return [*tried, *failed, f"- resolution: {resolution or 'Unknown'}", "", _written(incident, ReviewField.HELPED)]


def _sla(incident: Incident, settings: ResponseSettings, now: datetime) -> list[str]:
    reopened = [f"- reopened {incident.clock.number} times; this is the last record"] if incident.clock.number else []
    return [*(f"- {line}" for line in clock_lines(incident, settings, now)), *reopened]


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


def _actions(incident: Incident) -> list[str]:
    if not incident.actions:
        return [_BLANK]
    rows = [
        f"| {item.number} | {_cell(item.text)} | {item.owner} | {item.due} | {'done' if item.done_at else 'open'} |"
        for item in incident.actions
    ]
    return ["| | what | owner | due | |", "| --- | --- | --- | --- | --- |", *rows]


def _playbook(incident: Incident) -> list[str]:
    return [f"The playbook in force was `{incident.playbook}`.", "", _written(incident, ReviewField.PLAYBOOK)]


def _security(incident: Incident) -> list[str]:
    facts = incident.facts
    flags = {
        "breach": facts.breach,
        "secret exposed": facts.secret_exposed,
        "access refused": facts.access_refused,
        "vulnerable dependency": facts.vulnerability,
        "data lost": facts.data_loss,
    }
    found = list(_named(flags)) or ["- the facts name no kind of security trouble"]
    return [*found, "", _written(incident, ReviewField.SECURITY)]


def _named(flags: dict[str, bool]) -> Iterator[str]:
    yield from (f"- {name}" for name, holds in flags.items() if holds)


def _written(incident: Incident, field: ReviewField) -> str:
    return incident.review.get(field) or _BLANK


def _time(moment: datetime | None) -> str:
    return "Unknown" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _by(actor: str) -> str:
    return f" by {describe_actor(actor)}" if actor else ""


def _cell(text: str) -> str:
    """Text that cannot break out of a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")


def _plain(value: object) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)

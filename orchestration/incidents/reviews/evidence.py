"""The sections of a review that show records: probes, log lines, changes, alerts, notifications, SLA records. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from orchestration.domain.playbook_state import ActionState
from orchestration.incidents.model import describe_actor
from orchestration.incidents.reviews.dossier import ReviewDossier
from orchestration.incidents.reviews.suggestions import recent_changes
from orchestration.incidents.reviews.tables import code, moment, table
from orchestration.storage.outbox import OutboxState
from orchestration.storage.playbooks import ActionRun

# A review is read by people; the records themselves keep everything.
_MOST_ROWS, _MOST_LINES, _LONGEST_LINE = 50, 10, 300
_LOOKED = frozenset({"identify", "diagnose", "verify"})
_ARRIVED = {
    OutboxState.SENT: "arrived",
    OutboxState.PENDING: "not yet",
    OutboxState.CANCELLED: "no: cancelled before it was sent",
    OutboxState.FAILED: "no: failed for good",
}


def probes(dossier: ReviewDossier) -> list[str]:
    """What the playbook looked at, and what it saw."""
    rows = [
        (moment(one.started_at), one.phase, one.action, one.summary, _times(one))
        for one in dossier.actions
        if one.phase in _LOOKED and one.state in (ActionState.DONE, ActionState.FAILED)
    ]
    columns = ("when", "phase", "check", "answer", "checked")
    return table(columns, rows[:_MOST_ROWS], "No playbook has checked anything.")


def log_lines(dossier: ReviewDossier) -> list[str]:
    """The error lines that were found, as they are in the log: redacted when they were written."""
    found = dict.fromkeys(_log_line(line) for line in _collected(dossier, "lines"))
    lines = list(found)[-_MOST_LINES:]
    return code(lines) if lines else ["No error lines were found."]


def changes(dossier: ReviewDossier) -> list[str]:
    """Commits and changes of the configuration from before the incident."""
    rows = dict.fromkeys(recent_changes(dossier))
    return table(("found by", "change"), list(rows)[:_MOST_ROWS], "No change was found that came before it.")


def alerts(dossier: ReviewDossier) -> list[str]:
    """The alerts of the incident, with their start and end."""
    rows = [
        (one.name, moment(one.since), moment(one.ends_at) if one.ends_at else f"{one.status.value} still", one.source)
        for one in dossier.alerts
    ]
    return table(("alert", "began", "cleared", "source"), rows[:_MOST_ROWS], "It was not reported by an alert.")


def duties(dossier: ReviewDossier) -> list[str]:
    """What had to be done before the incident could end, by whom it was done, and on what evidence."""
    rows = [
        (one.number, one.summary, one.owner.value, one.state.value, describe_actor(one.ended_by), one.evidence)
        for one in dossier.incident.duties
    ]
    return table(("", "duty", "owner", "state", "ended by", "evidence"), rows[:_MOST_ROWS], "It had none.")


def merged(dossier: ReviewDossier) -> list[str]:
    """The incidents that were merged into this one."""
    rows = [(one.id, one.severity.value, one.title, moment(one.detected_at)) for one in dossier.merged]
    return table(("incident", "severity", "title", "detected"), rows, "None.")


def notifications(dossier: ReviewDossier) -> list[str]:
    """Who was notified when, by what, and whether it arrived."""
    rows = [
        (moment(row.created_at), row.named, row.channel, row.kind, _ARRIVED[row.state], moment(row.settled_at), tries)
        for row in dossier.messages
        for tries in (row.attempts,)
    ]
    columns = ("when", "contact", "channel", "notice", "arrived", "at", "attempts")
    return table(columns, rows[:_MOST_ROWS], "Nobody was notified.")


def sla_records(dossier: ReviewDossier) -> list[str]:
    """Every SLA record: the first, and one for each reopening."""
    rows = [
        (
            row["number"] + 1,
            row["severity"],
            moment(row["started_at"]),
            _stopped(row["response_at"], row["response_due_at"]),
            "counted by the record that it continues"
            if row["continues"]
            else _stopped(row["resolution_at"], row["resolution_due_at"]),
        )
        for row in dossier.clocks
    ]
    return table(("record", "severity", "started", "response", "resolution"), rows, "No record.")


def figures(dossier: ReviewDossier) -> list[str]:
    """The times of this incident, as the statistics count them."""
    incident = dossier.incident
    spans = (
        ("time to detect", incident.impact_started_at, incident.detected_at, "the start is not known"),
        ("time to acknowledge", incident.detected_at, incident.acknowledged_at, "nobody has acknowledged it"),
        ("time until automation began", incident.detected_at, incident.automation_at, "no automation worked on it"),
        ("time to mitigate", incident.detected_at, incident.mitigated_at, "it was not mitigated"),
        ("time to resolve", incident.detected_at, incident.resolved_at, "it is not resolved"),
    )
    rows = [
        (name, f"{(end - start).total_seconds():.1f} s" if start and end else f"unknown: {otherwise}")
        for name, start, end, otherwise in spans
    ]
    arrived = sum(row.state is OutboxState.SENT for row in dossier.messages)
    rows += [
        ("mitigations tried", f"{len(incident.attempted_actions)}, of which {incident.failed_attempts} did not help"),
        ("notifications", f"{arrived} of {len(dossier.messages)} arrived"),
    ]
    return table(("figure", "value"), rows)


def _times(action: ActionRun) -> str:
    return f"{action.count} times, last {moment(action.finished_at)}" if action.count > 1 else "once"


def _stopped(at: Any, due: Any) -> str:
    if at is None:
        return f"due {moment(due)}"
    return f"{'met' if at < due else 'breached'} {moment(at)}, due {moment(due)}"


def _collected(dossier: ReviewDossier, name: str) -> Iterator[Any]:
    for action in dossier.actions:
        yield from _listed(action.evidence.get(name))


def _listed(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _log_line(line: object) -> str:
    if not isinstance(line, dict):
        return str(line)[:_LONGEST_LINE]
    parts = (line.get("at"), line.get("level"), line.get("event"), line.get("message") or line.get("reason"))
    return " ".join(str(part) for part in parts if part)[:_LONGEST_LINE]

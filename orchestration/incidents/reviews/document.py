"""The post-incident review as Markdown: written anew from the records each time, but for what people wrote. Pure."""

from __future__ import annotations

from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.scenario import Scenario
from orchestration.incidents import notices
from orchestration.incidents.folded_timeline import fold
from orchestration.incidents.impact import affected
from orchestration.incidents.model import ReviewField, describe_actor
from orchestration.incidents.review import clock_lines, entry_text, span
from orchestration.incidents.reviews import evidence
from orchestration.incidents.reviews.dossier import ReviewDossier
from orchestration.incidents.reviews.suggestions import current_text, improvements, suggestion
from orchestration.incidents.reviews.tables import cell, moment, section, table

_ENDS = {
    IncidentEnd.PROOF: "by proof",
    IncidentEnd.PERSON: "by the word of a person",
    IncidentEnd.WORKAROUND: "only by a workaround",
}


def draft(dossier: ReviewDossier) -> str:
    """The review as it is now. All times are UTC."""
    parts = [
        _overview(dossier),
        section("Impact", _impact(dossier)),
        section("Figures", evidence.figures(dossier)),
        section("Timeline (UTC)", _timeline(dossier)),
        section("Root cause", _field(dossier, ReviewField.ROOT_CAUSE)),
        section("Contributing factors", _field(dossier, ReviewField.FACTORS)),
        section("Checks", evidence.probes(dossier)),
        section("Log", evidence.log_lines(dossier)),
        section("Recent changes", evidence.changes(dossier)),
        section("Alerts", evidence.alerts(dossier)),
        section("Merged incidents", evidence.merged(dossier)),
        section("Resolution", _field(dossier, ReviewField.RESOLUTION)),
        section("What helped", _field(dossier, ReviewField.HELPED)),
        section("Duties", evidence.duties(dossier)),
        section("Workarounds", _field(dossier, ReviewField.WORKAROUNDS)),
        section("SLA", _sla(dossier)),
        section("Notifications", evidence.notifications(dossier)),
        section("Improvement opportunities", _improvements(dossier)),
        section("Action items", _actions(dossier)),
        section("Proposed change to the playbook", _playbook(dossier)),
        section("Shared with", _field(dossier, ReviewField.SHARED)),
    ]
    if dossier.incident.scenario is Scenario.SECURITY_ALERT:
        parts.insert(6, section("Security", _field(dossier, ReviewField.SECURITY)))
    return "\n\n".join(parts) + "\n"


def _overview(dossier: ReviewDossier) -> str:
    incident = dossier.incident
    duration = notices.duration(incident)
    severity = f"{incident.severity} (at detection {incident.first_severity}; because: {incident.severity_reason})"
    rows = [
        ("Incident", incident.id + (" (drill)" if incident.drill else "")),
        ("Severity", severity),
        ("Scenario", incident.scenario.value),
        ("Status", incident.status.value),
        ("Impact began", moment(incident.impact_started_at)),
        ("Detected", f"{moment(incident.detected_at)} by {incident.source}"),
        ("Acknowledged", moment(incident.acknowledged_at) + _by(incident.acknowledged_by)),
        ("Automation began", moment(incident.automation_at)),
        ("Mitigated", moment(incident.mitigated_at)),
        ("Resolved", moment(incident.resolved_at) + _ended(dossier)),
        ("Duration", "Unknown" if duration is None else span(duration)),
        ("Playbook", incident.playbook),
        ("Watched for a recurrence until", moment(incident.watched_until) if incident.watched_until else "not yet"),
    ]
    if incident.recurrence_of:
        rows.append(("Recurrence of", incident.recurrence_of))
    if incident.recurred_as:
        rows.append(("Recurred as", incident.recurred_as))
    body = "\n".join(f"| {name} | {cell(value)} |" for name, value in rows)
    title = f"# Post-incident review: {cell(incident.title)}"
    return f"{title}\n\n{incident.summary}\n\n| | |\n| --- | --- |\n{body}"


def _impact(dossier: ReviewDossier) -> list[str]:
    incident = dossier.incident
    found = [line for line in (incident.impact, affected(incident)) if line]
    return found or ["Unknown: nobody has described it, and the alerts name nothing that is affected."]


def _timeline(dossier: ReviewDossier) -> list[str]:
    rows = [(f"{entry.at:%Y-%m-%d %H:%M:%S}", entry_text(entry)) for entry in fold(dossier.entries)]
    return table(("when", "what"), rows, "Nothing is recorded.")


def _field(dossier: ReviewDossier, field: ReviewField) -> list[str]:
    """The text of a part; beside what a person wrote, what the system would write by now."""
    text, author = current_text(dossier, field), dossier.written_by(field)
    if not author:
        return [text]
    newer = suggestion(dossier, field)
    lines = [text, "", f"_Written by {describe_actor(author)}._"]
    if newer != text and field is not ReviewField.RESOLUTION:
        # Quoted, so that nobody takes it for a part of what the person wrote.
        lines += ["", "_The records say:_", "", *(f"> {line}".rstrip() for line in newer.splitlines())]
    return lines


def _sla(dossier: ReviewDossier) -> list[str]:
    lines = [f"- {line}" for line in clock_lines(dossier.incident, dossier.settings, dossier.now)]
    return [*lines, "", *evidence.sla_records(dossier)] if len(dossier.clocks) > 1 else lines


def _improvements(dossier: ReviewDossier) -> list[str]:
    return [f"- {line}" for line in improvements(dossier)] or ["None follows from the records."]


def _actions(dossier: ReviewDossier) -> list[str]:
    rows = [
        (item.number, item.text, item.owner, item.due, "done" if item.done_at else "open")
        for item in dossier.incident.actions
    ]
    otherwise = "None has been added yet: `orchestrator incidents actions`."
    return table(("", "what", "owner", "due", ""), rows, otherwise)


def _playbook(dossier: ReviewDossier) -> list[str]:
    used = f"The playbook in force was `{dossier.incident.playbook}`."
    return [used, "", *_field(dossier, ReviewField.PLAYBOOK)]


def _ended(dossier: ReviewDossier) -> str:
    incident = dossier.incident
    if incident.resolved_at is None or incident.ended_by is None:
        return ""
    return f", {_ENDS[incident.ended_by]}"


def _by(actor: str) -> str:
    return f" by {describe_actor(actor)}" if actor else ""

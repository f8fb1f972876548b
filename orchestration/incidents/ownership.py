"""Who has an open incident at this moment, since when, and what is waited for, as one sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestration.domain.console_command import one_line
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import PlaybookRunState
from orchestration.incidents.model import Incident, TimelineEntry, describe_actor
from orchestration.storage.playbooks import PlaybookRun

_UNATTENDED = "nobody has acknowledged it"


def ownership(
    incident: Incident, entries: Sequence[TimelineEntry], response: PlaybookRun | None, questions: Sequence[str]
) -> str:
    """The person who has the incident; else what the newest playbook run on it does or has ended with; and whether it
    is snoozed. `questions` are the open ones of the incident."""
    return _owner(incident, entries, response, questions) + _snooze(incident)


def _owner(
    incident: Incident, entries: Sequence[TimelineEntry], response: PlaybookRun | None, questions: Sequence[str]
) -> str:
    # An acknowledgement that was forgotten is nobody's, nor is one from before a reopening.
    gone = incident.lapsed_at is not None or (incident.status is IncidentStatus.REOPENED and not incident.acknowledged)
    owner = incident.assignee or ("" if gone else describe_actor(incident.acknowledged_by))
    automation = _automation(entries, response, questions) if incident.status.is_open else ""
    if owner:
        # What a person has taken over is theirs; only what waits for an answer still concerns them.
        return f"{owner}; {automation}" if automation and questions else owner
    return f"{_UNATTENDED}; {automation}" if automation else _UNATTENDED


def _snooze(incident: Incident) -> str:
    if incident.snoozed_until is None:
        return ""
    return f"; snoozed by {describe_actor(incident.snoozed_by)} until {_time(incident.snoozed_until)}"


def _automation(entries: Sequence[TimelineEntry], response: PlaybookRun | None, questions: Sequence[str]) -> str:
    if questions:
        return f"an answer is waited for: {'; '.join(map(one_line, questions))}"
    if response is None:
        return ""
    name, ended = response.playbook, _time(response.finished_at or response.started_at)
    match response.state:
        case PlaybookRunState.RUNNING:
            return f"the playbook {name} has been at work since {_time(response.started_at)}"
        case PlaybookRunState.HANDED_OVER:
            to = _handed_over_to(entries, response)
            return f"at {ended} the playbook {name} handed it over to {to}, and waits for a person to acknowledge it"
        case PlaybookRunState.HELPED:
            return f"the playbook {name} ended at {ended}: {one_line(response.summary)}"
        case PlaybookRunState.SUPERSEDED | PlaybookRunState.FAILED:
            return f"the playbook {name} stopped at {ended} and does nothing more: {one_line(response.summary)}"


def _handed_over_to(entries: Sequence[TimelineEntry], response: PlaybookRun) -> str:
    """The contacts whom the playbook has called, by its last escalation."""
    actor = f"automation:playbook:{response.playbook}"
    calls = [entry for entry in entries if entry.kind == "escalated" and entry.actor == actor]
    if not calls:
        return "the people on call"
    contacts = calls[-1].data.get("contacts") or ()
    level = f"level {calls[-1].data['level']}"
    return f"{', '.join(contacts)} ({level})" if contacts else f"{level}, for which the configuration names nobody"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"

"""Incidents as text: the list, and the first screen for a person who was just woken."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from orchestration.app.incident_options import OfferedOption
from orchestration.app.tickets import Ticket
from orchestration.cli.briefing_lines import labelled
from orchestration.cli.questions import OpenQuestion, question_lines
from orchestration.cli.render import age, first_line, table
from orchestration.config.response import ResponseSettings
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.incidents import notices, resolution
from orchestration.incidents.brief import BriefingLine, briefing
from orchestration.incidents.escalation_routes import describe_path
from orchestration.incidents.folded_timeline import fold
from orchestration.incidents.model import Incident, TimelineEntry
from orchestration.incidents.ownership import ownership
from orchestration.incidents.review import clock_lines, entry_text
from orchestration.storage.incidents.table import IncidentRow
from orchestration.storage.playbooks import PlaybookRun

# The next ones to try; `orchestrator playbooks show` lists them all.
_OFFERED = 3
_COLOURS = {Severity.P0: "bold red", Severity.P1: "red", Severity.P2: "yellow", Severity.P3: "dim"}


def incidents_table(found: Sequence[IncidentRow], now: datetime) -> Table:
    """Incidents, one a line."""
    return table(
        ("INCIDENT", "SEVERITY", "STATUS", "AGE", "OWNER", "TITLE"),
        [
            (
                row.id,
                Text(row.severity.value, style=_COLOURS[row.severity]),
                row.status + (" (drill)" if row.drill else ""),
                age(now, row.detected_at),
                row.assignee or row.acknowledged_by or "nobody",
                first_line(row.title, 70),
            )
            for row in found
        ],
    )


def screen(
    incident: Incident,
    entries: Sequence[TimelineEntry],
    settings: ResponseSettings,
    now: datetime,
    response: PlaybookRun | None,
    questions: Sequence[OpenQuestion],
    options: Sequence[OfferedOption] = (),
    tickets: Sequence[Ticket] = (),
) -> str:
    """The briefing; then the questions and what else can be done, the targets, and the timeline. `response` is the
    newest run of a playbook on it."""
    brief = briefing(incident, entries)
    lines = [
        brief.headline,
        *labelled(brief.lines(now)),
        *labelled(BriefingLine("try", f"{option.command}   ({option.summary})") for option in options[:_OFFERED]),
        *(f"  {line}" for line in question_lines(questions)),
        f"  owner      {ownership(incident, entries, response, [one.text for one in questions])}",
        *(f"  SLA        {line}" for line in clock_lines(incident, settings, now)),
        f"  ETA        {notices.estimate(incident, now)}",
        f"  path       {describe_path(incident, settings)}",
        *_left(incident),
        *_links(incident),
        *(f"  {ticket.about:10} {ticket.url}" for ticket in tickets),
        "",
        "Timeline (UTC):",
        *(f"{entry.at:%Y-%m-%d %H:%M:%S} {entry_text(entry)}" for entry in fold(entries)),
    ]
    return "\n".join(lines)


def _left(incident: Incident) -> list[str]:
    """What a mitigated incident rests on, and what keeps an open one from being resolved."""
    mitigated = [f"  mitigated  {incident.proof}"] if incident.status is IncidentStatus.MITIGATED else []
    found = resolution.blockers(incident) if incident.status.is_open else ()
    return mitigated + [f"  {'open' if number == 0 else '':10} {each.summary}" for number, each in enumerate(found)]


def _links(incident: Incident) -> list[str]:
    links = {
        "earlier": incident.recurrence_of,
        "later": incident.recurred_as,
        "merged into": incident.merged_into,
    }
    addresses = [f"  {link.name:10} {link.url}" for link in incident.links]
    return [*addresses, *(f"  {name:10} {other}" for name, other in links.items() if other)]

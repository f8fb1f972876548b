"""Incidents: those that are open, worst first, with their clocks; then what is owed, and what has been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.commands.inputs import Choices
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents.commands.base import OpeningCommand
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.model import Incident
from orchestration.incidents.records import IncidentRecords
from orchestration.incidents.sla import TargetKind, TargetState
from orchestration.security.principal import Principal
from orchestration.storage.incidents.table import IncidentRow
from orchestration.web.pages.command_forms import command_from
from orchestration.web.pages.formatting import plain, severity_words
from orchestration.web.pages.forms import Form
from orchestration.web.pages.incident_forms import OPENING_FORMS, opening_forms
from orchestration.web.pages.site import DashboardSite, SitePage, Values
from orchestration.web.pages.time_range import TimeRange, time_range

_AT_ONCE = 100
# Each card is a document to read; more of them are a list.
_CARDS = 30
_HISTORY = 50
_REVIEWS = 40
_OWING = (IncidentStatus.RESOLVED.value, IncidentStatus.IN_REVIEW.value)
_CHOICES = {
    Choices.SEVERITIES: [("", "by the severity rules"), *((one.value, severity_words(one)) for one in Severity)],
    Choices.SCENARIOS: [(one.value, plain(one.value)) for one in Scenario],
}
SUBJECTS = ("incident", "alert", "silence", "approval")


@dataclass(frozen=True, slots=True)
class ClockView:
    """A target of an incident: how it stands, and what part of its time is gone (0 to 1)."""

    kind: TargetKind
    state: TargetState
    due: datetime
    stopped: datetime | None
    gone: float


@dataclass(frozen=True, slots=True)
class Card:
    """An open incident with its clocks."""

    incident: Incident
    clocks: tuple[ClockView, ...]

    @property
    def unattended(self) -> bool:
        return not self.incident.acknowledged and self.incident.status is not IncidentStatus.SUPPRESSED


def routes(site: DashboardSite) -> Sequence[Route]:
    """The board."""
    view = _Incidents(site)
    actions = {name: (partial(view.declare, command), command.spec.role) for name, command in OPENING_FORMS.items()}
    return site.page(
        SitePage("/incidents", "incidents.html", "incidents", view.read, SUBJECTS, refreshes=True), actions
    )


@dataclass(frozen=True, slots=True)
class OpenBoard:
    """The open incidents, worst first, of the same severity the one that nobody has first, then the oldest: some as
    `cards`, the `others` as rows. `count` is how many there are, counted up to a bound."""

    cards: Sequence[Card]
    others: Sequence[IncidentRow]
    count: int

    @property
    def counted(self) -> str:
        """The number in words: beyond the bound nobody counts."""
        return f"{self.count}+" if self.count == _AT_ONCE else str(self.count)


def open_board(records: IncidentRecords, now: datetime, most: int = _CARDS) -> OpenBoard:
    """The open incidents; the newest of very many."""
    rows = sorted(records.table.list(is_open=True, limit=_AT_ONCE), key=_urgency)
    cards = [card_of(records, one, now) for one in records.list_of([row.id for row in rows[:most]])]
    cards.sort(key=lambda card: (card.incident.severity, not card.unattended, card.incident.detected_at))
    return OpenBoard(cards, rows[most:], len(rows))


def _urgency(row: IncidentRow) -> tuple[Severity, bool, datetime]:
    # Who has acknowledged is that of the first time: after a reopening only the incident itself says whether somebody
    # has it now, so that one counts as nobody's.
    nobody = not row.acknowledged_by or row.status == IncidentStatus.REOPENED
    return row.severity, not nobody, row.detected_at


def card_of(records: IncidentRecords, incident: Incident, now: datetime) -> Card:
    """An incident with its clocks, by the settings under which it was declared."""
    percent = records.settings(incident).at_risk_percent
    return Card(incident, tuple(_clock(incident, kind, now, percent) for kind in TargetKind))


def _clock(incident: Incident, kind: TargetKind, now: datetime, percent: float) -> ClockView:
    clock = incident.clock
    stopped = clock.stopped_at(kind)
    whole = (clock.due(kind) - clock.start(kind)).total_seconds()
    gone = ((stopped or now) - clock.start(kind)).total_seconds() / whole if whole > 0 else 1.0
    return ClockView(kind, clock.state(kind, now, percent), clock.due(kind), stopped, min(1.0, max(0.0, gone)))


class _Incidents:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        given = request.query_params
        severity, scenario = given.get("severity", ""), given.get("scenario", "")
        try:
            severities = (Severity(severity),) if severity else ()
            wanted = Scenario(scenario) if scenario else None
        except ValueError as error:
            raise UsageError("expected a severity and a scenario of the lists; choose them there") from error
        chosen = time_range(request, self._app.clock.now())
        return await anyio.to_thread.run_sync(self._read, severities, wanted, chosen, given.get("before") or None)

    async def declare(
        self, command: type[OpeningCommand], _: Request, form: Form, principal: Principal
    ) -> tuple[str, str]:
        wanted = command_from(command, form)
        opened = await anyio.to_thread.run_sync(self._app.incident_service.declare, principal.name, wanted)
        return f"/incidents/{opened.id}", command.spec.page.done if command.spec.page else ""

    def _read(
        self, severities: Sequence[Severity], scenario: Scenario | None, chosen: TimeRange, before: str | None
    ) -> Values:
        records, now = self._app.incident_service.records, self._app.clock.now()
        history = records.table.list(
            severities=severities,
            scenario=scenario,
            is_open=False,
            since=chosen.since,
            until=chosen.until,
            before=before,
            limit=_HISTORY,
        )
        owing = records.list_of([row.id for row in records.table.list(statuses=_OWING, limit=_REVIEWS)])
        due = [one for one in owing if missing_fields(one) and not one.drill]
        return {
            "board": open_board(records, now),
            "reviews_due": [(one, missing_fields(one)) for one in due],
            "history": history,
            "earlier": history[-1].id if len(history) == _HISTORY else "",
            "paged": before is not None,
            "range": chosen,
            "opening_forms": opening_forms(_CHOICES),
            "severities": list(Severity),
            "scenarios": list(Scenario),
            "chosen_severity": severities[0].value if severities else "",
            "chosen_scenario": scenario.value if scenario else "",
        }

"""Who is told of incidents, who is on call, and the figures of how that goes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel

from orchestration.app.doctor import CheckResult, examine
from orchestration.app.overview import Overview, overview
from orchestration.config.response import Contact
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import NotFoundError
from orchestration.ids import new_id
from orchestration.incidents.oncall import OnCallShift, audience, contacts, duties, level_names
from orchestration.incidents.statistics import StatisticsReport
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.recipients import OPERATOR, message_row
from orchestration.security.principal import Role
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.outbox import DeliveryAttempt, Outbox
from orchestration.storage.samples import Samples, SampleSeries
from orchestration.web.api.services import Here, Moment, Name, Who, needs

router = APIRouter()
_LOOK = needs(Role.VIEWER, "contacts")


class ContactLine(BaseModel):
    """Somebody who is told; `working` are the channels that can be used, `last` how the last try on each ended."""

    id: str
    level: int | None
    channels: Sequence[str]
    working: Sequence[str]
    last: Mapping[str, DeliveryAttempt]


class TestSent(BaseModel):
    """The test messages that were handed to the sender; their deliveries go by these keys."""

    keys: Sequence[str]


class Level(BaseModel):
    """Who is paged at a level, and after how many seconds the next one is."""

    level: int
    contacts: Sequence[str]
    after: float


class OnCall(BaseModel):
    """Who has duty, who is told first by severity, and who is paged next."""

    at: datetime
    on_call: Sequence[OnCallShift]
    told_first: Mapping[str, Sequence[str]]
    levels: Sequence[Level]


@router.get("/contacts", dependencies=_LOOK)
def list_contacts(here: Here) -> list[ContactLine]:
    """The people who are told of incidents, and whether a message would reach them."""
    response, last = here.app.configuration.response, Outbox(here.app.database).last_attempts()
    return [
        ContactLine(
            id=contact.id,
            level=contact.level,
            channels=[place.channel for place in contact.channels],
            working=[place.channel for place in response.reachable(contact)],
            last={place.channel: last[place.channel] for place in contact.channels if place.channel in last},
        )
        for contact in response.contacts or (OPERATOR,)
    ]


@router.post("/contacts/{contact}/test", status_code=202, dependencies=needs(Role.OPERATOR, "contacts"))
def test_contact(here: Here, who: Who, contact: Name) -> TestSent:
    """Send a test message on every working channel of somebody."""
    app, now = here.app, here.app.clock.now()
    response = app.configuration.response
    notice = Notice(
        kind=NoticeKind.TEST,
        incident_id=new_id("test", now.timestamp()),
        severity=Severity.P3,
        scenario=Scenario.CONTROL_PLANE,
        title="A message to test this channel",
        status="TEST",
        details=f"Sent by: {who.name}",
    )
    chosen = _contact(response.contacts or (OPERATOR,), contact)
    rows = [message_row(notice, chosen, place, "test", now) for place in response.reachable(chosen)]
    here.control.incidents.outbox.add(rows)
    here.control.incidents.sender.nudge()
    return TestSent(keys=[row.key for row in rows])


@router.get("/deliveries/{key}", dependencies=_LOOK)
def list_deliveries(here: Here, key: Annotated[str, Path(max_length=300)]) -> list[DeliveryAttempt]:
    """What became of a message, try by try."""
    return list(here.control.incidents.outbox.list_attempts(key))


@router.get("/on-call", dependencies=_LOOK)
def show_on_call(here: Here, at: Moment | None = None) -> OnCall:
    """Who is on call, now or at another moment."""
    settings, moment = here.app.configuration.response, at or here.app.clock.now()
    return OnCall(
        at=moment,
        on_call=duties(settings, moment),
        told_first={one.value: [each.id for each in audience(one, settings, moment)] for one in Severity},
        levels=[
            Level(
                level=level.level,
                contacts=[each.id for each in contacts(level_names(level), settings, moment)],
                after=level.after,
            )
            for level in settings.escalation.levels
        ],
    )


@router.get("/statistics", dependencies=needs(Role.VIEWER, "statistics"))
def show_statistics(
    here: Here,
    since: Moment | None = None,
    until: Moment | None = None,
    by: Literal["severity", "scenario", "month"] = "severity",
    severity: Annotated[list[Severity] | None, Query()] = None,
    scenario: Scenario | None = None,
) -> StatisticsReport:
    """Time to detect, to acknowledge and to resolve, SLA compliance and recurrence; drills never count."""
    selection = IncidentSelection(since, until, tuple(severity or ()), scenario)
    return here.app.statistics.report(selection, by, here.app.clock.now())


@router.get("/measurements/{name}", dependencies=needs(Role.VIEWER, "statistics"))
def show_measurements(here: Here, name: Name, since: Moment, until: Moment | None = None) -> list[SampleSeries]:
    """What was measured of a signal, as fine as it is still kept and a plot can show."""
    now = here.app.clock.now()
    return list(Samples(here.app.database).query(name, since, until or now, now))


@router.get("/status", dependencies=needs(Role.VIEWER, "runs"))
def show_status(here: Here) -> Overview:
    """What is going on: unfinished runs, open questions, providers out of use, live processes."""
    return overview(here.app)


@router.get("/doctor", dependencies=needs(Role.OPERATOR, "runs"))
async def examine_here(here: Here) -> list[CheckResult]:
    """Whether the server's machine and its project are in order, and what to mend."""
    return list(await examine(here.app.config_file, dict(os.environ), here.app.clock))


def _contact(everybody: Sequence[Contact], name: str) -> Contact:
    for contact in everybody:
        if contact.id == name:
            return contact
    known = ", ".join(contact.id for contact in everybody)
    raise NotFoundError(f"expected a contact of the configuration ({known}), got '{name}'; correct the name")

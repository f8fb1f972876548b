"""Contacts, on-call shifts, statistics, and the status of the system."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from orchestration.app.contacts import known_contacts, send_test
from orchestration.app.doctor import CheckResult, examine
from orchestration.app.escalation_paths import (
    PathLevel,
    PathView,
    RouteTrial,
    escalation_paths,
    outside_subject,
    recorded_subject,
    try_routes,
)
from orchestration.app.oncall_calendars import CalendarState, states
from orchestration.app.overview import Overview, overview
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.oncall import OnCallShift, audience, duties
from orchestration.incidents.statistics import StatisticsReport
from orchestration.security.principal import Role
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.outbox import DeliveryAttempt, Outbox
from orchestration.storage.samples import Samples, SampleSeries
from orchestration.web.api.services import Caller, Moment, Name, Services, requires

router = APIRouter()
_VIEW = requires(Role.VIEWER, "contacts")
LabelValue = Annotated[str, Field(pattern=r"^[^=]+=", max_length=1_000)]


class ContactView(BaseModel):
    """A contact. `working` are the channels that can be used; `last` is the latest delivery attempt on each channel."""

    id: str
    level: int | None
    channels: Sequence[str]
    working: Sequence[str]
    last: Mapping[str, DeliveryAttempt]


class TestSent(BaseModel):
    """The keys of the test messages, for `GET /deliveries/{key}`."""

    keys: Sequence[str]


class OnCall(BaseModel):
    """Who is on call, who is notified first for each severity, and who is paged after that; and how it stands with the
    calendars of rotations. `told_first` and `levels` are those of the default escalation path; `paths` has all."""

    at: datetime
    calendars: Sequence[CalendarState]
    on_call: Sequence[OnCallShift]
    told_first: Mapping[str, Sequence[str]]
    levels: Sequence[PathLevel]
    paths: Sequence[PathView]


@router.get("/contacts", dependencies=_VIEW)
def list_contacts(services: Services) -> list[ContactView]:
    """List the contacts, and whether a message would reach them."""
    response, last = services.app.configuration.response, Outbox(services.app.database).last_attempts()
    return [
        ContactView(
            id=contact.id,
            level=contact.level,
            channels=[place.channel for place in contact.channels],
            working=[place.channel for place in response.reachable(contact)],
            last={place.channel: last[place.channel] for place in contact.channels if place.channel in last},
        )
        for contact in known_contacts(services.app)
    ]


@router.post("/contacts/{contact}/test", status_code=202, dependencies=requires(Role.OPERATOR, "contacts"))
def test_contact(services: Services, principal: Caller, contact: Name) -> TestSent:
    """Send a test message on every working channel of a contact."""
    rows = send_test(services.app, contact, principal.name)
    # Without it the sender would find the messages only with its next poll, seconds later.
    services.control.incidents.sender.nudge()
    return TestSent(keys=[row.key for row in rows])


@router.get("/deliveries/{key}", dependencies=_VIEW)
def list_deliveries(services: Services, key: Annotated[str, Path(max_length=300)]) -> list[DeliveryAttempt]:
    """List the delivery attempts of a message."""
    return list(services.control.incidents.outbox.list_attempts(key))


@router.get("/on-call", dependencies=_VIEW)
def show_on_call(services: Services, at: Moment | None = None) -> OnCall:
    """Show who is on call, now or at another time."""
    settings, moment = services.app.response, at or services.app.clock.now()
    paths = list(escalation_paths(settings, moment))
    return OnCall(
        at=moment,
        calendars=list(states(settings, services.app.on_call.calendars, services.app.clock.now())),
        on_call=duties(settings, moment),
        told_first={one.value: [each.id for each in audience(one, settings, moment)] for one in Severity},
        levels=paths[0].levels,
        paths=paths,
    )


@router.get("/on-call/route", dependencies=_VIEW)
def try_route(
    services: Services,
    label: Annotated[list[LabelValue] | None, Query(max_length=100)] = None,
    severity: Severity | None = None,
    scenario: Scenario | None = None,
    alert: Annotated[str | None, Query(max_length=100)] = None,
) -> RouteTrial:
    """Show which escalation path an alert would take, and whom it would page: a recorded `alert`, or one from outside
    with these labels, each written `name=value`."""
    now, app = services.app.clock.now(), services.app
    if alert is not None:
        return try_routes(app.response, recorded_subject(app.alerts.find(alert), now), now)
    labels = {name: value for name, _, value in (each.partition("=") for each in label or ())}
    subject = outside_subject(labels, app.configuration.alerting.intake, severity, scenario)
    return try_routes(app.response, subject, now)


@router.get("/statistics", dependencies=requires(Role.VIEWER, "statistics"))
def show_statistics(
    services: Services,
    since: Moment | None = None,
    until: Moment | None = None,
    by: Literal["severity", "scenario", "month"] = "severity",
    severity: Annotated[list[Severity] | None, Query()] = None,
    scenario: Scenario | None = None,
) -> StatisticsReport:
    """Show times to detect, acknowledge and resolve, SLA compliance and recurrence. Drills are not counted."""
    selection = IncidentSelection(since, until, tuple(severity or ()), scenario)
    return services.app.statistics.report(selection, by, services.app.clock.now())


@router.get("/measurements/{name}", dependencies=requires(Role.VIEWER, "statistics"))
def show_measurements(services: Services, name: Name, since: Moment, until: Moment | None = None) -> list[SampleSeries]:
    """Show the measurements of a signal, at the finest resolution that is still stored and that a plot can show."""
    now = services.app.clock.now()
    return list(Samples(services.app.database).query(name, since, until or now, now))


@router.get("/status", dependencies=requires(Role.VIEWER, "runs"))
def show_status(services: Services) -> Overview:
    """Show unfinished runs, pending approvals, unavailable providers and live processes."""
    return overview(services.app)


@router.get("/doctor", dependencies=requires(Role.OPERATOR, "runs"))
async def examine_here(services: Services) -> list[CheckResult]:
    """Check the server's machine and project, and say what to fix."""
    return list(await examine(services.app.config_file, dict(os.environ), services.app.clock))

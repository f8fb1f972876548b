"""Alerts, and the silences that mute them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from orchestration.alerts.maintenance_windows import WindowOccurrence, upcoming
from orchestration.alerts.silences import validate_matchers
from orchestration.app.heartbeats import HeartbeatView, heartbeats_of
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.errors import UsageError
from orchestration.events.alerts import SilenceAdded, SilenceExpired
from orchestration.ids import new_id
from orchestration.security.principal import Role
from orchestration.storage.alerts import AlertRow
from orchestration.storage.silences import SilenceKind, SilenceRow
from orchestration.web.api.services import (
    Caller,
    Cursor,
    Limit,
    ListPage,
    Moment,
    Name,
    Seconds,
    Services,
    Text,
    page,
    requires,
)

router = APIRouter()
_AREA = "alerts"
_VIEW = requires(Role.VIEWER, _AREA)
_RESPOND = requires(Role.RESPONDER, _AREA)


class NewSilence(BaseModel):
    """A silence to add: which alerts it mutes, for how long, and why. With `starts_at`, a maintenance window in the
    future."""

    matchers: Annotated[list[Text], Field(min_length=1, max_length=20)]
    seconds: Seconds
    comment: Text
    starts_at: Moment | None = None


@router.get("/alerts", dependencies=_VIEW)
def list_alerts(
    services: Services,
    status: Annotated[list[AlertStatus] | None, Query()] = None,
    scenario: Scenario | None = None,
    name: Annotated[str | None, Query(max_length=128)] = None,
    group: Annotated[str | None, Query(max_length=255)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ListPage[AlertRow]:
    """List alerts, newest first; of one `group`, such as a storm, if it is given."""
    wanted = scenario.value if scenario else None
    found = services.app.alerts.list(
        status or (), scenario=wanted, group_key=group, name=name, before=cursor, limit=limit + 1
    )
    return page(found, limit)  # type: ignore[return-value]


@router.get("/alerts/{alert}", dependencies=_VIEW)
def show_alert(services: Services, alert: Name) -> AlertRow:
    """Show one alert with all its details."""
    return services.app.alerts.find(alert)


@router.get("/heartbeats", dependencies=_VIEW)
def list_heartbeats(services: Services) -> list[HeartbeatView]:
    """List what has to report that it is alive, at `/heartbeat/NAME`, with its state; what is down comes first."""
    return list(heartbeats_of(services.app))


@router.get("/silences", dependencies=_VIEW)
def list_silences(services: Services, ended: bool = False) -> list[SilenceRow]:
    """List current and future silences; `ended` adds past ones."""
    return list(services.app.silences.list(services.app.clock.now(), ended=ended))


@router.post("/silences", status_code=201, dependencies=_RESPOND)
def add_silence(services: Services, principal: Caller, body: NewSilence) -> SilenceRow:
    """Mute the alerts that match all matchers, such as `agent="planner"` or `host=~"web.*"`."""
    app, now = services.app, services.app.clock.now()
    starts_at = body.starts_at or now
    silence = SilenceRow(
        id=new_id("silence", now.timestamp()),
        kind=SilenceKind.MAINTENANCE if body.starts_at else SilenceKind.SILENCE,
        matchers=[str(matcher) for matcher in validate_matchers(body.matchers, app.redactor.text)],
        starts_at=starts_at,
        ends_at=starts_at + timedelta(seconds=body.seconds),
        author=principal.name,
        comment=app.redactor.text(body.comment),
        created_at=now,
    )
    # Only with `starts_at` in the past. Such a silence would never mute anything, and nobody would notice.
    if silence.ends_at <= now:
        raise UsageError(
            f"The silence would already have ended, at {silence.ends_at:%Y-%m-%d %H:%M} UTC. Choose a later start."
        )
    app.silences.add(silence)
    app.bus.publish(SilenceAdded(silence=silence.id, matchers=tuple(silence.matchers)), actor=principal.name)
    return silence


@router.delete("/silences/{silence}", dependencies=_RESPOND)
def end_silence(services: Services, principal: Caller, silence: Name) -> SilenceRow:
    """End a silence now. Alerts that it muted and that still fire are notified."""
    app = services.app
    found = app.silences.find(silence)
    app.silences.expire(found.id, app.clock.now())
    app.bus.publish(SilenceExpired(silence=found.id), actor=principal.name)
    return app.silences.find(found.id)


@router.get("/maintenance-windows", dependencies=_VIEW)
def list_maintenance_windows(
    services: Services, count: Annotated[int, Query(ge=1, le=100)] = 3
) -> list[WindowOccurrence]:
    """List the next times of the recurring maintenance windows, and those in force."""
    now, windows = services.app.clock.now(), services.app.configuration.alerting.maintenance_windows
    return [one for window in windows for one in upcoming(window, now, count)]

"""Alerts, and the silences that mute them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from orchestration.alerts.silences import validate_matchers
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.errors import UsageError
from orchestration.events.alerts import SilenceAdded, SilenceExpired
from orchestration.ids import new_id
from orchestration.security.principal import Role
from orchestration.storage.alerts import AlertRow
from orchestration.storage.silences import SilenceKind, SilenceRow
from orchestration.web.api.services import Cursor, Here, Limit, ListPage, Moment, Name, Seconds, Text, Who, needs, page

router = APIRouter()
_AREA = "alerts"
_LOOK = needs(Role.VIEWER, _AREA)
_RESPOND = needs(Role.RESPONDER, _AREA)


class NewSilence(BaseModel):
    """What is muted, for how long, and why; with `starts_at` a window of maintenance that is still to come."""

    matchers: Annotated[list[Text], Field(min_length=1, max_length=20)]
    seconds: Seconds
    comment: Text
    starts_at: Moment | None = None


@router.get("/alerts", dependencies=_LOOK)
def list_alerts(
    here: Here,
    status: Annotated[list[AlertStatus] | None, Query()] = None,
    scenario: Scenario | None = None,
    name: Annotated[str | None, Query(max_length=128)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ListPage[AlertRow]:
    """The newest alerts first."""
    wanted = scenario.value if scenario else None
    found = here.app.alerts.list(status or (), scenario=wanted, name=name, before=cursor, limit=limit + 1)
    return page(found, limit)  # type: ignore[return-value]


@router.get("/alerts/{alert}", dependencies=_LOOK)
def show_alert(here: Here, alert: Name) -> AlertRow:
    """One alert with everything that is known of it."""
    return here.app.alerts.find(alert)


@router.get("/silences", dependencies=_LOOK)
def list_silences(here: Here, ended: bool = False) -> list[SilenceRow]:
    """The silences in force and to come; `ended` adds the old ones."""
    return list(here.app.silences.list(here.app.clock.now(), ended=ended))


@router.post("/silences", status_code=201, dependencies=_RESPOND)
def add_silence(here: Here, who: Who, asked: NewSilence) -> SilenceRow:
    """Mute what fits every matcher, such as `agent="planner"` or `host=~"web.*"`."""
    app, now = here.app, here.app.clock.now()
    begins = asked.starts_at or now
    silence = SilenceRow(
        id=new_id("silence", now.timestamp()),
        kind=SilenceKind.MAINTENANCE if asked.starts_at else SilenceKind.SILENCE,
        matchers=[str(matcher) for matcher in validate_matchers(asked.matchers)],
        starts_at=begins,
        ends_at=begins + timedelta(seconds=asked.seconds),
        author=who.name,
        comment=app.redactor.text(asked.comment),
        created_at=now,
    )
    if silence.ends_at <= now:
        raise UsageError(f"expected an end in the future, got {silence.ends_at:%Y-%m-%d %H:%M} UTC; begin later")
    app.silences.add(silence)
    app.bus.publish(SilenceAdded(silence=silence.id, matchers=tuple(silence.matchers)), actor=who.name)
    return silence


@router.delete("/silences/{silence}", dependencies=_RESPOND)
def end_silence(here: Here, who: Who, silence: Name) -> SilenceRow:
    """End a silence now; what it mutes and still fires is told."""
    app = here.app
    found = app.silences.find(silence)
    app.silences.expire(found.id, app.clock.now())
    app.bus.publish(SilenceExpired(silence=found.id), actor=who.name)
    return app.silences.find(found.id)

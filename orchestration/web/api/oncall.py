"""The on-call roster: who is on call when, and the overrides and swaps that change it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from orchestration.app.oncall import find_rotation
from orchestration.app.oncall_feed import feed_url
from orchestration.incidents.oncall import OnCallShift, shifts
from orchestration.security.principal import Role
from orchestration.storage.oncall import OnCallOverrideRow
from orchestration.web.api.services import Caller, Moment, Name, Services, Text, requires

router = APIRouter()
_AREA = "contacts"
_VIEW = requires(Role.VIEWER, _AREA)
_RESPOND = requires(Role.RESPONDER, _AREA)


class NewOnCallOverride(BaseModel):
    """Who takes the place of whoever is on call in a rotation, for which time, and why. Without a start, from now."""

    rotation: Text
    contact: Text
    start: Moment | None = None
    end: Moment
    reason: Text


class NewSwap(BaseModel):
    """Two contacts who exchange their next shifts that begin `after` a time, or from now on."""

    rotation: Text
    contact: Text
    other: Text
    after: Moment | None = None
    reason: Text


class FeedAddress(BaseModel):
    """Where the calendar of a rotation is."""

    rotation: str
    url: str


@router.get("/on-call/shifts", dependencies=_VIEW)
def list_on_call_shifts(
    services: Services,
    rotation: Annotated[str, Query(max_length=64)],
    start: Moment | None = None,
    days: Annotated[int, Query(ge=1, le=92)] = 14,
) -> list[OnCallShift]:
    """List who is on call in a rotation, shift by shift."""
    settings, begin = services.app.response, start or services.app.clock.now()
    found = find_rotation(settings, rotation)
    return list(shifts(found, settings.roster, begin, begin + timedelta(days=days)))


@router.get("/on-call/overrides", dependencies=_VIEW)
def list_shift_overrides(services: Services, ended: bool = False) -> list[OnCallOverrideRow]:
    """List the overrides that people have entered; `ended` adds those that are over."""
    app = services.app
    return list(app.on_call.overrides.list(None if ended else app.clock.now()))


@router.post("/on-call/overrides", status_code=201, dependencies=_RESPOND)
def add_shift_override(services: Services, principal: Caller, body: NewOnCallOverride) -> OnCallOverrideRow:
    """Put a contact on call for a time."""
    app = services.app
    start = body.start or app.clock.now()
    return app.on_call.override(app.response, body.rotation, body.contact, start, body.end, body.reason, principal.name)


@router.post("/on-call/swaps", status_code=201, dependencies=_RESPOND)
def add_on_call_swap(services: Services, principal: Caller, body: NewSwap) -> list[OnCallOverrideRow]:
    """Exchange the next shifts of two contacts."""
    app = services.app
    after = body.after or app.clock.now()
    return list(
        app.on_call.swap(app.response, body.rotation, body.contact, body.other, after, body.reason, principal.name)
    )


@router.delete("/on-call/overrides/{override}", dependencies=_RESPOND)
def cancel_on_call_override(services: Services, principal: Caller, override: Name) -> list[OnCallOverrideRow]:
    """End an override, also one that has not begun; of a swap, both halves."""
    return list(services.app.on_call.cancel(override, principal.name))


@router.get("/on-call/feeds/{rotation}", dependencies=_RESPOND)
def show_on_call_feed(services: Services, rotation: Name) -> FeedAddress:
    """Show the address at which calendar programs can read who is on call. Whoever knows it can read it."""
    return FeedAddress(rotation=rotation, url=feed_url(services.app, rotation))

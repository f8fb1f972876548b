"""The devices on which the caller gets push messages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from orchestration.app.push_devices import PushDevices
from orchestration.security.principal import Role
from orchestration.storage.push_subscriptions import PushSubscription
from orchestration.web.api.people import TestSent
from orchestration.web.api.services import Caller, Name, Services, Text, requires

router = APIRouter()
_RESPOND = requires(Role.RESPONDER, "contacts")


class PushDevice(BaseModel):
    """A browser that has subscribed. `service` is the host of its push service; the whole address is secret."""

    id: str
    label: str
    service: str
    created_at: datetime


class PushStatus(BaseModel):
    """The `key` to which browsers subscribe, the caller's devices, and whether a contact has a push channel with the
    caller as its address."""

    key: str
    reaches: bool
    devices: Sequence[PushDevice]


class NewPushDevice(BaseModel):
    """A push subscription as browsers have it, with `p256dh` and `auth` in base64url. It takes the place of that with
    the address `replaces`, whose label it keeps unless it has one."""

    endpoint: Text
    p256dh: Text
    auth: Text
    label: Annotated[str, Field(max_length=200)] = ""
    replaces: Annotated[str, Field(max_length=4_000)] = ""


@router.get("/push", dependencies=_RESPOND)
def show_push(services: Services, principal: Caller) -> PushStatus:
    """Show by which key and on which devices you get push messages."""
    devices = PushDevices(services.app)
    mine = [_shown(one) for one in devices.of_user(principal.name)]
    return PushStatus(key=devices.public_key(), reaches=devices.reaches(principal.name), devices=mine)


@router.post("/push/devices", status_code=201, dependencies=_RESPOND)
def add_push_device(services: Services, principal: Caller, body: NewPushDevice) -> PushDevice:
    """Add a device of yours, or renew its subscription."""
    devices, keys = PushDevices(services.app), (body.p256dh, body.auth)
    return _shown(devices.subscribe(principal.name, body.endpoint, *keys, body.label, replaces=body.replaces))


@router.delete("/push/devices/{device}", status_code=204, dependencies=_RESPOND)
def remove_push_device(services: Services, principal: Caller, device: Name) -> None:
    """Remove a device of yours."""
    PushDevices(services.app).remove(principal.name, device)


@router.post("/push/test", status_code=202, dependencies=_RESPOND)
def test_push(services: Services, principal: Caller) -> TestSent:
    """Send a test message to your devices."""
    rows = PushDevices(services.app).send_test(principal.name)
    services.control.incidents.sender.nudge()
    return TestSent(keys=[row.key for row in rows])


def _shown(one: PushSubscription) -> PushDevice:
    return PushDevice(id=one.id, label=one.label, service=one.service, created_at=one.created_at)

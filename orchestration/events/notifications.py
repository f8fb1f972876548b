"""Events of the notifications to people."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class NotificationEvent(EventPayload):
    """One attempt to deliver a notification; `notice` is its kind, `message` what the channel answered."""

    incident: str | None
    contact: str
    channel: str
    # Not `kind`, which is the event's own.
    notice: str
    # The receiver gets it too (`Orchestrator-Id`, `Message-ID`), so that both logs can be compared.
    key: str
    attempt: int
    seconds: float
    message: str | None = None


@dataclass(frozen=True, slots=True)
class NotificationSent(NotificationEvent):
    """A channel accepted a notification."""

    kind: ClassVar[str] = "notification.sent"
    template: ClassVar[str] = "{notice} sent to {contact} by {channel}"


@dataclass(frozen=True, slots=True)
class NotificationRetried(NotificationEvent):
    """A channel did not accept a notification; it is sent again later."""

    # For monitoring the channel is down all the same: a page that is not out yet has reached nobody.
    kind: ClassVar[str] = "notification.retried"
    template: ClassVar[str] = "{notice} to {contact} by {channel} is sent again later: {message}"
    level: ClassVar[int] = logging.WARNING


@dataclass(frozen=True, slots=True)
class NotificationFailed(NotificationEvent):
    """A notification could not be delivered by this channel."""

    kind: ClassVar[str] = "notification.failed"
    template: ClassVar[str] = "{notice} to {contact} by {channel} failed: {message}"
    level: ClassVar[int] = logging.ERROR

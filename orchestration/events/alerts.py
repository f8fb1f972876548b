"""Events of alerts and silences."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class AlertEvent(EventPayload):
    """An alert; `decision` says why its group was notified or not."""

    alert: str
    name: str
    group: str
    decision: str
    message: str
    drill: bool


@dataclass(frozen=True, slots=True)
class AlertFired(AlertEvent):
    """An alert began to fire."""

    kind: ClassVar[str] = "alert.fired"
    template: ClassVar[str] = "alert {name} fires: {message}"


@dataclass(frozen=True, slots=True)
class AlertResolved(AlertEvent):
    """An alert is over."""

    kind: ClassVar[str] = "alert.resolved"
    template: ClassVar[str] = "alert {name} is resolved: {message}"


@dataclass(frozen=True, slots=True)
class StormChanged(EventPayload):
    """Alerts of one group have begun or ended that share one incident, so that they do not hide others. No event is
    published for each of them."""

    kind: ClassVar[str] = "alert.storm"
    template: ClassVar[str] = "storm {group}: {began} alerts began, {ended} ended, {firing} fire"
    level: ClassVar[int] = logging.WARNING

    group: str
    source: str
    began: int
    ended: int
    firing: int
    drill: bool


@dataclass(frozen=True, slots=True)
class DeliveryIncomplete(EventPayload):
    """Some alerts of a delivery were not taken: `refused` because they cannot be read, the first for this `reason`, and
    `left_out` by the sender itself."""

    kind: ClassVar[str] = "intake.incomplete"
    template: ClassVar[str] = (
        "of a delivery of {source}, {accepted} alerts were taken, {refused} were refused and {left_out} left out by "
        "the sender: {reason}"
    )
    level: ClassVar[int] = logging.WARNING

    source: str
    accepted: int
    refused: int
    left_out: int
    reason: str


@dataclass(frozen=True, slots=True)
class EchoesDropped(EventPayload):
    """Alerts came back that this system has caused itself: they are about its own incidents, or about what its own
    monitoring reports. They change nothing."""

    kind: ClassVar[str] = "intake.echoes_dropped"
    template: ClassVar[str] = "{source} sent {count} alerts back that this system has caused; they change nothing"

    source: str
    count: int


@dataclass(frozen=True, slots=True)
class SilenceAdded(EventPayload):
    """A person silenced alerts that fit these matchers."""

    kind: ClassVar[str] = "silence.added"

    silence: str
    matchers: tuple[str, ...]

    # A template cannot join a list.
    def sentence(self) -> str:
        return f"silence {self.silence} added: {', '.join(self.matchers)}"


@dataclass(frozen=True, slots=True)
class SilenceExpired(EventPayload):
    """A person ended a silence before its time."""

    kind: ClassVar[str] = "silence.expired"
    template: ClassVar[str] = "silence {silence} ended"

    silence: str

"""Events of alerts and silences."""

from __future__ import annotations

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

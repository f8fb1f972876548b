"""Events of the on-call roster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class OnCallEvent(EventPayload):
    """A planned shift in a rotation; times in RFC 3339, UTC."""

    override: str
    rotation: str
    contact: str
    start: str
    end: str
    reason: str


@dataclass(frozen=True, slots=True)
class OnCallOverrideAdded(OnCallEvent):
    """A person has entered that a contact takes the place of whoever is on call."""

    kind: ClassVar[str] = "oncall.override_added"
    template: ClassVar[str] = "{contact} is on call in {rotation} from {start} until {end}: {reason}"


@dataclass(frozen=True, slots=True)
class OnCallOverrideCancelled(OnCallEvent):
    """A person has ended an override before its time."""

    kind: ClassVar[str] = "oncall.override_cancelled"
    template: ClassVar[str] = "{contact} is not on call in {rotation} from {start} until {end} any more"


@dataclass(frozen=True, slots=True)
class OnCallHandedOver(EventPayload):
    """A shift began, and those whom it concerns were sent what is open."""

    kind: ClassVar[str] = "oncall.handed_over"
    template: ClassVar[str] = "{contact} is on call in {rotation} until {end}, with {open} open incidents"

    rotation: str
    contact: str
    before: str
    end: str
    open: int

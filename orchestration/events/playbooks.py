"""Events of playbooks and of the guards over their actions."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class ActionEvent(EventPayload):
    """An action of a playbook's step, with the state it ended in and the guard that held it back, if one did."""

    template: ClassVar[str] = "{action}: {message}"

    incident: str
    playbook: str
    phase: str
    step: str
    action: str
    state: str
    # None where nothing held it back. The value is that of the guard itself, so that log, metric and timeline agree.
    guard: str | None
    message: str
    drill: bool


@dataclass(frozen=True, slots=True)
class ActionFinished(ActionEvent):
    """A playbook's action ended, was skipped or was held back."""

    kind: ClassVar[str] = "action.finished"


@dataclass(frozen=True, slots=True)
class ActionFailed(ActionEvent):
    """A playbook's action failed."""

    # A kind of its own, because the level in the log belongs to the kind.
    kind: ClassVar[str] = "action.failed"
    template: ClassVar[str] = "{action} failed: {message}"
    level: ClassVar[int] = logging.ERROR


@dataclass(frozen=True, slots=True)
class ActionUndone(EventPayload):
    """An action was undone: its reason is gone, or a person has asked for it."""

    kind: ClassVar[str] = "action.returned"
    template: ClassVar[str] = "an action was undone: {message}"

    incident: str
    message: str


@dataclass(frozen=True, slots=True)
class GuardReset(EventPayload):
    """A person reset the tripped guards of an action."""

    kind: ClassVar[str] = "guard.reset"
    template: ClassVar[str] = "guards of {action} reset"

    action: str
    count: int

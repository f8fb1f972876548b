"""Isolation mode: whether it is on, since when, by whom and why; how it is turned on and lifted.

It is an override of the configuration, so it is in force in all processes within a second, and survives restarts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from orchestration.config.overrides import AnyChange, IsolateOverride, Override, OverrideOrigin
from orchestration.config.schema import Configuration
from orchestration.errors import ConflictError

LIFT = 'orchestrator isolate off --reason "…"'
_FILE = "the configuration file"


class IsolatedError(ConflictError):
    """The system is isolated, and this would start work or reach a provider."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """The isolation in force. Where the file itself says so, nobody knows since when or why."""

    by: str
    reason: str
    since: datetime | None = None
    incident: str | None = None
    overrides: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The first line of every status surface."""
        since = "" if self.since is None else f" since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        about = "" if self.incident is None else f" ({self.incident})"
        return f"The system is isolated{since}, by {self.by}{about}: {self.reason}"

    @property
    def remedy(self) -> str:
        """How a person lifts it."""
        return f"Lift it with: {LIFT}" if self.overrides else f"Set `runtime.isolated` to false in {_FILE}."

    def as_json(self) -> dict[str, Any]:
        """The isolation for `--json` and the API."""
        since = None if self.since is None else self.since.isoformat().replace("+00:00", "Z")
        return {
            "since": since,
            "by": self.by,
            "reason": self.reason,
            "incident": self.incident,
            "summary": self.sentence,
            "lift": self.remedy,
        }


class IsolatableStore(Protocol):
    """What is needed of the configuration's store."""

    @property
    def current(self) -> Configuration:
        """The configuration in force."""

    @property
    def overrides(self) -> tuple[Override, ...]:
        """The overrides that change something now, oldest first."""

    def add_override(
        self, change: AnyChange, *, reason: str, actor: str, origin: OverrideOrigin | None = None
    ) -> Override:
        """Put a change in force."""

    def remove_override(self, override_id: str, actor: str, reason: str = "") -> None:
        """End a change."""


def isolation_of(store: IsolatableStore) -> Isolation | None:
    """The isolation in force; None if the system is not isolated."""
    return isolation_among(store.current, store.overrides)


def isolation_among(configuration: Configuration, overrides: Iterable[Override]) -> Isolation | None:
    """The isolation by a configuration and by the overrides that are in force. Pure."""
    found = [one for one in overrides if isinstance(one.change, IsolateOverride)]
    if not found:
        return Isolation(_FILE, "`runtime.isolated` is true") if configuration.runtime.isolated else None
    first = found[0]
    incident = next((one.origin.incident_id for one in found if one.origin), None)
    return Isolation(first.actor, first.reason, first.created_at, incident, tuple(one.id for one in found))


def require_not_isolated(store: IsolatableStore, what: str) -> None:
    """Raise IsolatedError if the system is isolated; `what` is what would have been done, as in `start a run`."""
    if (isolation := isolation_of(store)) is not None:
        raise IsolatedError(f"Cannot {what}. {isolation.sentence.rstrip('.')}. {isolation.remedy}")


def isolate(store: IsolatableStore, *, reason: str, actor: str, incident: str | None = None) -> tuple[Isolation, bool]:
    """Isolate the system; the second value is False if it was isolated already, which changes nothing."""
    if (known := isolation_of(store)) is not None:
        return known, False
    origin = None if incident is None else OverrideOrigin(incident_id=incident, action_key="")
    # Without an end: isolation that ran out by itself would open the system with the cause still inside.
    made = store.add_override(IsolateOverride(), reason=reason, actor=actor, origin=origin)
    return Isolation(actor, reason, made.created_at, incident, (made.id,)), True


def lift(store: IsolatableStore, *, reason: str, actor: str) -> Isolation | None:
    """Lift the isolation; returns what was lifted, None if the system was not isolated.

    Raises ConflictError if automation asks, or if the file itself isolates the system.
    """
    known = isolation_of(store)
    if known is None:
        return None
    if not known.overrides:
        raise ConflictError(f"The configuration file isolates the system. {known.remedy}")
    for override in known.overrides:
        store.remove_override(override, actor, reason)
    return known

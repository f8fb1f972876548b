"""Every kind of event that the product publishes, by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from orchestration.events import (
    agents,
    alerts,
    clock,
    configuration,
    drills,
    incidents,
    maintenance,
    notifications,
    oncall,
    playbooks,
    providers,
    runs,
    security,
    tools,
    workers,
)
from orchestration.events.payload import EventPayload, UnlistedPayload

# In the order of the reference: work first, then what watches it, then what keeps the system in order.
MODULES = (
    runs,
    agents,
    tools,
    providers,
    workers,
    alerts,
    incidents,
    playbooks,
    notifications,
    oncall,
    configuration,
    security,
    maintenance,
    clock,
    drills,
)


def _listed() -> dict[str, type[EventPayload]]:
    # By module and not by subclass registration: a plug-in's subclasses must not become kinds of the product.
    found = [
        one
        for module in MODULES
        for one in vars(module).values()
        # A family's base, from which its kinds inherit the fields, has no kind of its own.
        if isinstance(one, type) and issubclass(one, EventPayload) and "kind" in vars(one)
    ]
    return {one.kind: one for one in found}


CATALOGUE: Mapping[str, type[EventPayload]] = MappingProxyType(_listed())


def read_payload(kind: str, data: Mapping[str, Any]) -> EventPayload:
    """The data of an event as the type of its kind. Never fails."""
    return CATALOGUE.get(kind, UnlistedPayload).from_data(data)


def incident_event(entry: str) -> type[incidents.IncidentEvent] | None:
    """The event that announces a timeline entry of this kind; None for one that the catalogue does not know."""
    # An entry may have been written by a newer process on the same database; the caller then publishes it untyped.
    found = CATALOGUE.get(f"incident.{entry.replace('-', '_')}")
    return found if found is not None and issubclass(found, incidents.IncidentEvent) else None

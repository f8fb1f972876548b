"""Kinds of flows: the name that is stored with each flow, and the types of what goes in and comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from orchestration.workflows.engine.values import JSON, StoredType

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class FlowKind(Generic[P, R]):
    """A kind of flow. The name stands in the engine's tables: renaming it would strand the flows that wait there."""

    name: str
    payload: StoredType[P]
    result: StoredType[R]


def untyped(name: str) -> FlowKind[Any, Any]:
    """A kind of flow whose payload and result are any JSON."""
    return FlowKind(name, JSON, JSON)

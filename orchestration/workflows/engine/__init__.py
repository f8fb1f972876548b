"""The durable engine, and the only place that knows which one it is.

A *flow* is a durable function: after a crash its body runs again from the start, and each committed step returns its
recorded result instead of running. Whatever a body does outside its steps must therefore be deterministic: no clock, no
randomness, no reading of anything that changes.
"""

from orchestration.workflows.engine.flow import ChildFlow, Flow, FlowBody, NamedStep, StepError, outlasting
from orchestration.workflows.engine.kinds import FlowKind, untyped
from orchestration.workflows.engine.records import FlowSchedule, FlowState, FlowStatus, StepRecord
from orchestration.workflows.engine.registry import PlacedFlow
from orchestration.workflows.engine.service import Engine
from orchestration.workflows.engine.values import JSON, StoredType, StoredValueError

__all__ = [
    "JSON",
    "ChildFlow",
    "Engine",
    "Flow",
    "FlowBody",
    "FlowKind",
    "FlowSchedule",
    "FlowState",
    "FlowStatus",
    "NamedStep",
    "PlacedFlow",
    "StepError",
    "StepRecord",
    "StoredType",
    "StoredValueError",
    "outlasting",
    "untyped",
]

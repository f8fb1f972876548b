"""The durable engine, and the only place that knows which one it is.

A *flow* is a durable function: its body runs again from the start after a crash, and each step that was committed hands
back its recorded result instead of running. What a body does outside its steps must therefore come out the same each
time: no clock, no randomness, no reading of anything that changes.
"""

from orchestration.workflows.engine.flow import ChildFlow, Flow, FlowBody, NamedStep, StepError
from orchestration.workflows.engine.kinds import FlowKind, untyped
from orchestration.workflows.engine.service import Engine, FlowSchedule, FlowState, FlowStatus, StepRecord
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
    "StepError",
    "StepRecord",
    "StoredType",
    "StoredValueError",
    "untyped",
]

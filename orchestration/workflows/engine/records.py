"""What the durable engine knows of flows, steps and schedules, in our own terms. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

OWN_QUEUE_PREFIX = "process-"
# What runs on a label waits in a queue of its own, which only workers with that label read.
LABEL_QUEUE_PREFIX = "runs/"


class FlowState(StrEnum):
    """The state of a flow. The engine's own names are in `ENGINE_STATES`."""

    QUEUED = "queued"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CRASHED = "crashed"


ENGINE_STATES = {
    "ENQUEUED": FlowState.QUEUED,
    "DELAYED": FlowState.QUEUED,
    "PENDING": FlowState.RUNNING,
    "SUCCESS": FlowState.SUCCEEDED,
    "ERROR": FlowState.FAILED,
    "CANCELLED": FlowState.CANCELLED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": FlowState.CRASHED,
}


# Nothing continues by itself from here, though a failed or cancelled flow may still be resumed by a person.
OVER = frozenset({FlowState.SUCCEEDED, FlowState.FAILED, FlowState.CANCELLED, FlowState.CRASHED})


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One flow as it is now. `executor` is the process that owns it, None while any worker may claim it. `working`
    distinguishes a flow that its process is running from one that waits on that process's queue."""

    id: str
    state: FlowState
    executor: str | None
    created_at: datetime
    output: Any = None
    queue: str | None = None
    working: bool = False


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One committed step: its number within its flow, its name, and how long it took."""

    flow_id: str
    number: int
    name: str
    child_id: str | None
    failed: bool
    output: Any
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class FlowSchedule:
    """A flow that starts on a schedule: a cron expression in a time zone, and the payload to start it with."""

    name: str
    cron: str
    time_zone: str
    payload: Mapping[str, Any]


def is_child(status: Any) -> bool:
    """Whether a flow is deleted with its parent. A run that a schedule has started has a parent but stays by itself."""
    parent = status.parent_workflow_id
    return parent is not None and is_below(status.workflow_id, parent)


def is_below(flow_id: str, ancestor: str) -> bool:
    """Whether a flow is a descendant of another, by its identifier."""
    return flow_id.startswith(ancestor + ".")


def flow_status(status: Any, alive: frozenset[str]) -> FlowStatus:
    """A flow as the engine lists it; `alive` are the executors that have a lease."""
    state, executor, queue = ENGINE_STATES[status.status], status.executor_id, status.queue_name
    if state is FlowState.QUEUED:
        executor = queue.removeprefix(OWN_QUEUE_PREFIX) if queue and queue.startswith(OWN_QUEUE_PREFIX) else None
    working = state is FlowState.RUNNING
    if (working or (state is FlowState.QUEUED and executor is not None)) and executor not in alive:
        state = FlowState.INTERRUPTED
    created_at = _moment(status.created_at)
    return FlowStatus(status.workflow_id, state, executor, created_at, status.output, queue, working)


def step_record(flow_id: str, step: Any) -> StepRecord:
    """A step as the engine lists it."""
    return StepRecord(
        flow_id=flow_id,
        number=step["function_id"],
        name=step["function_name"],
        child_id=step["child_workflow_id"],
        failed=step["error"] is not None,
        output=step["output"],
        started_at=_optional_moment(step.get("started_at_epoch_ms")),
        finished_at=_optional_moment(step.get("completed_at_epoch_ms")),
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _optional_moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _moment(milliseconds)

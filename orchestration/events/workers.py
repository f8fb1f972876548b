"""Events of the processes that carry out runs, and of the control process over them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class ControlProcessStarted(EventPayload):
    """A control process started; another release than that of the last one is a deployment."""

    kind: ClassVar[str] = "control.started"
    template: ClassVar[str] = "a control process of release {release} started"

    release: str
    drill: bool = False


@dataclass(frozen=True, slots=True)
class WorkerStarted(EventPayload):
    """The supervisor started a worker process."""

    kind: ClassVar[str] = "worker.started"
    template: ClassVar[str] = "worker {worker} started (process {pid})"

    worker: int
    pid: int


@dataclass(frozen=True, slots=True)
class WorkerLost(EventPayload):
    """A worker process ended by itself."""

    kind: ClassVar[str] = "worker.lost"
    template: ClassVar[str] = "worker {worker} (process {pid}) ended by itself with exit code {exit_code}"
    level: ClassVar[int] = logging.ERROR

    worker: int
    pid: int
    doing: str
    # Negative for a signal, as in `subprocess`.
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class WorkerKilled(EventPayload):
    """The supervisor ended a worker process; `reason` says why."""

    # Not an error in the log: the supervisor decided it, and replaces the worker.
    kind: ClassVar[str] = "worker.killed"
    template: ClassVar[str] = "worker {worker} (process {pid}) was killed: {reason}; it was doing: {doing}"

    worker: int
    pid: int
    doing: str
    reason: str
    memory_mb: float


@dataclass(frozen=True, slots=True)
class WorkerReplaced(EventPayload):
    """A worker's process is replaced by a new one, for the `times`-th time."""

    kind: ClassVar[str] = "worker.replaced"
    template: ClassVar[str] = "worker {worker} is replaced"

    worker: int
    times: int


@dataclass(frozen=True, slots=True)
class ControlProcessSilent(EventPayload):
    """The control process cannot report its state, because the database does not answer."""

    # Its lease is not renewed meanwhile, so another process may come to lead although this one still runs.
    kind: ClassVar[str] = "control.unheard"
    template: ClassVar[str] = "the control process cannot report its state: {message}"

    message: str

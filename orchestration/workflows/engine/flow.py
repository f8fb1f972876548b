"""What the body of a flow may do: run steps, start child flows, sleep."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio.to_thread
import sqlalchemy as sa
from dbos import DBOS, PortableWorkflowError, SetWorkflowID
from dbos._dbos import _get_dbos_instance

from orchestration.errors import OrchestratorError
from orchestration.storage.outage import is_outage
from orchestration.workflows.engine.kinds import FlowKind
from orchestration.workflows.engine.values import StoredType, from_json, to_json

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")

StepFunction = Callable[[], Awaitable[T]]
FlowBody = Callable[["Flow", P], Awaitable[R]]
ChildStarter = Callable[[FlowKind[Any, Any], Any], Awaitable[Any]]

# DBOS asks once a second by default, which every agent of a run would add to its time.
_CHILD_POLL_SECONDS = 0.1
# How soon work is tried again while our own database is away, and at the longest.
_AWAY_SECONDS, _AWAY_AT_MOST_SECONDS = 0.5, 5.0


class StepError(OrchestratorError):
    """A step failed, now or in the execution that is being replayed; the body cannot tell the difference.

    `kind` is the name of the error's class; `data` is JSON from the error's attribute `data`, if it had one.
    """

    def __init__(self, kind: str, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.data = data


@dataclass(frozen=True, slots=True)
class ChildFlow(Generic[R]):
    """A child flow that was started."""

    id: str
    result: StoredType[R]
    handle: Any


@dataclass(frozen=True, slots=True)
class NamedStep(Generic[T]):
    """A step to be run beside others: its name, the type of its result, and what it does."""

    name: str
    model: StoredType[T]
    function: StepFunction[T]


class Flow:
    """The handle that a body receives. Values are stored as JSON and typed at both ends."""

    def __init__(self, flow_id: str, start_child: ChildStarter) -> None:
        self.id = flow_id
        self._start_child = start_child
        self._owner = asyncio.current_task()

    async def step(self, name: str, model: StoredType[T], function: StepFunction[T]) -> T:
        """Run `function` once and record its result, of the type `model`; after a crash return the record instead.

        A step that is interrupted half-way runs again, so its outside effects must be idempotent. Raises StepError when
        the function fails (which is recorded, too). If the flow is cancelled, the step stops early and unrecorded.
        """
        self._check_owner(name)
        one = NamedStep(name, model, function)
        # Only a preemptible step ends early when its flow is cancelled; any other runs to its end.
        stored = await _unwrapped(DBOS.run_step_async({"name": name, "preemptible": True}, _portable(one)))
        return from_json(model, stored, f"step '{name}' of {self.id}")

    async def steps(self, named: Sequence[NamedStep[T]]) -> list[T]:
        """Run single steps concurrently; results come in the order given. The first StepError, if any, is raised after
        all have ended."""
        self._check_owner("steps")
        # The engine numbers steps in the order of their calls. Gathered coroutines call in whatever order they are
        # scheduled, and on replay a step would get the result of another, without any error. So numbers are reserved
        # here, in order.
        reserved = [(DBOS.reserve_step(), one) for one in named]
        results: list[Any] = await asyncio.gather(
            *(
                _unwrapped(slot.run_async({"name": one.name, "preemptible": True}, _portable(one)))
                for slot, one in reserved
            ),
            # Otherwise the first error would end the flow while its other steps are still at work.
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [
            from_json(one.model, result, f"step '{one.name}' of {self.id}")
            for one, result in zip(named, results, strict=True)
        ]

    async def mark(self, name: str) -> bool:
        """Whether the flow takes a new way from here on: True where nothing is recorded yet, and on every replay of
        that; False while the flow replays what it did here without the mark."""
        self._check_owner(name)
        return await DBOS.patch_async(name)

    async def start(self, kind: FlowKind[P, R], child_id: str, payload: P) -> ChildFlow[R]:
        """Start a child flow under an identifier that begins with this flow's own: prefixes make the tree of a run."""
        self._check_owner(kind.name)
        with SetWorkflowID(child_id):
            return ChildFlow(child_id, kind.result, await self._start_child(kind, payload))

    async def result(self, child: ChildFlow[R]) -> R:
        """Wait for a child flow and return its result. Raises StepError if it failed."""
        self._check_owner(child.id)
        stored = await _unwrapped(child.handle.get_result(polling_interval_sec=_CHILD_POLL_SECONDS))
        return from_json(child.result, stored, f"the result of {child.id}")

    async def sleep(self, seconds: float) -> None:
        """Sleep; after a restart only the remaining time is waited."""
        self._check_owner("sleep")
        await DBOS.sleep_async(seconds)

    def _check_owner(self, what: str) -> None:
        """Steps are numbered as they are called; called from several tasks, the numbers would depend on scheduling."""
        if asyncio.current_task() is not self._owner:
            raise RuntimeError(
                f"'{what}' was called from a side task of {self.id}; call it from the flow's own task, use Flow.steps, "
                "or give the side work a child flow of its own"
            )


def as_portable(error: Exception) -> PortableWorkflowError:
    """The error in the one form that the engine stores without pickling it."""
    if isinstance(error, PortableWorkflowError):
        return error
    kind = error.kind if isinstance(error, StepError) else type(error).__name__
    return PortableWorkflowError(str(error), kind, data={"kind": kind, "data": getattr(error, "data", None)})


def from_portable(error: PortableWorkflowError) -> StepError:
    """The error as a body sees it."""
    stored = error.data if isinstance(error.data, dict) else {}
    return StepError(str(stored.get("kind", error.name)), error.message, stored.get("data"))


def _portable(step: NamedStep[Any]) -> StepFunction[Any]:
    """The function that the engine calls: it returns JSON and raises only what the engine can store."""

    async def wrapped() -> Any:
        for failures in itertools.count():
            try:
                return to_json(step.model, await step.function())
            except Exception as error:
                if not is_outage(error):
                    raise as_portable(error) from error
            # The step is done when the database is back: a response or a run that ended for it would stay unfinished.
            # Like any step it may be repeated.
            await _database_back(failures)
        raise AssertionError("the count never ends")

    return wrapped


async def outlasting(function: Callable[[], T]) -> T:
    """Call a function that uses our database, in a thread, and again while the database is away: for what a body does
    outside of its steps, where the error would end the flow."""
    for failures in itertools.count():
        try:
            return await anyio.to_thread.run_sync(function)
        except Exception as error:
            if not is_outage(error):
                raise
        await _database_back(failures)
    raise AssertionError("the count never ends")


async def _database_back(failures: int) -> None:
    """Wait until the engine's database answers. A step may cost a model call, so it is not repeated to find that out.
    After several failures the wait is longer: an open connection may answer from a file that is gone."""
    while True:
        await asyncio.sleep(min(_AWAY_AT_MOST_SECONDS, _AWAY_SECONDS * 2.0 ** min(failures, 8)))
        try:
            return await anyio.to_thread.run_sync(_ask)
        except Exception as error:
            if not is_outage(error):
                raise


def _ask() -> None:
    with _get_dbos_instance()._sys_db.engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))


async def _unwrapped(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except PortableWorkflowError as error:
        raise from_portable(error) from error.__cause__

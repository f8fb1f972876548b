"""What a flow's body may do: steps, children, waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dbos import DBOS, PortableWorkflowError, SetWorkflowID

from orchestration.errors import OrchestratorError

FlowBody = Callable[["Flow", Any], Awaitable[Any]]
StepFunction = Callable[[], Awaitable[Any]]
ChildStarter = Callable[[str, Any], Awaitable[Any]]

_CHILD_POLL_SECONDS = 0.1


class StepError(OrchestratorError):
    """A step failed, now or in the execution that is being replayed; both look the same to the body.

    `kind` is the name of the error's class; `data` holds JSON that the error carried in an attribute `data`.
    """

    def __init__(self, kind: str, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.data = data


@dataclass(frozen=True, slots=True)
class ChildFlow:
    """A child flow that was started."""

    id: str
    handle: Any


class Flow:
    """The handle that a body is given. All values that go through it are JSON."""

    def __init__(self, flow_id: str, start_child: ChildStarter) -> None:
        self.id = flow_id
        self._start_child = start_child
        self._owner = asyncio.current_task()

    async def step(self, name: str, function: StepFunction) -> Any:
        """Run `function` once and record what it returns; after a crash the record is returned instead.

        A step interrupted half-way runs again, so what it does outside must bear that. Raises StepError when the
        function fails (recorded too); stops early, unrecorded, when the flow is cancelled.
        """
        self._check_owner(name)
        return await _unwrapped(DBOS.run_step_async({"name": name, "preemptible": True}, _portable(function)))

    async def steps(self, named: Sequence[tuple[str, StepFunction]]) -> list[Any]:
        """Run single steps side by side; results come in the order given. The first StepError, if any, is raised
        after all have ended."""
        self._check_owner("steps")
        # Numbers are drawn here, in order, so that a replay gives each step its own result whatever order they end in.
        reserved = [(DBOS.reserve_step(), name, function) for name, function in named]
        results = await asyncio.gather(
            *(
                _unwrapped(place.run_async({"name": name, "preemptible": True}, _portable(function)))
                for place, name, function in reserved
            ),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    async def start(self, kind: str, child_id: str, payload: Any) -> ChildFlow:
        """Start a child flow under an identifier of our choosing, which should begin with this flow's own."""
        self._check_owner(kind)
        with SetWorkflowID(child_id):
            return ChildFlow(child_id, await self._start_child(kind, payload))

    async def result(self, child: ChildFlow) -> Any:
        """Wait for a child and return what it returned. Raises StepError when it failed."""
        self._check_owner(child.id)
        return await _unwrapped(child.handle.get_result(polling_interval_sec=_CHILD_POLL_SECONDS))

    async def sleep(self, seconds: float) -> None:
        """Wait; a restart in between does not begin the wait anew."""
        self._check_owner("sleep")
        await DBOS.sleep_async(seconds)

    def _check_owner(self, what: str) -> None:
        """Steps are numbered as they are called: from several tasks at once the numbers would depend on chance."""
        if asyncio.current_task() is not self._owner:
            raise RuntimeError(
                f"expected '{what}' to be called by the flow's own task, got a side task of {self.id}; "
                "use Flow.steps, or give the side work a child flow of its own"
            )


def as_portable(error: Exception) -> PortableWorkflowError:
    """The form in which the engine stores an error, and which comes out of the store as it went in."""
    if isinstance(error, PortableWorkflowError):
        return error
    kind = error.kind if isinstance(error, StepError) else type(error).__name__
    return PortableWorkflowError(str(error), kind, data={"kind": kind, "data": getattr(error, "data", None)})


def from_portable(error: PortableWorkflowError) -> StepError:
    """The error as a body sees it."""
    stored = error.data if isinstance(error.data, dict) else {}
    return StepError(str(stored.get("kind", error.name)), error.message, stored.get("data"))


def _portable(function: StepFunction) -> StepFunction:
    async def wrapped() -> Any:
        try:
            return await function()
        except Exception as error:
            raise as_portable(error) from error

    return wrapped


async def _unwrapped(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except PortableWorkflowError as error:
        raise from_portable(error) from error.__cause__

"""What an application runs beside its requests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio
import anyio.abc

from orchestration.errors import ConflictError


class BackgroundTasks:
    """Tasks that live as long as the `running` block; on leaving it they are cancelled."""

    def __init__(self) -> None:
        self._group: anyio.abc.TaskGroup | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Accept tasks. This has to be the innermost block: once the group is cancelled, an `await` inside it hides an
        error of the block behind the cancellation."""
        try:
            async with anyio.create_task_group() as self._group:
                try:
                    yield
                finally:
                    # The tasks are loops without an end of their own; without this the block would never be left.
                    self._group.cancel_scope.cancel()
        finally:
            # From here on, `start_soon` drops what a late subscriber still asks for.
            self._group = None

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> None:
        """Run something that raises nothing; without a `running` block, drop it."""
        if self._group is not None:
            self._group.start_soon(function, *arguments)

    async def start(self, function: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any) -> Any:
        """Run something, and return the value that it passes to `task_status.started`; what it raises before that is
        raised here, and after that it must raise nothing. Raises ConflictError without a `running` block."""
        if self._group is None:
            raise ConflictError("The application is still starting. Try again in a moment.")
        return await self._group.start(function, *arguments)

"""When to read the files again: at once where the system reports changes, and every second in any case."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path

from watchfiles import awatch

from orchestration.clock import Clock

# Network file systems and containers report no changes, or too late; polling is cheap, since it only stats the files.
_TICK_SECONDS = 1.0
_STEADY_SECONDS = 0.1
_STEADY_ATTEMPTS = 8


async def changes(paths: Iterable[Path], signature: Callable[[], object], clock: Clock) -> AsyncGenerator[None, None]:
    """Yield after a change, once the files no longer change, and at every tick.

    An editor that truncates a file before it writes, or writes in parts, gets up to 0.8 s to finish.
    """
    seen = signature()
    async with aclosing(_ticks({path.absolute().parent for path in paths}, clock)) as ticks:
        async for _ in ticks:
            if signature() != seen:
                seen = await _steady(signature, clock)
            yield


async def _steady(signature: Callable[[], object], clock: Clock) -> object:
    seen = signature()
    for _ in range(_STEADY_ATTEMPTS):
        await clock.sleep(_STEADY_SECONDS)
        before, seen = seen, signature()
        if before == seen:
            break
    return seen


async def _ticks(folders: set[Path], clock: Clock) -> AsyncGenerator[None, None]:
    """Watches folders, not files: most editors replace a file, and changes of the new one would go unnoticed."""
    notifications = awatch(
        *folders,
        # Nothing is filtered, because the signature decides what counts; the default filter ignores some names
        # (https://watchfiles.helpmanual.io/api/filters/).
        watch_filter=None,
        # The default of 1.6 s would use up most of the two seconds within which an edit has to be in force
        # (https://watchfiles.helpmanual.io/api/watch/).
        debounce=200,
        rust_timeout=int(_TICK_SECONDS * 1000),
        yield_on_timeout=True,
        # The project's folder is watched for `.env`, and everything below it would need a watch of its own.
        recursive=False,
    )
    try:
        async with aclosing(notifications):
            async for _ in notifications:
                yield
    except (
        OSError,
        RuntimeError,
    ):  # no such folder, no inotify watches left, or none on this file system
        while True:
            await clock.sleep(_TICK_SECONDS)
            yield

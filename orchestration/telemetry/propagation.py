"""The trace that the work of this task belongs to, for the requests that it sends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

TRACEPARENT = "traceparent"
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


@contextlib.contextmanager
def within(traceparent: str | None) -> Iterator[None]:
    """Pass this on with each request that is sent within the block, also by tasks that are started there."""
    token = _current.set(traceparent)
    try:
        yield
    finally:
        _current.reset(token)


def outgoing_headers() -> dict[str, str]:
    """The header that tells the receiver of a request which trace it belongs to."""
    current = _current.get()
    return {} if current is None else {TRACEPARENT: current}

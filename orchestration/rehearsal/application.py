"""The rehearsal server as one ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestration.clock import Clock
from orchestration.errors import UsageError
from orchestration.rehearsal.call_log import CallLog
from orchestration.rehearsal.controls import Controls
from orchestration.rehearsal.fault_registry import FaultRegistry
from orchestration.rehearsal.provider import Answer, RehearsalEndpoints
from orchestration.rehearsal.transmission import Line, Transmission
from orchestration.rehearsal.wire_reply import WireReply, dialect_of, whole


def build_application(
    clock: Clock,
    faults: FaultRegistry,
    call_log: CallLog,
    line: Line,
    latency: float,
    answer: Answer | None = None,
) -> Starlette:
    """All routes. Errors are answered in the dialect of the path, and marked as rehearsed like every other reply."""

    def send(reply: WireReply) -> Transmission:
        return Transmission(reply, clock, line)

    async def usage_error(request: Request, error: Exception) -> Transmission:
        return send(_error(request, 400, str(error), "invalid_request_error"))

    async def http_error(request: Request, error: Exception) -> Transmission:
        status = error.status_code if isinstance(error, HTTPException) else 500
        message = f"the rehearsal server has no {request.method} {request.url.path}"
        return send(_error(request, status, message, "not_found_error"))

    routes = [
        *RehearsalEndpoints(clock, faults, call_log, send, latency, answer).routes(),
        *Controls(faults, call_log, send).routes(),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_CountedAtOnce, call_log)],
        exception_handlers={UsageError: usage_error, HTTPException: http_error},
    )


class _CountedAtOnce:
    """Counts the model calls that are in progress: requests with a body."""

    def __init__(self, app: ASGIApp, call_log: CallLog) -> None:
        self._app = app
        self._call_log = call_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        with self._call_log.answering():
            await self._app(scope, receive, send)


def _error(request: Request, status: int, message: str, kind: str) -> WireReply:
    return whole({}, dialect_of(request.url.path)).error(status, message, kind=kind)

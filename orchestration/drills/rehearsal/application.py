"""All paths of the rehearsal server as one ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request

from orchestration.clock import Clock
from orchestration.drills.rehearsal.controls import Controls
from orchestration.drills.rehearsal.delivery import Delivery, dialect_of, whole
from orchestration.drills.rehearsal.fault_desk import FaultDesk
from orchestration.drills.rehearsal.journal import Journal
from orchestration.drills.rehearsal.provider import Provider
from orchestration.drills.rehearsal.sending import Line, Sending
from orchestration.errors import UsageError


def build_application(clock: Clock, faults: FaultDesk, journal: Journal, line: Line, latency: float) -> Starlette:
    """Put the paths together; errors are answered in the dialect of the path, and marked like everything else."""

    def send(delivery: Delivery) -> Sending:
        return Sending(delivery, clock, line)

    async def refused(request: Request, error: Exception) -> Sending:
        return send(_error(request, 400, str(error), "invalid_request_error"))

    async def not_served(request: Request, error: Exception) -> Sending:
        status = error.status_code if isinstance(error, HTTPException) else 500
        message = f"expected one of the paths of the rehearsal server, got {request.method} {request.url.path}"
        return send(_error(request, status, message, "not_found_error"))

    routes = [*Provider(clock, faults, journal, send, latency).routes(), *Controls(faults, journal, send).routes()]
    return Starlette(routes=routes, exception_handlers={UsageError: refused, HTTPException: not_served})


def _error(request: Request, status: int, message: str, kind: str) -> Delivery:
    return whole({}, dialect_of(request.url.path)).error(status, message, kind=kind)

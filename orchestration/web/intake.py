"""`POST /api/v1/intake/alertmanager` and `/api/v1/intake/webhook`: the door for alerts from outside, over HTTP.

Alertmanager tries again after a 5xx and a broken connection, and gives up after a 4xx. So success is answered only
after the delivery is on the disk, 503 when it could not be written, and 4xx only for what will never be right.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestration import logs
from orchestration.alerts.intake import AlertIntake, AlertSource
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.security import SignInFailed

_log = logs.get_logger("intake")
_THREADS = 32
_AGAIN = {"Retry-After": "5"}


def routes(intake: AlertIntake, clock: Clock, bus: EventBus) -> list[Route]:
    """The routes, to be mounted at the root of an application. A bad proof is said on the bus as a failed sign-in."""
    # Of their own, so that a disk that makes the intake wait makes nobody else wait.
    threads = anyio.CapacityLimiter(_THREADS)
    return [
        Route(f"/api/v1/intake/{sender.value}", _endpoint(intake, clock, bus, sender, threads), methods=["POST"])
        for sender in AlertSource
    ]


def _endpoint(
    intake: AlertIntake, clock: Clock, bus: EventBus, sender: AlertSource, threads: anyio.CapacityLimiter
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            headers = {name.lower(): value for name, value in request.headers.items()}
            intake.glance(headers, clock.now())
            body = await read_body(request, intake.max_bytes)
            accept = partial(intake.accept, sender, headers, body, clock.now())
            receipt = await anyio.to_thread.run_sync(accept, limiter=threads)
        except PayloadRefusedError as refusal:
            _log.warning("intake.refused", source=sender.value, status=refusal.status, reason=str(refusal))
            if refusal.status == HTTPStatus.UNAUTHORIZED:
                host = request.client.host if request.client else ""
                bus.publish(SignInFailed(source=host, user=f"intake {sender.value}", reason=str(refusal)))
            return JSONResponse({"error": str(refusal)}, refusal.status)
        except SQLAlchemyError as error:
            _log.error("intake.unwritten", source=sender.value, error=type(error).__name__)
            return JSONResponse({"error": "the alerts could not be written; send them again"}, 503, _AGAIN)
        return JSONResponse({"accepted": receipt.accepted}, 200)

    return endpoint


async def read_body(request: Request, at_most: int) -> bytes:
    """The body. Raises RefusedError as soon as it is known to be too long, whatever the sender said of its length."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > at_most:
            raise PayloadRefusedError(f"expected at most {at_most} bytes, got more; send the alerts in parts", 413)
        parts.append(part)
    return b"".join(parts)

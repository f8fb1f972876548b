"""The endpoints for alerts from other systems, one for each alert source: `POST /api/v1/intake/SOURCE`.

Alertmanager sends a webhook again after a 5xx answer and a broken connection, and drops it after a 4xx, 429 included
(https://github.com/prometheus/alertmanager/blob/main/notify/util.go). So success is answered only after the delivery is
on the disk, 503 when it could not be written, and 4xx only for what can never succeed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from orchestration import logs
from orchestration.alerts.intake import AlertIntake
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.alerts.source import AlertSource, Receipt
from orchestration.alerts.sources.registry import alert_sources
from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.alerts import DeliveryIncomplete, EchoesDropped
from orchestration.events.security import SignInFailed
from orchestration.storage.alert_inbox import InboxDelivery
from orchestration.web.inbox_writer import InboxWriter

_log = logs.get_logger("intake")
# Read in the event loop, where it takes a few milliseconds at most.
_SMALL_BYTES = 64 * 1024
# In memory the alerts of a body take ten times its length.
_LARGE_AT_ONCE = 1
_RETRY_AFTER = {"Retry-After": "5"}


def routes(
    intake: AlertIntake, clock: Clock, bus: EventBus, sources: Sequence[AlertSource] | None = None
) -> list[Route]:
    """The routes, to be mounted at the root of an application. A failed authentication is an event on the bus."""
    writer, large = InboxWriter(intake.inbox.add), anyio.CapacityLimiter(_LARGE_AT_ONCE)
    chosen = alert_sources() if sources is None else sources
    return [
        Route(path, _Endpoint(intake, clock, bus, source, writer, large), methods=["POST"])
        for source in chosen
        for path in source.routes
    ]


class _Endpoint:
    """The endpoint of one source, an ASGI application: Starlette's wrapping of a function takes longer than all that is
    done here."""

    def __init__(
        self,
        intake: AlertIntake,
        clock: Clock,
        bus: EventBus,
        source: AlertSource,
        writer: InboxWriter,
        large: anyio.CapacityLimiter,
    ) -> None:
        self._intake = intake
        self._clock = clock
        self._bus = bus
        self._source = source
        self._writer = writer
        self._large = large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        response = await self._handle(Request(scope, receive))
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        try:
            receipt = await self._accept(request)
        except PayloadRefusedError as refusal:
            return self._refuse(request, refusal)
        except SQLAlchemyError as error:
            _log.error("intake.unwritten", source=self._source.name, error=type(error).__name__)
            message = "the alerts could not be written; send them again"
            return JSONResponse({"error": message}, HTTPStatus.SERVICE_UNAVAILABLE, _RETRY_AFTER)
        self._report(receipt)
        return JSONResponse(self._source.answer(receipt), self._source.success_status)

    def _report(self, receipt: Receipt) -> None:
        """Publish what of a delivery did not become an alert."""
        if receipt.refused or receipt.truncated:
            reason = receipt.refused[0] if receipt.refused else "the sender's own limit"
            missing = len(receipt.refused), receipt.truncated
            self._bus.publish(DeliveryIncomplete(self._source.name, receipt.accepted, *missing, reason=reason))
        if receipt.echoes:
            self._bus.publish(EchoesDropped(self._source.name, receipt.echoes))

    async def _accept(self, request: Request) -> Receipt:
        headers = {name.lower(): value for name, value in request.headers.items()}
        # The machine's clock: signatures and ends are compared with the clocks of senders.
        self._intake.precheck(self._source, headers, self._clock.wall())
        body = await read_body(request, self._intake.max_bytes(self._source))
        now = self._clock.wall()
        if len(body) > _SMALL_BYTES:
            receipt, deliveries = await anyio.to_thread.run_sync(self._read, headers, body, now, limiter=self._large)
        else:
            # A thread would cost more than reading a few alerts does.
            batch = self._intake.read(self._source, headers, body, now)
            examine = partial(self._intake.examine, self._source, batch, now)
            blocks = self._intake.may_block(batch)
            receipt, deliveries = await anyio.to_thread.run_sync(examine) if blocks else examine()
        if deliveries:
            await self._writer.add(*deliveries)
        return receipt

    def _read(self, headers: Mapping[str, str], body: bytes, now: datetime) -> tuple[Receipt, Sequence[InboxDelivery]]:
        return self._intake.examine(self._source, self._intake.read(self._source, headers, body, now), now)

    def _refuse(self, request: Request, refusal: PayloadRefusedError) -> Response:
        name = self._source.name
        _log.warning("intake.refused", source=name, status=refusal.status, reason=str(refusal))
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            host = request.client.host if request.client else ""
            self._bus.publish(SignInFailed(source=host, user=f"intake {name}", reason=str(refusal)))
        return JSONResponse(self._source.refusal(str(refusal)), refusal.status)


async def read_body(request: Request, at_most: int) -> bytes:
    """The body. Raises PayloadRefusedError as soon as it is longer than allowed, whatever its Content-Length says."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > at_most:
            raise PayloadRefusedError(f"expected at most {at_most} bytes, got more; send the alerts in parts", 413)
        parts.append(part)
    return b"".join(parts)

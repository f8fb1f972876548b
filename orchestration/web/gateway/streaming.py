"""An answer that is streamed to the client while the provider generates it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from orchestration.app.model_host import ModelHost
from orchestration.errors import OrchestratorError
from orchestration.providers.attempt import ChunkCallback
from orchestration.providers.resumption import complete_resumed
from orchestration.providers.wire import Completion, GatewayCall, Route
from orchestration.web.gateway.admission import Admission
from orchestration.web.gateway.completions import route_headers
from orchestration.web.gateway.dialect import EVENT_STREAM, ModelRequest, StreamDelivery
from orchestration.web.gateway.disconnection import cancel_on_disconnect

_REHEARSAL = "rehearsal, no real model answered"


class AnswerStream(Response):
    """A response that starts with the first token, so that an error before it still gets an HTTP status of its own."""

    def __init__(
        self,
        app: ModelHost,
        admission: Admission,
        request: ModelRequest,
        call: GatewayCall,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__()
        self._app = app
        self._admission = admission
        self._request = request
        self._call = call
        # Filled when the call is let through, before its answer begins.
        self._budgets = headers
        self._writer = request.dialect.writer(int(app.clock.now().timestamp()))
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_on_disconnect, receive, group.cancel_scope)
            with self._admission:
                await self._send_answer(scope, receive, send)
            group.cancel_scope.cancel()

    async def _send_answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[str, str] = {}
        model = self._request.model

        def on_start(route: Route, tries: int) -> None:
            nonlocal model
            headers.update({**route_headers(route, tries), **self._budgets})
            model = str(route)

        async def on_chunk(chunk: Mapping[str, Any]) -> None:
            await self._start(send, headers, model)
            if data := self._writer.chunk(chunk):
                await _send_bytes(send, data)

        call = replace(self._call, on_start=on_start)
        try:
            completion, resumed = await self._complete(call, on_chunk)
        except OrchestratorError as error:
            if not self._started:
                refusal = self._request.dialect.error_response(error, self._app.clock.monotonic())
                await refusal(scope, receive, send)
                return
            await _send_bytes(send, self._writer.failed(error), more=False)
            return
        await self._start(send, headers, model)
        if self._request.on_answer is not None:
            await self._request.on_answer(completion)
        notes = [_REHEARSAL] if completion.rehearsal else []
        notes += [f"gone on with by {completion.route}"] if resumed else []
        await _send_bytes(send, self._comments(notes) + self._writer.end(completion), more=False)

    async def _complete(self, call: GatewayCall, on_chunk: ChunkCallback) -> tuple[Completion, bool]:
        """The whole answer, and whether it had broken off."""
        gateway, body = self._app.gateway, self._request.body
        if self._request.routing.delivery is StreamDelivery.RESUME:
            return await complete_resumed(gateway, body, call, on_chunk)
        return await gateway.complete(body, call, on_chunk), False

    def _comments(self, notes: Sequence[str]) -> bytes:
        """Clients ignore the comments of an event stream; people who look at the stream see them."""
        shown = notes if self._writer.media_type == EVENT_STREAM else ()
        return "".join(f": {note}\n\n" for note in shown).encode()

    async def _start(self, send: Send, route: Mapping[str, str], model: str) -> None:
        if not self._started:
            self._started = True
            # The second header keeps nginx from buffering the stream until it is complete.
            kind = f"{self._writer.media_type}; charset=utf-8".encode()
            headers = [(b"content-type", kind), (b"x-accel-buffering", b"no")]
            headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in route.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if begun := self._writer.begin(model):
                await _send_bytes(send, begun)


async def _send_bytes(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})

"""A completion that is streamed to the client while the provider generates it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from orchestration.app.application import Application
from orchestration.errors import OrchestratorError
from orchestration.providers.wire import Completion, GatewayCall, Route
from orchestration.storage.access import TokenRow
from orchestration.web.gateway.admission import RequestAdmission
from orchestration.web.gateway.completions import END_OF_STREAM, chunk_header, event_line, route_headers, usage_body
from orchestration.web.gateway.disconnection import cancel_on_disconnect
from orchestration.web.gateway.errors import error_body, error_response
from orchestration.web.gateway.requests import ChatRequest


class CompletionStream(Response):
    """A response that starts with the first token, so that an error before it still gets an HTTP status of its own."""

    def __init__(
        self,
        app: Application,
        admission: RequestAdmission,
        token: TokenRow | None,
        request: ChatRequest,
        call: GatewayCall,
    ) -> None:
        super().__init__(media_type="text/event-stream")
        self._app = app
        self._admission = admission
        self._token = token
        self._request = request
        self._call = call
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(cancel_on_disconnect, receive, group.cancel_scope)
            with self._admission.in_progress(self._token):
                await self._send_completion(scope, receive, send)
            group.cancel_scope.cancel()

    async def _send_completion(self, scope: Scope, receive: Receive, send: Send) -> None:
        common = chunk_header(int(self._app.clock.now().timestamp()))
        headers: dict[str, str] = {}
        model = {"model": self._request.model}

        def on_start(route: Route, tries: int) -> None:
            headers.update(route_headers(route, tries))
            model["model"] = str(route)

        async def on_chunk(chunk: Mapping[str, Any]) -> None:
            await self._start(send, headers)
            # A chunk with the usage has no choices. Clients that did not ask for it read `choices[0]` unconditionally.
            if chunk.get("choices") or self._request.usage:
                await _send_bytes(send, event_line({**common, **chunk, **model}))

        call = replace(self._call, on_start=on_start)
        try:
            completion = await self._app.gateway.complete(self._request.body, call, on_chunk)
        except OrchestratorError as error:
            if not self._started:
                await error_response(error, self._app.clock.monotonic())(scope, receive, send)
                return
            # The status has been sent. OpenAI's clients raise `APIError` for an event with an `error` field.
            await _send_bytes(send, event_line(error_body(error)[1]), more=False)
            return
        await self._start(send, headers)
        await self._end(send, completion, {**common, **model})

    async def _end(self, send: Send, completion: Completion, common: Mapping[str, Any]) -> None:
        if self._request.usage and completion.usage.estimated:
            counted = {"choices": [], "usage": usage_body(completion)}
            await _send_bytes(send, event_line({**common, **counted}))
        # A comment of the event stream: clients ignore it, people who look at the stream see it.
        label = b": rehearsal, no real model answered\n\n" if completion.rehearsal else b""
        await _send_bytes(send, label + END_OF_STREAM, more=False)

    async def _start(self, send: Send, route: Mapping[str, str]) -> None:
        if not self._started:
            self._started = True
            # The second header keeps nginx from buffering the stream until it is complete.
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
            headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in route.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _send_bytes(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})

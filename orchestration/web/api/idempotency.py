"""Idempotency keys: a write that is repeated with the same `Idempotency-Key` is carried out once, and answered with the
first response. Responses are kept for a day.

The semantics follow draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.clock import Clock
from orchestration.storage.access import AccessTable, IdempotentResponse
from orchestration.web.intake import read_body
from orchestration.web.problems import of_error, problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_KEPT_FOR = timedelta(hours=24)
_MAX_KEY_LENGTH = 200
_MAX_BYTES = 2_000_000
# Responses of these paths contain a secret, which must not be stored.
_SECRET_PATHS = ("/tokens",)


class IdempotencyKeys:
    """ASGI middleware in front of the API's routes. It reads the whole body, so it also limits the size of requests."""

    def __init__(self, app: ASGIApp, table: AccessTable, clock: Clock) -> None:
        self._app = app
        self._table = table
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(Request(scope, receive), _MAX_BYTES)
        except PayloadRefusedError as error:
            await of_error(error)(scope, receive, send)
            return
        # Whether it is the same request is decided by a digest of its body, so the body is read here and handed on.
        replay = _Replay(body, receive)
        key = Headers(scope=scope).get("idempotency-key")
        if key is None or scope["state"]["principal"] is None:
            await self._app(scope, replay, send)
        elif not 0 < len(key) <= _MAX_KEY_LENGTH:
            refusal = problem(422, f"An Idempotency-Key must have 1 to {_MAX_KEY_LENGTH} characters.")
            await refusal(scope, receive, send)
        else:
            await self._once(scope, replay, send, key, body)

    async def _once(self, scope: Scope, receive: Receive, send: Send, key: str, body: bytes) -> None:
        # The key is stored as a digest together with the principal: keys of two clients may be equal, and the database
        # should not hold values that clients may have derived from secrets.
        name = _digest(_principal_key(scope), key.encode("latin-1", "replace"))
        request = _digest(scope["method"].encode(), scope["path"].encode(), body)
        now = self._clock.now()
        # Claimed before the request is carried out: two copies that arrive at once must not both find the key unused.
        known = await anyio.to_thread.run_sync(self._table.claim_key, name, request, now, now - _KEPT_FOR)
        if known is not None:
            await _response_for(known, request)(scope, receive, send)
            return
        recorder = _Recorder(send, partial(self._store, name, scope["path"]))
        try:
            await self._app(scope, receive, recorder)
        finally:
            await recorder.store()

    def _store(self, name: str, path: str, response: _Recorder) -> None:
        # A request that failed on our side may be repeated with the same key, so its response is not kept.
        if not 0 < response.status < 500:
            self._table.release_key(name)
            return
        body = "" if path.endswith(_SECRET_PATHS) else response.body.decode("utf-8", "replace")
        self._table.save_response(name, response.status, body)


class _Replay:
    """A `receive` that delivers a body which has already been read."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Recorder:
    """A `send` that records the response, and stores it before its last part is sent.

    A client that has the whole response may repeat the request at once; it must find the response stored then.
    """

    def __init__(self, send: Send, store: Callable[[_Recorder], None]) -> None:
        self._send = send
        self._store = store
        self._is_stored = False
        self.status = 0
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                await self.store()
        await self._send(message)

    async def store(self) -> None:
        """Store the response once, even if the client has gone away."""
        if self._is_stored:
            return
        self._is_stored = True
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._store, self)


def _response_for(known: IdempotentResponse, request: str) -> Response:
    if known.request != request:
        return problem(422, "This Idempotency-Key was used for another request. Use a new one.")
    if known.status is None:
        return problem(
            409,
            "The first request with this Idempotency-Key has not finished. Check whether it was carried out.",
        )
    if not known.body and known.status == 201:
        return problem(
            409,
            "The token was already created. Its secret was shown then and is not stored. Create another token.",
        )
    # So that a client can tell a repeated response from a first one.
    headers: dict[str, Any] = {"Idempotency-Replayed": "true"}
    kind = "application/problem+json" if known.status >= 400 else "application/json"
    return Response(known.body, known.status, headers, media_type=kind)


def _principal_key(scope: Scope) -> bytes:
    """The principal with its permissions: a stored response must not be served to anybody else, nor to the same
    principal once it has fewer permissions."""
    principal, token = scope["state"]["principal"], scope["state"]["token"]
    scopes = None if principal.scopes is None else sorted(principal.scopes)
    return repr((principal.name, principal.role.value, scopes, token.id if token else None)).encode()


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

"""Idempotency keys: a write that is sent again with the same `Idempotency-Key` is answered as the first time, and done
once. Answers are kept for a day."""

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
from orchestration.storage.access import AccessTable, KeptAnswer
from orchestration.web.intake import read_body
from orchestration.web.problems import of_error, problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_KEPT_FOR = timedelta(hours=24)
_LONGEST_KEY = 200
_MOST_BYTES = 2_000_000
# What is answered there is a secret, which is written down nowhere.
_SECRET = ("/tokens",)


class IdempotencyKeys:
    """Stands before the API's routes; also says how long a body may be."""

    def __init__(self, app: ASGIApp, table: AccessTable, clock: Clock) -> None:
        self._app = app
        self._table = table
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(Request(scope, receive), _MOST_BYTES)
        except PayloadRefusedError as error:
            await of_error(error)(scope, receive, send)
            return
        again = _Replay(body, receive)
        key = Headers(scope=scope).get("idempotency-key")
        if key is None or scope["state"]["principal"] is None:
            await self._app(scope, again, send)
        elif not 0 < len(key) <= _LONGEST_KEY:
            refusal = problem(422, f"expected an Idempotency-Key of at most {_LONGEST_KEY} characters, got another")
            await refusal(scope, receive, send)
        else:
            await self._once(scope, again, send, key, body)

    async def _once(self, scope: Scope, receive: Receive, send: Send, key: str, body: bytes) -> None:
        name = _digest(_whose(scope), key.encode("latin-1", "replace"))
        request = _digest(scope["method"].encode(), scope["path"].encode(), body)
        now = self._clock.now()
        known = await anyio.to_thread.run_sync(self._table.claim_key, name, request, now, now - _KEPT_FOR)
        if known is not None:
            await _answer(known, request)(scope, receive, send)
            return
        answer = _Kept(send, partial(self._keep, name, scope["path"]))
        try:
            await self._app(scope, receive, answer)
        finally:
            await answer.keep()

    def _keep(self, name: str, path: str, answer: _Kept) -> None:
        if not 0 < answer.status < 500:
            self._table.release_key(name)
            return
        body = "" if path.endswith(_SECRET) else answer.body.decode("utf-8", "replace")
        self._table.save_response(name, answer.status, body)


class _Replay:
    """A request's body, which has been read, for whoever reads it again."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Kept:
    """Sends an answer, and has it kept before its end is sent: who has it may ask again at once."""

    def __init__(self, send: Send, keep: Callable[[_Kept], None]) -> None:
        self._send = send
        self._keep = keep
        self._is_kept = False
        self.status = 0
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                await self.keep()
        await self._send(message)

    async def keep(self) -> None:
        """Keep it, once, whatever has come of it."""
        if self._is_kept:
            return
        self._is_kept = True
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._keep, self)


def _answer(known: KeptAnswer, request: str) -> Response:
    if known.request != request:
        return problem(422, "expected a new Idempotency-Key for another request, got one that was used; take another")
    if known.status is None:
        return problem(
            409,
            "the first request with this Idempotency-Key has no answer yet; look whether it was done",
        )
    if not known.body and known.status == 201:
        return problem(409, "this was done already; its secret was shown then, and is kept nowhere: make another")
    headers: dict[str, Any] = {"Idempotency-Replayed": "true"}
    kind = "application/problem+json" if known.status >= 400 else "application/json"
    return Response(known.body, known.status, headers, media_type=kind)


def _whose(scope: Scope) -> bytes:
    """Who asks, with what they may do: an answer is for nobody else, nor for them when they may do less."""
    principal, token = scope["state"]["principal"], scope["state"]["token"]
    scopes = None if principal.scopes is None else sorted(principal.scopes)
    return repr((principal.name, principal.role.value, scopes, token.id if token else None)).encode()


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

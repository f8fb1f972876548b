"""The server's paths: a thin shell that reads a request, asks the scenes, lets a fault spoil what they say."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from orchestration.clock import Clock
from orchestration.drills.rehearsal import ollama_wire, openai_wire
from orchestration.drills.rehearsal.answer import Answer, count_tokens, fingerprint
from orchestration.drills.rehearsal.conversation import Conversation, read_conversation
from orchestration.drills.rehearsal.delivery import Delivery, Dialect, whole
from orchestration.drills.rehearsal.fault_desk import FaultDesk, FaultOrder
from orchestration.drills.rehearsal.faults import FAULTS, Injection, parse_fault
from orchestration.drills.rehearsal.journal import ChatCall, Journal
from orchestration.drills.rehearsal.names import FAULT_HEADER, MODEL, MODEL_PREFIX
from orchestration.drills.rehearsal.requests import ChatRequest, OllamaChatRequest
from orchestration.drills.rehearsal.scenes import answer
from orchestration.drills.rehearsal.sending import Line, Sending
from orchestration.errors import UsageError

_MODELS = (MODEL,)
_FAULT_MARK = "?fault="

Endpoint = Callable[[Request], Awaitable[Sending]]
Shape = TypeVar("Shape", bound=BaseModel)


class Endpoints:
    """The provider's paths and, under `/rehearsal/`, those by which tests look in and set faults.

    `latency` is in seconds, between two pieces of a stream.
    """

    def __init__(self, clock: Clock, faults: FaultDesk, journal: Journal, line: Line, latency: float) -> None:
        self._clock = clock
        self._faults = faults
        self._journal = journal
        self._line = line
        self._latency = latency

    def app(self) -> Starlette:
        """The whole as an ASGI application."""
        now = self._clock.now
        routes = [
            self._plain("/", ollama_wire.running),
            self._plain("/api/version", ollama_wire.version),
            self._plain("/api/tags", lambda: ollama_wire.installed(_MODELS, now())),
            self._plain("/api/ps", lambda: ollama_wire.loaded(_MODELS, now())),
            self._plain("/v1/models", lambda: openai_wire.models(_MODELS)),
            self._provider("/api/chat", self._ollama_chat, "POST"),
            self._provider("/v1/chat/completions", self._openai_chat, "POST"),
            Route("/rehearsal/stats", self._stats),
            Route("/rehearsal/calls", self._calls),
            Route("/rehearsal/faults", self._list_faults),
            Route("/rehearsal/faults", self._post_fault, methods=["POST"]),
            Route("/rehearsal/faults", self._clear_faults, methods=["DELETE"]),
        ]
        return Starlette(routes=routes, exception_handlers={UsageError: self._refused, HTTPException: self._not_served})

    def _provider(self, path: str, endpoint: Endpoint, method: str = "GET") -> Route:
        async def counted(request: Request) -> Sending:
            self._journal.add_request(path)
            return await endpoint(request)

        return Route(path, counted, methods=[method])

    def _plain(self, path: str, delivery: Callable[[], Delivery]) -> Route:
        async def endpoint(request: Request) -> Sending:
            injection = self._injection(request, role=None)
            return self._send(self._spoilt(delivery(), injection))

        return self._provider(path, endpoint)

    async def _openai_chat(self, request: Request) -> Sending:
        body = await _json(request)
        chat = _read(ChatRequest, body)

        def render(answered: Answer) -> Delivery:
            if not chat.stream:
                return openai_wire.completion(answered)
            usage = chat.stream_options is not None and chat.stream_options.include_usage
            return openai_wire.stream(answered, include_usage=usage, pause=self._latency)

        return self._chat(request, chat, fingerprint(body["messages"]), render)

    async def _ollama_chat(self, request: Request) -> Sending:
        body = await _json(request)
        chat = _read(OllamaChatRequest, body)

        def render(answered: Answer) -> Delivery:
            return ollama_wire.stream(answered, pause=self._latency) if chat.stream else ollama_wire.chat(answered)

        return self._chat(request, chat, fingerprint(body["messages"]), render)

    def _chat(self, request: Request, chat: ChatRequest, key: str, render: Callable[[Answer], Delivery]) -> Sending:
        model, _, asked_fault = chat.model.partition(_FAULT_MARK)
        if not model.startswith(MODEL_PREFIX):
            return self._send(_unknown_model(_dialect(request), model))
        conversation = read_conversation(chat)
        injection = self._injection(request, role=conversation.role, asked=asked_fault)
        name = injection.fault.name if injection else None
        self._journal.add_call(ChatCall(request.url.path, model, conversation.role, key, chat.stream, name))
        answered = self._answer(chat, conversation, model, key, injection)
        return self._send(self._spoilt(render(answered), injection))

    def _answer(
        self, chat: ChatRequest, conversation: Conversation, model: str, key: str, injection: Injection | None
    ) -> Answer:
        reply = answer(conversation)
        if injection:
            reply = injection.distort(reply, conversation)
        prompt_tokens = sum(count_tokens(message.text) for message in chat.messages)
        return Answer(reply, model, key, self._clock.now(), prompt_tokens)

    def _injection(self, request: Request, *, role: str | None, asked: str = "") -> Injection | None:
        """The fault for this request: its own first, then one that is in force."""
        own = request.headers.get(FAULT_HEADER) or asked
        injection = parse_fault(own) if own else self._faults.take(request.url.path, role)
        if injection:
            self._journal.add_fault(injection.fault.name)
        return injection

    def _spoilt(self, delivery: Delivery, injection: Injection | None) -> Delivery:
        return injection.spoil(delivery, self._clock.now()) if injection else delivery

    def _send(self, delivery: Delivery) -> Sending:
        return Sending(delivery, self._clock, self._line)

    async def _stats(self, _request: Request) -> Sending:
        return self._send(whole(self._journal.stats()))

    async def _calls(self, _request: Request) -> Sending:
        return self._send(whole({"calls": self._journal.calls()}))

    async def _list_faults(self, _request: Request) -> Sending:
        return self._send(whole({"kinds": list(FAULTS), "faults": self._faults.in_force()}))

    async def _post_fault(self, request: Request) -> Sending:
        order = _read(FaultOrder, await _json(request))
        if order.fault == "refuse":
            return self._close_port(order)
        self._faults.post(order)
        return await self._list_faults(request)

    def _close_port(self, order: FaultOrder) -> Sending:
        """Nobody who is refused can be counted, and nobody could take it back: only a time makes sense."""
        if order.seconds is None or order.count is not None or order.match is not None:
            raise UsageError('expected "seconds" alone with the fault refuse; the port is closed for everyone')
        self._journal.add_fault(order.fault)
        return self._send(replace(whole({"refusing_seconds": order.seconds}), refuse=order.seconds))

    async def _clear_faults(self, request: Request) -> Sending:
        self._faults.clear()
        return await self._list_faults(request)

    async def _refused(self, request: Request, error: Exception) -> Sending:
        return self._send(whole({}, _dialect(request)).error(400, str(error), kind="invalid_request_error"))

    async def _not_served(self, request: Request, error: Exception) -> Sending:
        status = error.status_code if isinstance(error, HTTPException) else 500
        message = f"expected one of the paths of this rehearsal server, got {request.method} {request.url.path}"
        return self._send(whole({}, _dialect(request)).error(status, message, kind="not_found_error"))


def _dialect(request: Request) -> Dialect:
    return Dialect.OLLAMA if request.url.path.startswith("/api/") else Dialect.OPENAI


def _unknown_model(dialect: Dialect, model: str) -> Delivery:
    message = f"expected a model whose name begins with {MODEL_PREFIX}, got {model!r}: this server rehearses only"
    return whole({}, dialect).error(404, message, kind="not_found_error", code="model_not_found")


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError as error:
        raise UsageError(f"expected a JSON body, got none that can be read: {error}") from error


def _read(shape: type[Shape], body: object) -> Shape:
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise UsageError(f"expected another value for {place}: {first['msg']}") from error

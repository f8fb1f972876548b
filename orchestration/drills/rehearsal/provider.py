"""The provider's own paths: read a request, ask the scenes, let a fault spoil what they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.routing import Route

from orchestration.clock import Clock
from orchestration.drills.rehearsal import ollama_wire, openai_wire
from orchestration.drills.rehearsal.answer import Answer, count_tokens, fingerprint
from orchestration.drills.rehearsal.bodies import as_shape, read_json
from orchestration.drills.rehearsal.conversation import Conversation, Reply, read_conversation
from orchestration.drills.rehearsal.delivery import Delivery, dialect_of, whole
from orchestration.drills.rehearsal.fault_desk import FaultDesk
from orchestration.drills.rehearsal.faults import Injection, parse_fault
from orchestration.drills.rehearsal.journal import ChatCall, Journal
from orchestration.drills.rehearsal.names import FAULT_HEADER, MODEL, MODEL_PREFIX
from orchestration.drills.rehearsal.requests import ChatRequest, OllamaChatRequest
from orchestration.drills.rehearsal.scenes import answer
from orchestration.drills.rehearsal.sending import Sending

_MODELS = (MODEL,)
_FAULT_MARK = "?fault="

Endpoint = Callable[[Request], Awaitable[Sending]]


class Provider:
    """What a client of OpenAI or Ollama expects to find. `latency` is in seconds, between two pieces of a stream."""

    def __init__(
        self,
        clock: Clock,
        faults: FaultDesk,
        journal: Journal,
        send: Callable[[Delivery], Sending],
        latency: float,
    ) -> None:
        self._clock = clock
        self._faults = faults
        self._journal = journal
        self._send = send
        self._latency = latency

    def routes(self) -> list[Route]:
        now = self._clock.now
        return [
            self._state("/", ollama_wire.running),
            self._state("/api/version", ollama_wire.version),
            self._state("/api/tags", lambda: ollama_wire.installed(_MODELS, now())),
            self._state("/api/ps", lambda: ollama_wire.loaded(_MODELS, now())),
            self._state("/v1/models", lambda: openai_wire.models(_MODELS)),
            self._counted("/api/chat", self._ollama_chat, "POST"),
            self._counted("/v1/chat/completions", self._openai_chat, "POST"),
        ]

    def _counted(self, path: str, endpoint: Endpoint, method: str) -> Route:
        async def counted(request: Request) -> Sending:
            self._journal.add_request(path)
            return await endpoint(request)

        return Route(path, counted, methods=[method])

    def _state(self, path: str, describe: Callable[[], Delivery]) -> Route:
        async def endpoint(request: Request) -> Sending:
            return self._finish(describe(), self._injection(request, role=None))

        return self._counted(path, endpoint, "GET")

    async def _openai_chat(self, request: Request) -> Sending:
        body = await read_json(request)
        chat = as_shape(ChatRequest, body)

        def render(answered: Answer) -> Delivery:
            if not chat.stream:
                return openai_wire.completion(answered)
            usage = chat.stream_options is not None and chat.stream_options.include_usage
            return openai_wire.stream(answered, include_usage=usage, pause=self._latency)

        return self._chat(request, chat, fingerprint(body["messages"]), render)

    async def _ollama_chat(self, request: Request) -> Sending:
        body = await read_json(request)
        chat = as_shape(OllamaChatRequest, body)

        def render(answered: Answer) -> Delivery:
            return ollama_wire.stream(answered, pause=self._latency) if chat.stream else ollama_wire.chat(answered)

        return self._chat(request, chat, fingerprint(body["messages"]), render)

    def _chat(self, request: Request, chat: ChatRequest, key: str, render: Callable[[Answer], Delivery]) -> Sending:
        path = request.url.path
        model, _, asked_fault = chat.model.partition(_FAULT_MARK)
        if not model.startswith(MODEL_PREFIX):
            return self._send(_unknown_model(path, model))
        conversation = read_conversation(chat)
        injection = self._injection(request, role=conversation.role, asked=asked_fault)
        name = injection.fault.name if injection else None
        self._journal.add_call(ChatCall(path, model, conversation.role, key, chat.stream, name))
        prompt_tokens = sum(count_tokens(message.text) for message in chat.messages)
        answered = Answer(_reply(conversation, injection), model, key, self._clock.now(), prompt_tokens)
        return self._finish(render(answered), injection)

    def _injection(self, request: Request, *, role: str | None, asked: str = "") -> Injection | None:
        """The fault for this request: its own first, then one that is in force."""
        own = request.headers.get(FAULT_HEADER) or asked
        injection = parse_fault(own) if own else self._faults.take(request.url.path, role)
        if injection:
            self._journal.add_fault(injection.fault.name)
        return injection

    def _finish(self, delivery: Delivery, injection: Injection | None) -> Sending:
        return self._send(injection.spoil(delivery, self._clock.now()) if injection else delivery)


def _reply(conversation: Conversation, injection: Injection | None) -> Reply:
    reply = answer(conversation)
    return injection.distort(reply, conversation) if injection else reply


def _unknown_model(path: str, model: str) -> Delivery:
    message = f"expected a model whose name begins with {MODEL_PREFIX}, got {model!r}: this server rehearses only"
    return whole({}, dialect_of(path)).error(404, message, kind="not_found_error", code="model_not_found")

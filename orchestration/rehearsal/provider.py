"""The provider's endpoints: read a request, let a scene answer it, and let a fault spoil the reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.routing import Route

from orchestration.clock import Clock
from orchestration.rehearsal import messages_wire, ollama_wire, openai_wire, responses_wire, scenes
from orchestration.rehearsal.answer import RehearsalAnswer, count_tokens, fingerprint
from orchestration.rehearsal.call_log import CallLog, ChatCall
from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest, read_conversation
from orchestration.rehearsal.fault_registry import FaultRegistry
from orchestration.rehearsal.faults import Injection, parse_fault
from orchestration.rehearsal.labels import FAULT_HEADER, MODEL, MODEL_PREFIX
from orchestration.rehearsal.messages_requests import MessagesRequest
from orchestration.rehearsal.request_bodies import as_shape, read_json
from orchestration.rehearsal.requests import OllamaChatRequest, WireChatRequest
from orchestration.rehearsal.responses_requests import WireResponsesRequest
from orchestration.rehearsal.transmission import Transmission
from orchestration.rehearsal.wire_reply import WireReply, dialect_of, whole

_MODELS = (MODEL,)
# For clients that cannot add a header: every one of them lets its user name a model.
_FAULT_MARK = "?fault="
_ENCRYPTED_THOUGHTS = "reasoning.encrypted_content"

Answer = Callable[[RehearsalRequest], RehearsalReply]
Endpoint = Callable[[Request], Awaitable[Transmission]]


class RehearsalEndpoints:
    """The endpoints of OpenAI, Anthropic and Ollama. `latency` is in seconds, between two pieces of a stream."""

    def __init__(
        self,
        clock: Clock,
        faults: FaultRegistry,
        call_log: CallLog,
        send: Callable[[WireReply], Transmission],
        latency: float,
        answer: Answer | None = None,
    ) -> None:
        self._clock = clock
        self._faults = faults
        self._call_log = call_log
        self._send = send
        self._latency = latency
        self._answer = answer or scenes.answer

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
            self._counted("/v1/messages", self._message, "POST"),
            self._counted("/v1/responses", self._response, "POST"),
        ]

    def _counted(self, path: str, endpoint: Endpoint, method: str) -> Route:
        async def counted(request: Request) -> Transmission:
            self._call_log.add_request(path)
            return await endpoint(request)

        return Route(path, counted, methods=[method])

    def _state(self, path: str, describe: Callable[[], WireReply]) -> Route:
        async def endpoint(request: Request) -> Transmission:
            return self._finish(describe(), self._injection(request, role=None))

        return self._counted(path, endpoint, "GET")

    async def _openai_chat(self, request: Request) -> Transmission:
        body = await read_json(request)
        chat = as_shape(WireChatRequest, body)

        def render(answered: RehearsalAnswer) -> WireReply:
            if not chat.stream:
                return openai_wire.completion(answered)
            usage = chat.stream_options is not None and chat.stream_options.include_usage
            return openai_wire.stream(answered, include_usage=usage, pause=self._latency)

        # The fingerprint is of the body as it was sent: fields that are not read here are missing from the validated
        # request, and two calls that differ in them alone would count as one made twice.
        return self._chat(request, chat, fingerprint(body["messages"]), render)

    async def _ollama_chat(self, request: Request) -> Transmission:
        body = await read_json(request)
        chat = as_shape(OllamaChatRequest, body)

        def render(answered: RehearsalAnswer) -> WireReply:
            return ollama_wire.stream(answered, pause=self._latency) if chat.stream else ollama_wire.chat(answered)

        return self._chat(request, chat, fingerprint(body["messages"]), render)

    async def _message(self, request: Request) -> Transmission:
        body = await read_json(request)
        asked = as_shape(MessagesRequest, body)

        def render(answered: RehearsalAnswer) -> WireReply:
            if asked.stream:
                return messages_wire.stream(answered, thinks=asked.thinks, pause=self._latency)
            return messages_wire.message(answered, thinks=asked.thinks)

        return self._chat(request, asked.as_chat(), fingerprint(body["messages"]), render)

    async def _response(self, request: Request) -> Transmission:
        body = await read_json(request)
        asked = as_shape(WireResponsesRequest, body)
        encrypts = _ENCRYPTED_THOUGHTS in asked.include

        def render(answered: RehearsalAnswer) -> WireReply:
            if asked.stream:
                return responses_wire.stream(answered, encrypts=encrypts, pause=self._latency)
            return responses_wire.response(answered, encrypts=encrypts)

        return self._chat(request, asked.as_chat(), fingerprint(body["input"]), render)

    def _chat(
        self, request: Request, chat: WireChatRequest, key: str, render: Callable[[RehearsalAnswer], WireReply]
    ) -> Transmission:
        path = request.url.path
        model, _, model_fault = chat.model.partition(_FAULT_MARK)
        # Refused before a fault is looked up: looking one up uses it up, and this call fails anyway.
        if not model.startswith(MODEL_PREFIX):
            return self._send(_unknown_model(path, model))
        conversation = read_conversation(chat)
        injection = self._injection(request, role=conversation.role, model_fault=model_fault)
        name = injection.fault.name if injection else None
        # Recorded before anything is sent: a call that a fault leaves without an answer was made all the same.
        self._call_log.add_call(ChatCall(path, model, conversation.role, key, chat.stream, name))
        prompt_tokens = sum(count_tokens(message.text) for message in chat.messages)
        answered = RehearsalAnswer(self._reply(conversation, injection), model, key, self._clock.now(), prompt_tokens)
        return self._finish(render(answered), injection)

    def _injection(self, request: Request, *, role: str | None, model_fault: str = "") -> Injection | None:
        """The fault for this request: the one that it names, else one that is in force."""
        own = request.headers.get(FAULT_HEADER) or model_fault
        injection = parse_fault(own) if own else self._faults.next_for(request.url.path, role)
        if injection:
            self._call_log.add_fault(injection.fault.name)
        return injection

    def _reply(self, conversation: RehearsalRequest, injection: Injection | None) -> RehearsalReply:
        reply = self._answer(conversation)
        return injection.distort(reply, conversation) if injection else reply

    def _finish(self, wire: WireReply, injection: Injection | None) -> Transmission:
        return self._send(injection.spoil(wire, self._clock.now()) if injection else wire)


def _unknown_model(path: str, model: str) -> WireReply:
    message = f"expected a model whose name begins with {MODEL_PREFIX}, got {model!r}: there is no real model here"
    return whole({}, dialect_of(path)).error(404, message, kind="not_found_error", code="model_not_found")

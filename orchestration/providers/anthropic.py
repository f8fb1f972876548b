"""Anthropic by its own API: https://platform.claude.com/docs/en/api/messages.

Requests come in the chat format and are translated; one that came in Anthropic's own API is sent as it is, so that
nothing of it is lost.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import httpx2

from orchestration.config.credentials import CredentialSource
from orchestration.config.providers.settings import ProviderSettings
from orchestration.providers.anthropic_answer import LAST_EVENTS, EventReading, chat_answer
from orchestration.providers.anthropic_request import messages_request, signed_turns, unthought_request
from orchestration.providers.dialects.dialect import refuses_adaptive_thinking, refuses_thoughts
from orchestration.providers.endpoint import (
    ANTHROPIC_VERSION,
    CallFailed,
    Endpoint,
    EndpointResponse,
    check_status,
    read_chunks,
    read_document_of,
    without_fields,
)
from orchestration.providers.failures import Failure
from orchestration.providers.translated_call import translating_answer, translating_request
from orchestration.providers.wire import SEALED_THOUGHTS, ChatBody, NativeRequest

# Under these names a request in Anthropic's own form is put beside its translation.
_NATIVE, _HEADERS = "anthropic_request", "anthropic_headers"
# The API demands a limit. Every model since 2024 writes this much; the list of models says what a newer one can.
_LEAST_ANSWER, _MOST_ANSWER = 8192, 32_000


class AnthropicEndpoint(Endpoint):
    """`/v1/messages` for work, `/v1/models` as the probe."""

    hint = "check ANTHROPIC_API_KEY in .env, and the address if the section gives one"

    def __init__(self, name: str, settings: ProviderSettings, credentials: CredentialSource) -> None:
        super().__init__(name, settings, credentials)
        self._answers: dict[str, int] = {}
        # Models that think by a budget: those from before adaptive thinking.
        self._by_budget: set[str] = set()

    def chat_url(self, model: str) -> str:  # noqa: ARG002
        return f"{self._root}/v1/messages"

    def probe_url(self) -> str:
        # Its pages have 20 models unless more are asked for: https://platform.claude.com/docs/en/api/models/list.
        return f"{self._root}/v1/models?limit=1000"

    async def headers(self) -> dict[str, str]:
        key = self.api_key()
        return {"anthropic-version": ANTHROPIC_VERSION, **({"x-api-key": key} if key else {})}

    def adapted(self, body: ChatBody, native: NativeRequest | None) -> ChatBody:
        return body if native is None else {**body, _NATIVE: native.body, _HEADERS: native.headers}

    def check_probe(self, body: bytes) -> None:
        super().check_probe(body)
        self._answers |= _listed_answers(json.loads(body))

    @asynccontextmanager
    async def chat(self, model: str, body: Mapping[str, Any], now: datetime) -> AsyncIterator[EndpointResponse]:
        more = body.get(_HEADERS) or {}
        async with AsyncExitStack() as stack:
            try:
                request = self._messages_request(model, body)
                response = await stack.enter_async_context(self._sent(self.chat_url(model), request, more))
                await check_status(response, now)
            except CallFailed as error:
                other = self._put_otherwise(model, body, error.failure)
                if other is None:
                    raise
                await stack.aclose()
                request = self._messages_request(model, other)
                response = await stack.enter_async_context(self._sent(self.chat_url(model), request, more))
                await check_status(response, now)
            yield await self._native_answer(response)

    def _messages_request(self, model: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The request as Anthropic reads it. Raises CallFailed if it cannot be put so."""
        streams = {"stream": True} if self.settings.streaming else {}
        native: Mapping[str, Any] | None = body.get(_NATIVE)
        if native is not None:
            set_for_model = {name: body[name] for name in ("temperature", "top_p") if name in body}
            return {**set_for_model, **native, "messages": signed_turns(native["messages"]), "model": model, **streams}
        most = min(self._answers.get(model, _LEAST_ANSWER), _MOST_ANSWER)
        with translating_request("Anthropic"):
            request = messages_request(body, most, adaptive=model not in self._by_budget)
        return {"model": model, **request, **streams}

    def _put_otherwise(self, model: str, body: Mapping[str, Any], failure: Failure) -> Mapping[str, Any] | None:
        """A refused request in the form in which this model may take it, if there is one."""
        if refuses_thoughts(failure):
            if _NATIVE in body:
                return {**body, _NATIVE: unthought_request(body[_NATIVE])}
            return without_fields(body, SEALED_THOUGHTS)
        return body if self._thinks_by_budget(model, body, failure) else None

    def _thinks_by_budget(self, model: str, body: Mapping[str, Any], failure: Failure) -> bool:
        """Whether a request was refused because this model knows no adaptive thinking, which is then remembered."""
        known = _NATIVE in body or model in self._by_budget
        if known or not refuses_adaptive_thinking(failure):
            return False
        self._by_budget.add(model)
        return True

    async def _native_answer(self, response: httpx2.Response) -> EndpointResponse:
        # A proxy may ignore `stream` and answer with one object; the content type tells.
        if self.settings.streaming and "json" not in response.headers.get("content-type", ""):
            return EndpointResponse(response.headers, None, _chunks(response))
        data = read_document_of(await response.aread())
        with translating_answer("the answer held no message"):
            return EndpointResponse(response.headers, chat_answer(data), None)

    @property
    def _root(self) -> str:
        # Anthropic's programs take the address without the version, its layer for OpenAI's clients with it.
        return self.base_url.removesuffix("/v1")


async def _chunks(response: httpx2.Response) -> AsyncIterator[Mapping[str, Any]]:
    reading = EventReading()
    async for event in read_chunks(response, LAST_EVENTS):
        with translating_answer("the stream held an event without its parts"):
            found = list(reading.chunks(event))
        for chunk in found:
            yield chunk


def _listed_answers(document: Any) -> dict[str, int]:
    """How long the answer of each model can get, as the list of models says."""
    models = document.get("data") if isinstance(document, dict) else None
    return {
        str(model.get("id")): model["max_tokens"]
        for model in (models if isinstance(models, list) else ())
        if isinstance(model, dict) and isinstance(model.get("max_tokens"), int) and model["max_tokens"] > 0
    }

"""OpenAI and Azure by the Responses API: https://developers.openai.com/api/docs/guides/migrate-to-responses.

Requests come in the chat format and are translated. Everything beside them (probes, embeddings, headers) is as in the
vendor's other API.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx2

from orchestration.config.credentials import CredentialSource
from orchestration.config.providers.settings import ProviderSettings
from orchestration.providers import classification
from orchestration.providers.azure import AzureEndpoint
from orchestration.providers.dialects.dialect import refuses_thoughts
from orchestration.providers.endpoint import (
    CallFailed,
    Endpoint,
    EndpointResponse,
    check_status,
    read_chunks,
    read_document_of,
    without_fields,
)
from orchestration.providers.failures import Failure
from orchestration.providers.responses_answer import LAST_EVENTS, ResponseEventReading, ResponseFailedError, chat_answer
from orchestration.providers.responses_request import ENCRYPTED_THOUGHTS, longest_answer, responses_request
from orchestration.providers.translated_call import translating_answer, translating_request
from orchestration.providers.wire import OUTPUT_OUTLINE, THINKING_BLOCKS

# "Encrypted content is not supported with this model."; servers that know no `include` name that.
_NO_ENCRYPTED = re.compile(rf"(?i)encrypted.?content|{re.escape(ENCRYPTED_THOUGHTS)}|\binclude\b")
# What refusals call the fields that the request had under these names in the chat format.
_IN_CHAT = {
    "text.format": "response_format", "text.verbosity": "verbosity", "reasoning.effort": "reasoning_effort",
    "max_output_tokens": "max_tokens",
}  # fmt: skip
_REFUSALS = (400, 404, 422)


class ResponsesEndpoint(Endpoint):
    """`/responses` for work."""

    foreign_fields = (THINKING_BLOCKS,)

    def __init__(self, name: str, settings: ProviderSettings, credentials: CredentialSource) -> None:
        super().__init__(name, settings, credentials)
        # Models that give no thoughts to be sent back: those that do not think.
        self._without_thoughts: set[str] = set()

    def responses_url(self, model: str) -> str:
        """The URL of requests."""
        return self.chat_url(model).replace("/chat/completions", "/responses")

    @asynccontextmanager
    async def chat(self, model: str, body: Mapping[str, Any], now: datetime) -> AsyncIterator[EndpointResponse]:
        async with AsyncExitStack() as stack:
            try:
                response = await self._asked(stack, model, body, now)
            except CallFailed as error:
                if refuses_thoughts(error.failure):
                    body = without_fields(body, (OUTPUT_OUTLINE,))
                elif not self._gives_no_thoughts(model, error.failure):
                    raise CallFailed(_in_chat_words(error.failure)) from error
                await stack.aclose()
                response = await self._asked(stack, model, body, now)
            yield await self._read(response, longest_answer(body))

    async def _asked(
        self, stack: AsyncExitStack, model: str, body: Mapping[str, Any], now: datetime
    ) -> httpx2.Response:
        with translating_request("the Responses API"):
            request = {"model": model, **responses_request(body, encrypted=model not in self._without_thoughts)}
        streams = {"stream": True} if self.settings.streaming else {}
        response = await stack.enter_async_context(self._sent(self.responses_url(model), request | streams))
        await check_status(response, now)
        return response

    def _gives_no_thoughts(self, model: str, failure: Failure) -> bool:
        """Whether a request was refused because it asked for thoughts, which is then remembered for the model."""
        refused = failure.status in _REFUSALS and _NO_ENCRYPTED.search(failure.message)
        if model in self._without_thoughts or not refused:
            return False
        self._without_thoughts.add(model)
        return True

    async def _read(self, response: httpx2.Response, most: int | None) -> EndpointResponse:
        # A server may ignore `stream` and answer with one object; the content type tells.
        if self.settings.streaming and "json" not in response.headers.get("content-type", ""):
            return EndpointResponse(response.headers, None, _chunks(response, most))
        data = read_document_of(await response.aread())
        with translating_answer("the answer held no message"):
            try:
                return EndpointResponse(response.headers, chat_answer(data, most), None)
            except ResponseFailedError as error:
                raise CallFailed(classification.from_error(error.error)) from error


class AzureResponsesEndpoint(ResponsesEndpoint, AzureEndpoint):
    """The same at Azure, where the older address names no deployment: `model` in the request does."""

    def responses_url(self, model: str) -> str:
        if self.settings.api_version:
            return f"{self._resource}/openai/responses?api-version={self.settings.api_version}"
        return super().responses_url(model)


async def _chunks(response: httpx2.Response, most: int | None) -> AsyncIterator[Mapping[str, Any]]:
    reading = ResponseEventReading(most)
    async for event in read_chunks(response, LAST_EVENTS):
        with translating_answer("the stream held an event without its parts"):
            try:
                found = list(reading.chunks(event))
            except ResponseFailedError as error:
                raise CallFailed(classification.from_error(error.error)) from error
        for chunk in found:
            yield chunk


def _in_chat_words(failure: Failure) -> Failure:
    """The refusal with the names of the chat format, in which the request is put in another way."""
    message = failure.message
    for name, ours in _IN_CHAT.items():
        message = message.replace(name, ours)
    return replace(failure, message=message)

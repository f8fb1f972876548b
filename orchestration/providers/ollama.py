"""Ollama: chat through its OpenAI-compatible API, or through its own where the size of the context is given; probes
through its own.

https://docs.ollama.com/api/openai-compatibility, https://docs.ollama.com/api/chat and https://docs.ollama.com/api/tags.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx2

from orchestration.providers.endpoint import CallFailed, Endpoint, EndpointResponse, check_status, read_chunks
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.ollama_wire import NativeReading, loaded_windows, native_request, whole_answer
from orchestration.providers.translated_call import translating_request


class OllamaEndpoint(Endpoint):
    """`/v1/chat/completions` for work, or `/api/chat` for a request with `num_ctx`; `/api/tags` as the probe: unlike
    `/`, it fails when the models cannot be read."""

    hint = "start it with: ollama serve"

    def chat_url(self, model: str) -> str:  # noqa: ARG002
        return f"{self._root}/v1/chat/completions"

    def probe_url(self) -> str:
        # Not `/api/ps`: it lists the loaded models (https://docs.ollama.com/api/ps), and a healthy server that is idle
        # has none.
        return f"{self._root}/api/tags"

    async def read_windows(self, now: datetime) -> None:  # noqa: ARG002
        """Ask for the contexts that models are loaded with, which may be a small part of what they were made for:
        `context_length` in https://docs.ollama.com/api/ps."""
        async with self._connections.in_use():
            response = await self._probed(f"{self._root}/api/ps")
        if response.status_code == 200:
            with contextlib.suppress(ValueError):
                self.windows |= loaded_windows(json.loads(response.content))

    @asynccontextmanager
    async def chat(self, model: str, body: Mapping[str, Any], now: datetime) -> AsyncIterator[EndpointResponse]:
        if "num_ctx" not in body:
            async with super().chat(model, body, now) as answer:
                yield answer
            return
        with translating_request("Ollama"):
            request = native_request(model, body) | {"stream": self.settings.streaming}
        async with self._sent(f"{self._root}/api/chat", request) as response:
            await check_status(response, now)
            yield await self._native(response)

    async def _native(self, response: httpx2.Response) -> EndpointResponse:
        if self.settings.streaming:
            return EndpointResponse(response.headers, None, _native_chunks(response))
        parts = [part async for part in read_chunks(response)]
        if not parts:
            raise CallFailed(Failure(FailureKind.MALFORMED, "the answer was empty", 200))
        return EndpointResponse(response.headers, whole_answer(parts[-1]), None)

    @property
    def _root(self) -> str:
        # People name either address: that of Ollama's own API, or that of the OpenAI-compatible one.
        return self.base_url.removesuffix("/v1")


async def _native_chunks(response: httpx2.Response) -> AsyncIterator[Mapping[str, Any]]:
    reading = NativeReading()
    async for part in read_chunks(response):
        yield reading.chunk(part)

"""Ollama: chat by its OpenAI-compatible address, probes by its own."""

from __future__ import annotations

from orchestration.providers.endpoint import Endpoint


class OllamaEndpoint(Endpoint):
    """Ollama, source at v0.33: `/v1/chat/completions` for work, `/api/tags` to see whether it is there."""

    hint = "start it with: ollama serve"

    def chat_url(self, model: str) -> str:  # noqa: ARG002
        return f"{self._root}/v1/chat/completions"

    def probe_url(self) -> str:
        return f"{self._root}/api/tags"

    @property
    def _root(self) -> str:
        return self.base_url.removesuffix("/v1")

"""Ollama: chat through its OpenAI-compatible API, probes through its own.

https://docs.ollama.com/api/openai-compatibility and https://docs.ollama.com/api/tags.
"""

from __future__ import annotations

from orchestration.providers.endpoint import Endpoint


class OllamaEndpoint(Endpoint):
    """`/v1/chat/completions` for work, `/api/tags` as the probe: unlike `/`, it fails when the models cannot be
    read."""

    hint = "start it with: ollama serve"

    def chat_url(self, model: str) -> str:  # noqa: ARG002
        return f"{self._root}/v1/chat/completions"

    def probe_url(self) -> str:
        # Not `/api/ps`: it lists the loaded models (https://docs.ollama.com/api/ps), and a healthy server that is idle
        # has none.
        return f"{self._root}/api/tags"

    @property
    def _root(self) -> str:
        # People name either address: that of Ollama's own API, or that of the OpenAI-compatible one.
        return self.base_url.removesuffix("/v1")

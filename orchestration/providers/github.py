"""GitHub Models, which was retired on 2026-07-30 and answers 410 for good. Kept because configurations name it."""

from __future__ import annotations

from orchestration.providers.endpoint import Endpoint


class GitHubEndpoint(Endpoint):
    """`/inference/chat/completions` and `/catalog/models` under the base URL, with a bearer token."""

    hint = "GitHub Models was retired on 2026-07-30; use Azure AI Foundry or any OpenAI-compatible server instead"

    def chat_url(self, model: str) -> str:  # noqa: ARG002
        return f"{self.base_url}/inference/chat/completions"

    def probe_url(self) -> str:
        return f"{self.base_url}/catalog/models"

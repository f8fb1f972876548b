"""The addresses that belong to the gateway endpoint: OpenAI's, and Azure's for its clients."""

from __future__ import annotations

PREFIXES = ("/v1/", "/openai/")

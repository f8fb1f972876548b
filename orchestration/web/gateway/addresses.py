"""The addresses that belong to the gateway endpoint: OpenAI's, Anthropic's, and Azure's for its clients."""

from __future__ import annotations

from collections.abc import Mapping

PREFIXES = ("/v1/", "/openai/")
MESSAGES = "/v1/messages"
_OPENAIS = ("/v1/chat/", "/v1/embeddings", "/v1/responses", "/openai/")


def speaks_messages(path: str, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a client of Anthropic's API. Its clients send the version with every request, which
    decides where both vendors have the address."""
    if path == MESSAGES or path.startswith(f"{MESSAGES}/"):
        return True
    return "anthropic-version" in headers and not path.startswith(_OPENAIS)

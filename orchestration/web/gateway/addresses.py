"""The addresses that belong to the gateway endpoint: those of OpenAI, Azure, Anthropic and Ollama."""

from __future__ import annotations

from collections.abc import Mapping

OLLAMAS = ("/api/chat", "/api/generate", "/api/embed", "/api/tags", "/api/version")
PREFIXES = ("/v1/", "/openai/", *OLLAMAS)
MESSAGES = "/v1/messages"
_OPENAIS = ("/v1/chat/", "/v1/embeddings", "/v1/responses", "/openai/")


def speaks_messages(path: str, headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a client of Anthropic's API. Its clients send the version with every request, which
    decides where both vendors have the address."""
    if path == MESSAGES or path.startswith(f"{MESSAGES}/"):
        return True
    return "anthropic-version" in headers and not path.startswith(_OPENAIS)


def speaks_ollama(path: str) -> bool:
    """Whether an address is one of Ollama's API."""
    return path in OLLAMAS

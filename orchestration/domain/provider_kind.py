"""The kinds of providers that ship with the product."""

from __future__ import annotations

from enum import StrEnum


class ProviderKind(StrEnum):
    """A vendor's way to speak the OpenAI chat format: its addresses, headers and probes."""

    OLLAMA = "ollama"
    AZURE = "azure"
    GITHUB = "github"
    OPENAI = "openai"
    REHEARSAL = "rehearsal"

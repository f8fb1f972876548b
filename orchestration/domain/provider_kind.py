"""The kinds of providers that ship with the product."""

from __future__ import annotations

from enum import StrEnum


class ProviderKind(StrEnum):
    """A vendor's API: its addresses, headers and probes, and how the chat format is put into it."""

    OLLAMA = "ollama"
    AZURE = "azure"
    GITHUB = "github"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    REHEARSAL = "rehearsal"

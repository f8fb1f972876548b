"""How the prompt cache of a provider is used."""

from __future__ import annotations

from enum import StrEnum


class PromptCacheMode(StrEnum):
    """What requests of agents tell a provider about its prompt cache: nothing, where the beginnings end that come again
    (Anthropic's models), or a key that those with the same beginning share (OpenAI, Mistral)."""

    AUTOMATIC = "automatic"
    BREAKPOINTS = "breakpoints"
    KEY = "key"

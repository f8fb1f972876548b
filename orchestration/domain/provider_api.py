"""The APIs by which a vendor's models can be asked."""

from __future__ import annotations

from enum import StrEnum


class ProviderApi(StrEnum):
    """Which API of a vendor requests are sent to: chat completions, or OpenAI's newer Responses API."""

    CHAT = "chat"
    RESPONSES = "responses"

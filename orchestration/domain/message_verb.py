"""What a person can do about an incident from a message, without signing in."""

from __future__ import annotations

from enum import StrEnum


class MessageVerb(StrEnum):
    """The verb that a signed link in a message stands for."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    ESCALATE = "escalate"

    @property
    def label(self) -> str:
        """The word on a button."""
        return self.value.capitalize()

"""Characters that arrive in halves. Pure.

Beyond the basic plane, JSON escapes a character as two surrogates. A server that cuts a model's text between them sends
one half in each of two deltas: neither has an encoding, and side by side in a Python text they are still two halves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")


def is_sound(text: str) -> bool:
    """Whether a text has an encoding."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def sound(text: str) -> str:
    """A text with its halves joined, and the mark for a lost character in the place of one without its other half."""
    return text if is_sound(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def sound_value(value: Any) -> Any:
    """A JSON value with every text in it made sound. Halves come from models and from the names of files, and neither
    UTF-8 nor a database accepts them."""
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, Mapping):
        return {sound_value(name): sound_value(one) for name, one in value.items()}
    return [sound_value(one) for one in value] if isinstance(value, list | tuple) else value


def _is_plain(delta: Mapping[str, Any]) -> bool:
    # A loop, because a generator costs more than the check, and this is done for every token.
    for text in delta.values():  # noqa: SIM110
        if isinstance(text, str) and not text.isascii():
            return False
    return True


class HalfCharacters:
    """Holds the first half of a character back until the delta with the second one comes."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    def whole(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        """A chunk of a stream with whole characters only."""
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        delta = choice.get("delta") if isinstance(choice, Mapping) else None
        if not isinstance(choice, Mapping) or not isinstance(delta, Mapping):
            return chunk
        if not self._held and _is_plain(delta):
            return chunk
        changed = {name: text for name in _TEXTS if (text := self._text(name, delta.get(name))) is not None}
        return {**chunk, "choices": [{**choice, "delta": {**delta, **changed}}]} if changed else chunk

    def _text(self, name: str, text: Any) -> str | None:
        """What is to be sent of a text; None if it may be sent as it is."""
        if not isinstance(text, str) or (name not in self._held and is_sound(text)):
            return None
        text = self._held.pop(name, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held[name], text = text[-1], text[:-1]
        return sound(text)

"""Text from models and files, made such that it can be stored and sent. Pure."""

from __future__ import annotations

from typing import Any


def sound(value: Any) -> Any:
    """A JSON value whose texts hold no half of a surrogate pair; models cut characters in two, file names hold any
    byte, and neither UTF-8 nor a database takes them."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {sound(key): sound(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sound(item) for item in value]
    return value

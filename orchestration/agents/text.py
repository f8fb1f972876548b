"""Text from models and files, made safe to store and send. Pure."""

from __future__ import annotations

from typing import Any


def sound(value: Any) -> Any:
    """A JSON value without unpaired surrogates. Models cut characters in two and file names contain any byte, and
    neither UTF-8 nor a database accepts those."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {sound(key): sound(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [sound(item) for item in value]
    return value


def excerpt(text: str, most: int) -> str:
    """The beginning of a text on one line, for a message that quotes it."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"

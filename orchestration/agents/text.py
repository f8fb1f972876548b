"""Text from models and files, for messages that quote it. Pure."""

from __future__ import annotations


def excerpt(text: str, most: int) -> str:
    """The beginning of a text on one line, for a message that quotes it."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"

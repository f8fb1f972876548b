"""Changing one variable of `.env` and leaving the rest as the user wrote it."""

from __future__ import annotations

import io
import re

from dotenv.parser import parse_stream

from orchestration.errors import UsageError

# What may come before the name: empty lines, and the word that a shell needs.
_START = re.compile(r"\s*(?:export\s+)?")
_BARE = re.compile(r"[A-Za-z0-9_./:@%+=,-]+")


def with_variable(text: str, name: str, value: str) -> str:
    """The text with a variable set. Of several lines that set it, the last counts, so only that one is changed.

    Raises UsageError for what cannot be written so that it is read back as it is, with everything else unchanged.
    """
    # In single quotes nothing is interpreted but a backslash: https://saurabh-kumar.com/python-dotenv/#file-format.
    quoted = value if _BARE.fullmatch(value) else "'" + value.replace("\\", "\\\\") + "'"
    line = f"{name}={quoted}"
    wanted = {**_values(text), name: value}
    # At the beginning as well: a quote that somebody forgot to close swallows what is appended.
    for changed in (_replaced(text, name, line), f"{line}\n{text}"):
        if _values(changed) == wanted:
            return changed
    raise UsageError(f"The value of {name} cannot be written into .env by a program. Put it there yourself.")


def _replaced(text: str, name: str, line: str) -> str:
    parts = [(binding.key, binding.original.string) for binding in parse_stream(io.StringIO(text))]
    places = [index for index, (key, _) in enumerate(parts) if key == name]
    if not places:
        joined = text if not text or text.endswith("\n") else text + "\n"
        return f"{joined}{line}\n"
    _, before = parts[places[-1]]
    start = _START.match(before)
    end = "\n" if before.endswith("\n") else ""
    parts[places[-1]] = (name, f"{start.group() if start else ''}{line}{end}")
    return "".join(part for _, part in parts)


def _values(text: str) -> dict[str, str]:
    bindings = parse_stream(io.StringIO(text))
    return {one.key: one.value for one in bindings if one.key is not None and one.value is not None}

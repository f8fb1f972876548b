"""How an entry looks: one line, whatever is in it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

# Longer texts are cut: a log line is no place for a whole document.
LONGEST_VALUE = 16_384

_BARE = re.compile(r"[\w.:/@+%,-]+", re.ASCII)
# JSON leaves these as they are, but terminals obey some of them and some readers break lines at others.
_CONTROLS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]")
_NUMBERS = frozenset({int, float, bool, type(None)})
# Made once: `json.dumps` makes a new one for every value that is not written in its usual way.
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
_FIRST = ("run", "agent", "provider", "model")
_ELSEWHERE = frozenset({"at", "level", "event", "logger", "origin", "message", "exception", *_FIRST})


def text_line(entry: Mapping[str, Any]) -> str:
    """`2026-11-24T13:45:01.123Z ERROR model_call.failed run=… agent=… message="…"`.

    What is worse than an error is called ERROR as well, since that is what people search for; the JSON line tells them
    apart.
    """
    level = "ERROR" if entry["level"] == "CRITICAL" else entry["level"]
    names = [
        name
        for name in entry
        if name not in {"at", "level", "event", "logger", "origin", *_FIRST, "message", "exception"}
    ]
    order = [*_FIRST, *names, "message", "exception"]
    fields = [f"{_name(name)}={_value(entry[name])}" for name in order if entry.get(name) is not None]
    return " ".join([entry["at"], level, _bare_or_quoted(str(entry["event"])), *fields])


def json_line(entry: Mapping[str, Any]) -> str:
    """The same entry as one JSON object."""
    return _escape(_encode(_cut(entry)))


def timestamp(moment: datetime) -> str:
    """UTC to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _bare_or_quoted(_cut(value))
    if type(value) is int:
        return str(value)
    text = _encode(_cut(value))
    return text if _BARE.fullmatch(text) else _quoted(text)


@lru_cache(maxsize=2_000)
def _name(name: str) -> str:
    return _bare_or_quoted(name)


def _bare_or_quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    return _escape(_encode(text))


def _escape(line: str) -> str:
    if line.isascii() and "\x7f" not in line:
        return line
    # A lone surrogate cannot be written as UTF-8.
    safe = line.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROLS.sub(lambda match: f"\\u{ord(match.group()):04x}", safe)


def _cut(value: Any) -> Any:
    # Most values are of these types themselves, for which an abstract class need not be asked.
    if type(value) in _NUMBERS:
        return value
    if isinstance(value, str):
        too_long = len(value) - LONGEST_VALUE
        return f"{value[:LONGEST_VALUE]}… ({too_long} more characters)" if too_long > 0 else value
    if isinstance(value, dict | Mapping):
        return {str(key): _cut(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(inner) for inner in value]
    return value

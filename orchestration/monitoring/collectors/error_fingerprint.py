"""What makes two error lines the same error. Pure.

Numbers, identifiers, paths, addresses and quoted text change from one occurrence to the next and are taken out; the
words around them stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

# What is put in their place holds nothing that any of these would match again.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # In this order: a URL or a quoted text goes as a whole, before its parts look like paths or numbers.
    (re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s'\"<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`"), "<text>"),
    (re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"\b[a-z]{2,12}-[0-9a-hjkmnp-tv-z]{14}(?:\.[\w.-]*)?"), "<id>"),
    (re.compile(r"(?:[\w.~-]*/)+[\w.~-]+/?"), "<path>"),
    (re.compile(r"\b(?:0x)?(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)
_MOST_CHARACTERS = 2000


def normalised(text: str) -> str:
    """The text without what changes from one occurrence to the next; normalising again changes nothing."""
    before, after = None, text[:_MOST_CHARACTERS].strip()
    # A rule may join what another then matches; each pass only takes away, so this comes to an end.
    while before != after:
        before = after
        for pattern, place in _RULES:
            after = pattern.sub(place, after)
    return after


def fingerprint(entry: Mapping[str, Any]) -> str:
    """Who a log entry is: twelve hexadecimal digits from its event, its message and the last line of its exception."""
    # The frames above the last line change with every release; the last line says what the error was.
    exception = str(entry.get("exception") or "").strip().rpartition("\n")[2]
    message = entry.get("message") or entry.get("reason") or entry.get("detail") or ""
    parts = (str(entry.get("event") or ""), str(message), exception)
    return hashlib.sha256("\n".join(normalised(part) for part in parts).encode()).hexdigest()[:12]

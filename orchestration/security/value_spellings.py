"""The forms in which a known value occurs in texts: plain, escaped, encoded, or in the middle of something encoded.

Base64 spells a value in three ways, by its place in what is encoded. The first and last characters also depend on what
is beside the value and are left out; without the others they tell nothing.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

# Shorter values, and shorter pieces of encoded ones, also occur in harmless text.
MINIMUM_LENGTH = 6

_BITS = 8
_BITS_OF_A_LETTER = 6
_ESCAPE = re.compile(r"%[0-9A-F]{2}|\\u[0-9a-f]{4}|&#x[0-9a-f]+;")
# Without those whose backslash is escaped, and a part of the value.
_OUTER_ESCAPE = re.compile(r"%[0-9A-F]{2}|(?<!\\)(?:\\\\)*\\u[0-9a-f]{4}|&#x[0-9a-f]+;")
_JAVASCRIPT_SAFE = "!'()*~-_."
# What serialisers escape although JSON does not ask for it: a slash (PHP), what HTML gives a meaning (Go,
# https://pkg.go.dev/encoding/json#HTMLEscape), also quotes and plus (.NET,
# https://learn.microsoft.com/en-us/dotnet/standard/serialization/system-text-json/character-encoding).
_GO = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&"})
_NET = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&'+`"})


def spellings(value: str) -> frozenset[str]:
    """All forms of a value that are long enough to be told from harmless text."""
    every = {value, *_escaped(value), *_encoded(value)}
    return frozenset(form for form in every if len(form) >= MINIMUM_LENGTH)


def _escaped(value: str) -> Iterator[str]:
    forms = {
        *_in_json(value),
        *_in_html(value),
        *_in_addresses(value),
        "".join(f"\\x{byte:02x}" for byte in _bytes(value)),
        repr(value)[1:-1],
        repr(_bytes(value))[2:-1],
        shlex.quote(value).strip("'"),
    }
    for form in forms:
        yield form
        for escape in (_ESCAPE, _OUTER_ESCAPE):
            yield escape.sub(lambda found: found[0].swapcase().replace("\\U", "\\u").replace("&#X", "&#x"), form)


def _in_json(value: str) -> Iterator[str]:
    short, plain = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    yield from (short, plain, short.replace("/", "\\/"), short.translate(_GO), plain.translate(_GO))
    yield short.replace('\\"', "\\u0022").translate(_NET)
    yield json.dumps(short)[1:-1]
    yield "".join(f"\\u{unit:04x}" for unit in _utf16(value))


def _in_html(value: str) -> Iterator[str]:
    quoted = html.escape(value)
    yield from (quoted, html.escape(value, quote=False), quoted.replace("&#x27;", "&apos;"))
    yield quoted.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    yield quoted.replace("&#x27;", "&#39;")
    yield "".join(f"&#{ord(character)};" for character in value)
    yield "".join(f"&#x{ord(character):x};" for character in value)


def _in_addresses(value: str) -> Iterator[str]:
    for safe in ("", "/", _JAVASCRIPT_SAFE, _JAVASCRIPT_SAFE + ";/?:@&=+$,#"):
        yield quote(value, safe=safe, errors="replace")
    yield quote_plus(value, errors="replace")
    yield quote(quote(value, safe="", errors="replace"), safe="")
    yield "".join(f"%{byte:02X}" for byte in _bytes(value))


def _encoded(value: str) -> Iterator[str]:
    # PowerShell and .NET encode UTF-16.
    for data in (_bytes(value), value.encode("utf-16-le", "replace")):
        for form in (data.hex(), data.hex(":"), data.hex(" ")):
            yield form
            yield form.upper()
        for offset in range(3):
            padded = base64.b64encode(b"\0" * offset + data).decode()
            first = -(-offset * _BITS // _BITS_OF_A_LETTER)
            last = (offset + len(data)) * _BITS // _BITS_OF_A_LETTER
            yield padded[first:last]
            yield padded[first:last].replace("+", "-").replace("/", "_")
    yield base64.b32encode(_bytes(value)).decode().rstrip("=")[: len(_bytes(value)) * _BITS // 5]


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "replace")


def _utf16(value: str) -> Iterator[int]:
    data = value.encode("utf-16-be", "replace")
    yield from (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))

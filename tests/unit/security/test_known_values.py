"""Known values in everyday spellings: whatever a command, a library or a terminal makes of them."""

from __future__ import annotations

import base64
import html
import json
import random
import secrets
import shlex
import textwrap
import time
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestration.security.hidden_characters import seen_texts, unwrapped_texts
from orchestration.security.redaction import Redactor

_SHOWN = 5  # so many characters of a spelling tell too little

VALUES = st.one_of(
    st.from_regex(r"[A-Za-z0-9_+/=-]{8,48}", fullmatch=True),
    st.from_regex(r"[!-~]{8,30}", fullmatch=True),
    st.text(
        st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_categories=["C", "Z"]), min_size=8, max_size=24
    ),
)
# Each makes of a value what others make of it: by the standard library, not by the code under test.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": lambda value: json.dumps(value)[1:-1],
    "json in json": lambda value: json.dumps(json.dumps(value))[1:-1],
    "json of letters": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "json of php": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "json of go": lambda value: _escaped(value, "<>&", "04x"),
    "json of .net": lambda value: _escaped(value, "<>&'+`", "04X", plain=False).replace('\\"', "\\u0022"),
    "all escaped": lambda value: "".join(f"\\u{ord(one):04x}" for one in value),
    "all escaped in capitals": lambda value: "".join(f"\\u{ord(one):04X}" for one in value),
    "python": lambda value: repr(value)[1:-1],
    "python bytes": lambda value: repr(value.encode())[2:-1],
    "bytes": lambda value: "".join(f"\\x{one:02x}" for one in value.encode()),
    "shell": lambda value: shlex.quote(value).strip("'"),
    "url": lambda value: urllib.parse.quote(value, safe=""),
    "url path": urllib.parse.quote,
    "url in small letters": lambda value: _small(urllib.parse.quote(value, safe="")),
    "form": urllib.parse.quote_plus,
    "url twice": lambda value: urllib.parse.quote(urllib.parse.quote(value, safe=""), safe=""),
    "javascript url": lambda value: urllib.parse.quote(value, safe="!'()*~-_."),
    "all of url": lambda value: "".join(f"%{one:02X}" for one in value.encode()),
    "all of url in small letters": lambda value: "".join(f"%{one:02x}" for one in value.encode()),
    "html": html.escape,
    "html text": lambda value: html.escape(value, quote=False),
    "html of templates": lambda value: html.escape(value).replace("&#x27;", "&#39;"),
    "html numbers": lambda value: "".join(f"&#{ord(one)};" for one in value),
    "html hexadecimal": lambda value: "".join(f"&#x{ord(one):x};" for one in value),
    "hex": lambda value: value.encode().hex(),
    "hex in capitals": lambda value: value.encode().hex().upper(),
    "hex with colons": lambda value: value.encode().hex(":"),
    "hex with spaces": lambda value: value.encode().hex(" "),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 of a login": lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    "base64 of two": lambda value: base64.b64encode(f"it={value}&y=1".encode()).decode(),
    "base64 of three": lambda value: base64.b64encode(f"{{'a':'{value}'}}".encode()).decode(),
    "base64 for urls": lambda value: base64.urlsafe_b64encode(f"x{value}yz".encode()).decode(),
    "base64 of utf-16": lambda value: base64.b64encode(f"$p={value}".encode("utf-16-le")).decode(),
    "mail": lambda value: base64.encodebytes((f"user: me\npassword: {value}\n" + "x" * 80).encode()).decode(),
    "pem": lambda value: "\n".join(
        textwrap.wrap(base64.b64encode(b"\1" * 41 + value.encode() + b"\2" * 90).decode(), 64)
    ),
    "pem in json": lambda value: json.dumps(SPELLINGS["pem"](value)),
    "windows lines": lambda value: SPELLINGS["mail"](value).replace("\n", "\r\n"),
    "hex in lines": lambda value: "\n".join(textwrap.wrap((b"\1" * 25 + value.encode() + b"\2" * 40).hex(), 64)),
    "colours": lambda value: f"{value[:3]}\x1b[1;31m{value[3:6]}\x1b[0m{value[6:]}",
    "colours in json": lambda value: json.dumps(f"{value[:4]}\x1b[31m{value[4:]}"),
    "each letter coloured": lambda value: "".join(f"\x1b[3{at % 8}m{one}" for at, one in enumerate(value)),
    "zero width": "\u200b".join,
    "word joiners": lambda value: f"{value[:2]}\u2060{value[2:5]}\ufeff{value[5:]}",
    "zero width in json": lambda value: json.dumps("\u200b".join(value)),
    "link of a terminal": lambda value: f"{value[:4]}\x1b]8;;http://x\x07{value[4:]}",
    "coloured base64": lambda value: base64.b64encode(f"a:{value}".encode()).decode().replace("A", "\x1b[1mA"),
}


def _escaped(value: str, characters: str, digits: str, *, plain: bool = True) -> str:
    """JSON of serialisers that escape more than they have to."""
    shown = json.dumps(value, ensure_ascii=False)[1:-1]
    return "".join(
        f"\\u{ord(one):{digits}}" if one in characters or (not plain and not one.isascii()) else one for one in shown
    )


def _small(text: str) -> str:
    """An address with its escapes in small letters."""
    first, *others = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in others)])


def is_left(value: str, text: str) -> bool:
    """Whether a value can still be read from a text, by anybody who undoes the everyday encodings."""
    flat = "".join("".join(seen.text for seen in seen_texts(text)).split() or text.split())
    forms = {
        flat,
        html.unescape(flat),
        urllib.parse.unquote_plus(flat),
        urllib.parse.unquote(urllib.parse.unquote(flat)),
    }
    if value in "\n".join(forms):
        return True
    runs = "".join(one if one.isalnum() or one in "+/-_" else " " for one in flat).split()
    pieces = [value.encode()[at : at + 6] for at in range(0, len(value.encode()) - 6, 3)]
    decoded = [data for run in runs for data in _decodings(run)]
    return any(piece in data for piece in pieces for data in decoded)


def _decodings(run: str) -> list[bytes]:
    plain = run.replace("-", "+").replace("_", "/")
    found = [base64.b64decode((part := plain[at:])[: len(part) // 4 * 4]) for at in range(4)]
    if not set(run.lower()) - set("0123456789abcdef"):
        found.append(bytes.fromhex(run[: len(run) // 2 * 2]))
    return [*found, *(data.replace(b"\0", b"") for data in found)]


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(value=VALUES)
@settings(max_examples=30)
def test_no_everyday_spelling_of_a_known_value_passes(spelling: str, value: str) -> None:
    assume(len(set(value)) > _SHOWN)
    text = f"before {SPELLINGS[spelling](value)} after"
    redacted = Redactor([value]).text(text)
    assert "[redacted:" in redacted, text
    assert not is_left(value, redacted), (text, redacted)


# What some take for a character that is not seen, and what has a meaning beside it.
LIKE_NOTATIONS = [
    "\\e@",
    "\\e[",
    "\\u200b",
    "&shy;",
    "<wbr>",
    "\\x1b[",
    "\\033A",
    "&#8203;",
    "\\",
    "'",
    "a",
    "Z",
    "9",
    "=",
    "+",
]
# Codes that begin right behind a backslash of the value are read as a part of it.
AMBIGUOUS = {"colours in json"}


@pytest.mark.parametrize("spelling", sorted(SPELLINGS.keys() - AMBIGUOUS))
@given(
    value=st.lists(st.sampled_from(LIKE_NOTATIONS), min_size=4, max_size=10).map("".join).filter(lambda v: len(v) >= 8)
)
@settings(max_examples=20)
def test_a_value_may_hold_what_looks_like_a_hidden_character(spelling: str, value: str) -> None:
    assume(len(set(value)) > _SHOWN)
    redacted = Redactor([value]).text(f"before {SPELLINGS[spelling](value)} after")
    assert "[redacted:" in redacted
    assert not is_left(value, redacted), redacted


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_that_comes_in_parts_is_never_shown(spelling: str) -> None:
    value = secrets.token_urlsafe(18)
    text, redactor = f"it: {SPELLINGS[spelling](value)} and that is all of it.", Redactor([value])
    for end in range(len(text) + 1):
        assert not is_left(value, redactor.growing(text[:end])), text[:end]


def test_the_place_of_what_was_seen_is_known() -> None:
    text = "\x1b[1mab\u200bcd\x1b[0m ef"
    (seen,) = seen_texts(text)
    assert seen.text == "abcd ef"
    assert text[slice(*seen.span(0, 4))] == "ab\u200bcd"
    assert text[slice(*seen.span(5, 7))] == "ef"
    assert seen_texts("plain \\n text é") == ()
    assert unwrapped_texts("short\nlines\n") == ()


def seconds(redactor: Redactor, text: str) -> float:
    times = []
    for _ in range(4):
        start = time.process_time()
        redactor.find(text)
        times.append(time.process_time() - start)
    return min(times)


def test_hundreds_of_values_take_hardly_longer_than_one() -> None:
    rng = random.Random(secrets.randbits(32))
    text = (
        "2026-11-24T13:45:01.123Z ERROR model_call.failed run=run-1 agent=executor provider=ollama tokens=12\n" * 5000
    )
    few, many = (Redactor([f"{rng.getrandbits(120):x}" for _ in range(count)]) for count in (1, 400))
    assert seconds(many, text) < 3 * seconds(few, text) + 0.01

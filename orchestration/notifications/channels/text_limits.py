"""Shortening texts to the limits of vendors. Pure.

Nothing is cut inside what people see as one character, and what comes first is kept: every text of ours begins with
what matters most.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

ELLIPSIS = "…"
_JOINER = "\u200d"


def utf16_units(text: str) -> int:
    """The length in UTF-16 code units, in which JavaScript counts. Never less than the number of characters, so that a
    limit is kept whichever of the two a vendor means."""
    return sum(2 if ord(character) > 0xFFFF else 1 for character in text)


def shorten(text: str, limit: int, cost: Callable[[str], int] = utf16_units) -> str:
    """The text, or as much of its beginning as costs at most `limit`, with an ellipsis at the end.

    `cost` must be that of a text's parts added up.
    """
    kept: list[str] = []
    used, room, fitting = 0, limit - cost(ELLIPSIS), 0
    for cluster in clusters(text):
        used += cost(cluster)
        if used > limit:
            return "".join(kept[:fitting]) + ELLIPSIS if room >= 0 else ""
        kept.append(cluster)
        fitting += used <= room
    return text


def clusters(text: str) -> Iterator[str]:
    """The text in pieces that belong together: a letter with its accents, an emoji with its skin tone, a flag."""
    piece = ""
    for character in text:
        if piece and _belongs(piece, character):
            piece += character
            continue
        if piece:
            yield piece
        piece = character
    if piece:
        yield piece


def _belongs(piece: str, character: str) -> bool:
    # The cases of the extended grapheme clusters of Unicode (https://unicode.org/reports/tr29/) that occur in practice.
    if character == _JOINER or piece[-1] == _JOINER or piece + character == "\r\n":
        return True
    code = ord(character)
    if 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F:  # skin tones, and the tags of regional flags
        return True
    if _is_regional(character):
        return len(piece) % 2 == 1 and all(map(_is_regional, piece))
    return unicodedata.category(character) in ("Mn", "Me", "Mc")


def _is_regional(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF

"""Whether a value may be a secret, judged by its characters. Pure."""

from __future__ import annotations

import re

# Values that are no secrets: redacted already, references, placeholders, what code and manuals write there.
_NO_VALUE = re.compile(
    r"\s|[,;:.+)\]}]\s|\[(?:redacted:|[A-Z]+\])|[$<{%*…#]|\.{3}|-----|(?:None|null|nil|true|false|undefined|password|passwd|string|required|tiger)\b"
    r"|(?:self|os|settings|config|args|environ|process|req|request|this|app|ctx)\.|x{4}|(?:your|my|some|change)[ _-]",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?[0-9][0-9_,]{0,12}(?:\.[0-9]+)?[a-z%]{0,2}", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z]+(?:[ _./:-][A-Za-z]+)*[0-9]{0,2}")
_CODE = re.compile(r"[A-Za-z_][\w.]*[\[(].*")
_NAME = re.compile(r"[A-Za-z_$][\w.$]*")
_DOTTED = re.compile(r"[A-Za-z_]+(?:\.[A-Za-z_]+)+")
_PATH = re.compile(r"(?:~|[A-Za-z]:)?(?:[/\\][\w. -]*)+")
_SAYS_SECRET = re.compile(r"pass|pwd|secret|token|key|cred|auth", re.IGNORECASE)
_PROSE = re.compile(r"[a-z]+[.!?:)]*")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TURN = re.compile(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])")
_CASE_TURN = re.compile(r"[a-z](?=[A-Z])|[A-Z](?=[a-z])")
_PIECE = re.compile(r"[0-9A-Za-z]{10,}")
# A random text turns from letters to digits and back about once in four characters, a name with a number in it once.
# Between small letters and capitals it turns at every second, and `aNameLikeThis` at every fifth.
_TURNS = 3
_CASE_TURN_EVERY = 3
_DISTINCT = 8
# Words that are written together begin with one capital and go on with small letters: `aNameLikeThis`. Chance also puts
# capitals in a row beside small letters, a small letter between capitals, and single letters between signs. An
# abbreviation (`parseURLOf`) is one such place.
_ODD_CASE = re.compile(
    r"[A-Z]{2,}(?=[a-z])|(?<=[a-z])[A-Z]{2,}|(?<=[A-Z])[a-z](?=[A-Z_\W]|\Z)|(?<![A-Za-z])[a-z](?=[A-Z])"
    r"|(?<![A-Za-z])[A-Za-z](?![A-Za-z])"
)
_MOST_ODD_IN_WORDS = 1
# `lengths` is the word with the most.
_LOW_CONSONANTS = re.compile(r"(?!ngths)[b-df-hj-np-tv-xz]{5}")
_SHORTEST_SCRAMBLED = 16
# What manuals fill a token up with.
_FILLERS = "xX0*."


def is_placeholder(value: str) -> bool:
    """Whether something that is no value begins here: a reference, an example, what was redacted before."""
    return _NO_VALUE.match(value) is not None


def may_be_password(value: str) -> bool:
    """People choose passwords: nearly everything may be one."""
    if _PATH.fullmatch(value):  # `PWD` is also the working directory of a shell
        return looks_random(value)
    return not is_placeholder(value) and not _DOTTED.fullmatch(value)


def may_be_key(value: str) -> bool:
    """Machines make keys: there are digits in them, and more than a number or a name with a number."""
    if is_placeholder(value):
        return False
    if _is_scrambled(value):
        return True
    if not any(character.isdigit() for character in value):
        return looks_random(value)
    return not (_NUMBER.fullmatch(value) or _WORDS.fullmatch(value) or _CODE.fullmatch(value))


def is_name(value: str) -> bool:
    """Whether an unquoted value is the name of another value: `password=old_password`, `token=self.token`."""
    return _NAME.fullmatch(value) is not None and _SAYS_SECRET.search(value) is not None and not looks_random(value)


def reads_like_prose(value: str) -> bool:
    """Whether what comes after a colon may go on a sentence: small letters only."""
    return _PROSE.fullmatch(value) is not None


# Hardly a word has so many in a row, and hardly a random token has not. One in twenty keys of AWS has no digit.
_CONSONANTS = re.compile(r"[B-DF-HJ-NP-TV-XZ]{4}|(?i:[b-df-hj-np-tv-xz]{5})")
_CAPITAL_CONSONANTS = re.compile(r"[B-DF-HJ-NP-TV-XZ]{3}")


def has_randomness(token: str) -> bool:
    """Whether a token with the right beginning is more than words, or an example such as `AKIAXXXXXXXXXXXXXXXX`.

    Not judged any closer: what is redacted without need costs nothing, and the beginning says enough.
    """
    if any(token.count(filler) > len(token) // 2 for filler in _FILLERS):
        return False
    has_digit = any(character.isdigit() for character in token)
    # What comes behind the fixed letters, which are of one case.
    tail = token[token.rfind("_") + 1 :]
    crowded = _CAPITAL_CONSONANTS if token.isupper() else _CONSONANTS
    if has_digit or _changes_case(tail) or crowded.search(token) is not None:
        return True
    return len(_ODD_CASE.findall(token)) > _MOST_ODD_IN_WORDS


def _is_scrambled(value: str) -> bool:
    """Whether letters of both cases, with hardly a digit, are more than words that are written together."""
    if len(value) < _SHORTEST_SCRAMBLED or not value.isalnum() or value.isupper() or value.islower():
        return False
    return len(_ODD_CASE.findall(value)) > _MOST_ODD_IN_WORDS or _LOW_CONSONANTS.search(value) is not None


def looks_random(value: str) -> bool:
    """Whether a text can hardly be anything but random: digits and letters, or capitals and small ones, in turns."""
    if is_placeholder(value):
        return False
    if _UUID.search(value):
        return True
    return any(_is_random(piece) or _is_scrambled(piece) for piece in _PIECE.findall(value))


def _is_random(piece: str) -> bool:
    turns = len(_TURN.findall(piece)) >= _TURNS or (len(piece) > 2 * _DISTINCT and _changes_case(piece))
    return turns and len(set(piece)) >= _DISTINCT


def _changes_case(text: str) -> bool:
    return len(_CASE_TURN.findall(text)) * _CASE_TURN_EVERY >= len(text)

"""Assignments: one grammar of notations, times one vocabulary of names.

There are some ninety ways to write `password = "x"`: operators of languages (`:=`, `=>`, `?=`, `->`), quotes of all
kinds, a type in between, subscripts (`os.environ["X_TOKEN"] = …`), arguments (`setenv("X", "…")`), elements and
attributes of XML, pairs of a name and a value (`name: X`, `value: …`), options of commands (`--token …`), blocks of
YAML. The name ends in a word of the vocabulary; what is before that matters for keys only. What a value must look
like depends on the word: people choose passwords, machines make keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestration.security.secret_values import is_name, looks_random, may_be_key, may_be_password, reads_like_prose

_SPACE = r"[ \t]{0,16}+"
_QUOTE = r"(?:\\{0,3}[\"'`]|&(?:quot|apos|#0?39|#x27|#34);|%2[27])"
_PLAIN = r"[^\s\"'`,;&<>(){}\[\]|\\]"
# After the word: which of several it is, or where it belongs to.
_REST = (
    r"(?:s|[_.-]?[0-9]{1,3}|[_.-]?(?:value|prod(?:uction)?|stag(?:e|ing)|dev|test|live|base|string|text|raw|old|new))?+"
)
_TYPE = r"(?:\s?:\s?|(?<=[ \t]))[A-Za-z][\w.\[\]|<>?* ]{0,40}?"
_OPERATOR = r"(?:[:?.+|]{0,3}={1,3}+>?|[:=-]>|:|\|\||%3[ADad])"
_BLOCK = r"(?:[|>][-+]?[0-9]?\s{1,16}+)?"
_PREFIX = r"(?:[bBrRuUfL@N]{1,2}(?=\\{0,3}[\"'`]))?"
_TEXT = r"[^\"'`\\\r\n<>]"
_NO_CALL = r"(?![(\[])"


def _notations(minimum: int) -> str:
    """What may be between a name and its value, and the value: all alternatives, each in a group that names it."""
    close = rf"(?:{_QUOTE})?+{_SPACE}\]?"
    gap = rf"\s{{0,16}}+{_BLOCK}"
    # What is not quoted is on the same line: `PASSWORD=` without a value may be followed by another assignment.
    line = rf"(?:{_SPACE}[|>][-+]?[0-9]?\s{{1,16}}+|{_SPACE})"
    quoted = (
        rf"{close}(?:{_TYPE}{_SPACE}=|{_SPACE}{_OPERATOR}){gap}{_PREFIX}{_QUOTE}{{1,3}}"
        rf"(?P<quoted>{_TEXT}{{{minimum},512}}+)"
    )
    argument = rf"{_QUOTE}\s{{0,4}},\s{{0,4}}{_PREFIX}{_QUOTE}(?P<argument>{_TEXT}{{{minimum},512}}+)(?={_QUOTE})"
    bare = rf"{close}{_SPACE}(?:(?P<colon>:)|{_OPERATOR}(?!=)){line}(?P<bare>{_PLAIN}{{{minimum},512}}+){_NO_CALL}"
    typed = rf"{_TYPE}{_SPACE}={_SPACE}(?P<typed>{_PLAIN}{{{minimum},512}}+){_NO_CALL}"
    option = rf"[ \t]{{1,4}}+{_QUOTE}?+(?P<option>{_PLAIN}{{{minimum},512}}+)"
    element = rf"(?:[ \t][^<>\n]{{0,80}}+)?>\s{{0,64}}+(?P<element>[^<>\n]{{{minimum},512}}?)\s{{0,64}}+</"
    pair = (
        rf"(?:{_QUOTE})?[\s,;/<>]{{0,40}}+(?:{_QUOTE})?value(?:{_QUOTE})?{_SPACE}[=:]{_SPACE}{_QUOTE}?+"
        rf"(?P<pair>{_PLAIN}{{{minimum},512}}+)"
    )
    nodes = rf"</\w{{1,20}}+>\s{{0,64}}+<(?:value|string)>(?P<nodes>[^<>\n]{{{minimum},512}}+)</"
    return f"{quoted}|{pair}|{argument}|{element}|{nodes}|{bare}|{typed}|{option}"


@dataclass(frozen=True, slots=True)
class AssignedSecret:
    """A kind of secret that the name before it gives away: the last word of that name, by its anchors and as an
    expression, and what its values look like."""

    kind: str
    anchors: tuple[str, ...]
    expression: re.Pattern[str]
    is_value: Callable[[str], bool]
    owners: tuple[str, ...] = ()
    """What has to be before the word, where the word alone means little; else only a random value counts."""

    def accepts(self, text: str, found: re.Match[str]) -> bool:
        """Whether what the expression has found is a secret, by its name, its notation and its value."""
        notation = found.lastgroup or ""
        value, name = found[notation], _name_before(text, found.start())
        if notation == "option" and not _is_option(text, found.start() - len(name), name):
            return False
        if notation == "element" and _before(text, found.start() - len(name)) != "<":
            return False
        if notation not in _QUOTED and is_name(value):
            return False
        if notation == "argument" and value.replace("_", "").lstrip("-").isalpha() and not looks_random(value):
            return False  # a list of names, or of options
        if notation == "bare" and found["colon"] and _before(text, found.start() - len(name)) == "?":
            return False  # `hidden ? password : 12`, without its spaces
        if notation == "bare" and found["colon"] and reads_like_prose(value):
            return False
        if self.kind != "password" and name.rstrip(_SEPARATORS).lower().endswith("public"):
            return False
        if self.owners and not name.strip(_SEPARATORS).lower().endswith(self.owners):
            # The word before it in a line of a log is no part of the name: `status=initial key=…`.
            own = name.rsplit(" ", 1)[-1]
            return bool(own.strip(_SEPARATORS)) and not name.lower().endswith(_PUBLIC) and looks_random(value)
        return self.is_value(value)


_QUOTED = frozenset({"quoted", "argument", "element", "nodes"})
_SEPARATORS = "_.- "
_NAME = _SEPARATORS + ":$ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LONGEST_NAME = 64
# Keys of data, and those that everybody may know.
_PUBLIC = tuple(
    f"{word}{separator}"
    for word in "public primary foreign cache partition sort natural unique dedup index idempotency".split()  # noqa: SIM905
    for separator in ("", "_", "-", ".", " ")
)
# Words of command languages and configuration after which a name and a value come without an operator.
_SETTERS = re.compile(
    r"(?:^|[\s;&|(])(?:-{1,2}[\w.-]*|/|(?:set|setx|setenv|env|arg|export|config|login \S{1,64})\s[\w.:$-]*)$",
    re.IGNORECASE,
)


def _before(text: str, at: int) -> str:
    return text[at - 1 : at] if at else ""


def _name_before(text: str, at: int) -> str:
    """The part of a name that is before a place in it."""
    before = text[max(0, at - _LONGEST_NAME) : at]
    name = before[len(before.rstrip(_NAME)) :]
    # Of words in a sentence only the last belongs to the name: `the api key`.
    return " ".join(name.split(" ")[-2:])


def _is_option(text: str, start: int, name: str) -> bool:
    before = text[max(0, start - _LONGEST_NAME) : start] + name
    return _SETTERS.search(before) is not None


def _assigned(
    kind: str, anchors: str, word: str, is_value: Callable[[str], bool], minimum: int = 8, owners: str = ""
) -> AssignedSecret:
    expression = re.compile(f"{word}{_REST}(?:{_notations(minimum)})", re.IGNORECASE)
    return AssignedSecret(kind, tuple(anchors.split()), expression, is_value, tuple(owners.split()))


_OWNERS = (
    "api access secret private signing encryption encrypt auth service master shared session subscription routing "
    "account storage license app application client deploy webhook hmac jwt admin integration server function "
    "host consumer ssh sdk write ingest security crypto cookie user signature root merchant sas project team org "
    "tenant "
)

ASSIGNED_SECRETS = (
    _assigned("password", "pass pwd", r"(?:pass(?:word|wd|[_-]?phrase|code|wort)?|pwd)", may_be_password, 4),
    _assigned("api-key", "key", r"key(?:[_-]?(?:base|value|secret|b64|base64))?", may_be_key, owners=_OWNERS),
    _assigned("token", "token", "token", may_be_key),
    _assigned(
        "secret", "secret credential auth", r"(?:secret(?:[_-]?key)?(?:_base)?|credential|(?<=_)auth)", may_be_key
    ),
)

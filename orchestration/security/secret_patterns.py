"""What secrets look like: one table, from the formats that the vendors document.

Tokens that their own first letters give away are in `vendor_tokens`, values that a name gives away in
`secret_assignments`; here is what has a form of its own. Each kind has anchors, plain pieces of text without which it
cannot occur. Those are found fast, and the expression is tried only there. Every repetition is bounded and nearly all
are possessive, so no text is slow to search.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestration.security.secret_assignments import ASSIGNED_SECRETS
from orchestration.security.secret_values import is_placeholder

# A token does not begin inside a longer word.
_START = r"(?<![A-Za-z0-9_])"
_QUOTE = r"(?:\\{0,3}[\"'`])"  # a backslash before it in JSON within JSON
# Small letters alone are prose, or the name of a scheme.
_NOT_PROSE = r"(?-i:(?=[a-z]{0,255}+[^a-z\s\"',;.:!?)]))"


def _anything(_text: str, _found: re.Match[str]) -> bool:
    return True


def _value(_text: str, found: re.Match[str]) -> bool:
    """No placeholder, nor a reference to a value elsewhere."""
    return not is_placeholder(found["secret"])


@dataclass(frozen=True, slots=True)
class SecretPattern:
    """One kind of secret. Named groups mark the secret itself where the expression matches more than that; `accepts`
    has the last word."""

    kind: str
    anchors: tuple[str, ...]
    """In small letters; they are looked for in capitals, too."""
    expression: re.Pattern[str]
    accepts: Callable[[str, re.Match[str]], bool] = _anything


def _exact(kind: str, anchors: str, expression: str) -> SecretPattern:
    return SecretPattern(kind, tuple(anchors.split()), re.compile(expression))


def _context(
    kind: str, anchors: str, expression: str, accepts: Callable[[str, re.Match[str]], bool] = _value
) -> SecretPattern:
    """A value that something before it gives away, in capitals or not."""
    return SecretPattern(kind, tuple(anchors.split()), re.compile(expression, re.IGNORECASE), accepts)


_IS = rf"{_QUOTE}?\s{{0,2}}(?:[=:]|=>|,)\s{{0,2}}{_QUOTE}?"
_CREDENTIALS = r"://(?P<user>[^\s/:@\"'<>]{0,128}+):(?P<secret>[^\s/\"'<>]{1,256})@"
_DATABASE = re.compile(
    r"(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql|oracle|clickhouse)(?:\+\w{1,20}+)?$", re.IGNORECASE
)
_LONGEST_SCHEME = 40
_SHORTEST_LOGIN = 4
# What documentation writes in addresses, everywhere.
_EXAMPLES = frozenset({"scott:tiger", "user:pass", "user:password", "username:password", "me:pass", "test:test"})
_SCHEME = r"(?:(?:basic|bearer|token|digest|apikey|ssws|bot)\s{1,2}+)?+"

# The body of a key holds no five dashes. One that was cut off has no end: whole lines of base64 are taken, and what
# is left of the line after them.
_KEY_START = r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
# (Not one possessive repetition of both halves: that one is broken in Python 3.11.2, which is Debian's.)
_KEY_WITH_END = r"[^-]{0,16384}(?:-(?!----)[^-]{0,4096}){0,64}-----END [A-Z0-9 ]{0,40}-----"
_BREAK = r"(?:\s|\\[nr]){0,4}+"
_KEY_CUT_OFF = rf"(?:(?:{_BREAK}[A-Za-z0-9+/=]{{16,128}}+){{1,200}}+(?:{_BREAK}[A-Za-z0-9+/=]{{1,15}}+)?)?"

_SHAPED = (
    _exact("private-key", "-----begin", rf"{_KEY_START}(?:{_KEY_WITH_END}|{_KEY_CUT_OFF})"),
    # Our own: the link with which the first user is created.
    _exact("setup-link", "key", r"(?<=/setup\?)key=(?P<secret>[A-Za-z0-9_-]{20,64}+)"),
    _exact(
        "slack-webhook",
        "hook",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/+_-]{16,255}+)",
    ),
    _exact("teams-webhook", "hook", r"(?<=web)hook\.office\.com/(?P<secret>[A-Za-z0-9/@_-]{16,512}+)"),
    _context("discord-webhook", "hook", r"(?<=/api/web)hooks/(?P<secret>[0-9]{15,20}/[A-Za-z0-9_-]{40,100}+)"),
    _exact("jwt", "eyj", r"(?<![\w-])eyJ[\w-]{8,2048}+\.eyJ[\w/\\-]{8,8192}+(?:\.[\w/\\-]{0,2048}+=?)?"),
    # The same as base64 in base64: its header begins with `eyJ`, which becomes `ZXlK`.
    _exact("jwt", "zxlk", r"(?<![\w-])ZXlK[A-Za-z0-9+/_-]{40,8192}+={0,2}"),
)
_AROUND = (
    _context(
        "aws-secret-key",
        "secret",
        rf"secret_?access_?key{_IS}(?P<secret>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+])",
    ),
    _context(
        "azure-key",
        "key sig=",
        r"(?:(?:(?<=account)|(?<=sharedaccess))key|(?<=[?&])sig)=(?P<secret>[A-Za-z0-9%+/]{20,255}+={0,2})",
    ),
    _context("database-url", "://", _CREDENTIALS, lambda text, found: _in_url(text, found, database=True)),
    _context("url-password", "://", _CREDENTIALS, lambda text, found: _in_url(text, found, database=False)),
    _context(
        "authorization",
        "auth",
        rf"authorization{_IS}{_SCHEME}(?P<secret>{_NOT_PROSE}[\w.~+/=:@-]{{6,8192}}+)",
    ),
    _context(
        "bearer-token",
        "bearer",
        r"bearer(?:\s{1,2}+|%20|\+)(?P<secret>(?-i:(?=[a-z]{0,255}+[A-Z0-9_~+/=]))[\w.~+/=-]{8,8192}+)",
    ),
    _context("cookie", "cookie:", r"cookie:\s{0,2}(?P<secret>[^\s=;]{1,64}+=[^\s;\"']{6,4096}+)"),
    _context("cookie", "session=", r"session=(?P<secret>[A-Za-z0-9%._-]{24,4096}+)"),
    # curl and its like: `-u user:password`, `--user 'user:password'`.
    _context(
        "password",
        "-u",
        r"(?:(?<=\s)|(?<=\s-))-(?:user|u)[ =\t]{1,4}+(?:"
        r"\"(?P<double>[^\":\n]{0,128}+:[^\"\n]{0,256}+)\"|'(?P<single>[^':\n]{0,128}+:[^'\n]{0,256}+)'"
        r"|(?P<plain>[^\s:\"']{1,128}+:[\"']?[^\s\"']{3,256}+))",
        lambda _, found: _is_login(found[found.lastgroup or 0]),
    ),
)


def _in_url(text: str, found: re.Match[str], *, database: bool) -> bool:
    if is_placeholder(found["secret"]) or f"{found['user']}:{found['secret']}" in _EXAMPLES:
        return False
    before = text[max(0, found.start() - _LONGEST_SCHEME) : found.start()]
    return database == (_DATABASE.search(before) is not None)


def _is_login(value: str) -> bool:
    user, _, password = value.partition(":")
    if value in _EXAMPLES:
        return False
    return not is_placeholder(user) and not is_placeholder(password) and len(user + password) >= _SHORTEST_LOGIN


GIVEN_AWAY_BY_CONTEXT = frozenset(
    {"database-url", "url-password", "authorization", "bearer-token", "cookie", *(one.kind for one in ASSIGNED_SECRETS)}
)
# The order decides what an overlap is called: the more telling kind first.
PATTERNS: tuple[SecretPattern, ...] = (
    *_SHAPED,
    *_AROUND,
    *(SecretPattern(one.kind, one.anchors, one.expression, one.accepts) for one in ASSIGNED_SECRETS),
)

"""What secrets look like: one table, from the formats that the vendors document.

Each kind has anchors, plain pieces of text without which it cannot occur. Those are found fast, and the expression is
tried only there. Every repetition is bounded and nearly all are possessive, so no text is slow to search.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A token does not begin inside a longer word.
_START = r"(?<![A-Za-z0-9_])"
_DIGIT = r"(?=[A-Za-z_-]{0,255}+[0-9])"
# Values that are no secrets: redacted already, references, placeholders, what code writes there.
_NO_VALUE = r"(?!\[redacted:|[$<{%*…]|(?:None|null|true|false|password)\b|(?:self|os|settings|config|args|environ)\.)"
_PLAIN = r"[^\s\"'`,;&<>(){}\[\]|\\]"
_NO_CALL = r"(?![(\[])"
_QUOTE = r"\\{0,3}[\"']"  # a backslash before it in JSON within JSON
# In prose a colon after "password" means nothing; a value has a digit, a capital or a sign in it.
_NOT_PROSE = r"(?-i:(?=[a-z]{0,255}+[^a-z\s\"',;.:!?)]))"
_KEY_LIKE = r"(?=[^0-9\s\"']{0,255}+[0-9])(?![0-9]+(?:\.[0-9]+)?(?![\w-]))"


@dataclass(frozen=True, slots=True)
class SecretPattern:
    """One kind of secret. Named groups mark the secret itself where the expression matches more than that."""

    kind: str
    anchors: tuple[str, ...]
    expression: re.Pattern[str]
    any_case: bool = False


def _exact(kind: str, anchors: str, expression: str) -> SecretPattern:
    """A token that its own first letters give away."""
    return SecretPattern(kind, tuple(anchors.split()), re.compile(expression))


def _context(kind: str, anchors: str, expression: str) -> SecretPattern:
    """A value that something before it gives away, in capitals or not."""
    return SecretPattern(kind, tuple(anchors.split()), re.compile(expression, re.IGNORECASE), any_case=True)


def _named(kind: str, names: str, condition: str = "", minimum: int = 4) -> SecretPattern:
    """A value whose name gives it away: `name=value`, `"name": "value"`, `Name: value`."""
    alternatives = "|".join(re.escape(name) for name in names.split())
    start = rf"(?:{alternatives})(?:{_QUOTE})?\s{{0,2}}"
    guard = _NO_VALUE + condition
    quoted = rf"[=:]\s{{0,2}}{_QUOTE}(?P<quoted>{guard}[^\"'\\\n]{{{minimum},512}}+)"
    equal = rf"=\s{{0,2}}(?P<equal>{guard}{_PLAIN}{{{minimum},512}}+){_NO_CALL}"
    colon = rf":\s{{0,2}}(?P<colon>{guard}{_NOT_PROSE}{_PLAIN}{{{minimum},512}}+){_NO_CALL}"
    return _context(kind, names, f"{start}(?:{quoted}|{equal}|{colon})")


_IS = rf"(?:{_QUOTE})?\s{{0,2}}[=:]\s{{0,2}}(?:{_QUOTE})?"
_USER_AND_PASSWORD = rf"://[^\s/:@\"'<>]{{0,128}}+:(?P<secret>{_NO_VALUE}[^\s/\"'<>]{{1,256}})@"
_DATABASE = r"(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|mssql)(?:\+\w{1,20}+)?"
_SCHEME = r"(?:(?:basic|bearer|token|digest|apikey)\s{1,2}+)?+"

# The body of a key holds no five dashes. One that was cut off has no end: whole lines of base64 are taken, and what
# is left of the line after them.
_KEY_START = r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
# (Not one possessive repetition of both halves: that one is broken in Python 3.11.2, which is Debian's.)
_KEY_WITH_END = r"[^-]{0,16384}(?:-(?!----)[^-]{0,4096}){0,64}-----END [A-Z0-9 ]{0,40}-----"
_BREAK = r"(?:\s|\\[nr]){0,4}+"
_KEY_CUT_OFF = rf"(?:(?:{_BREAK}[A-Za-z0-9+/=]{{16,128}}+){{1,200}}+(?:{_BREAK}[A-Za-z0-9+/=]{{1,15}}+)?)?"

# The order decides what an overlap is called: the more telling kind first.
PATTERNS: tuple[SecretPattern, ...] = (
    _exact("private-key", "-----BEGIN", rf"{_KEY_START}(?:{_KEY_WITH_END}|{_KEY_CUT_OFF})"),
    _exact("aws-access-key", "AKIA ASIA", rf"{_START}(?:AKIA|ASIA)[A-Z0-9]{{16}}(?![A-Za-z0-9])"),
    _exact(
        "github-token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        rf"{_START}(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{{22,512}}+",
    ),
    # Our own: tokens of the API and the gateway, signed links in messages, and that which makes the first user.
    _exact("orchestrator-token", "orc_ orclink_", rf"{_START}orc(?:link)?_[A-Za-z0-9_-]{{40,1024}}+"),
    _exact("setup-link", "/setup?key=", r"/setup\?key=(?P<secret>[A-Za-z0-9_-]{20,64}+)"),
    _exact("gitlab-token", "glpat-", rf"{_START}glpat-[A-Za-z0-9_-]{{20,255}}+"),
    _exact("anthropic-key", "sk-ant-", rf"{_START}sk-ant-{_DIGIT}[A-Za-z0-9_-]{{20,255}}+"),
    _exact("openai-key", "sk-", rf"(?<![\w-])sk-{_DIGIT}[A-Za-z0-9_-]{{20,255}}+"),
    _exact(
        "slack-token",
        "xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- xapp-",
        rf"{_START}x(?:ox[abeprs]|app)-{_DIGIT}[A-Za-z0-9-]{{10,255}}+",
    ),
    _exact(
        "slack-webhook",
        "hooks.slack.com/",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/_-]{16,255}+)",
    ),
    _exact("teams-webhook", "webhook.office.com/", r"webhook\.office\.com/(?P<secret>[A-Za-z0-9/@_-]{16,512}+)"),
    _exact("google-api-key", "AIza", rf"{_START}AIza[A-Za-z0-9_-]{{35}}(?![A-Za-z0-9_-])"),
    _exact("google-token", "ya29.", rf"{_START}ya29\.[A-Za-z0-9_-]{{20,512}}+"),
    _exact(
        "stripe-key",
        "sk_live_ sk_test_ rk_live_ rk_test_ whsec_",
        rf"{_START}(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{{16,255}}+",
    ),
    _exact("sendgrid-key", "SG.", rf"{_START}SG\.[A-Za-z0-9_-]{{16,32}}+\.[A-Za-z0-9_-]{{32,64}}+"),
    _exact("npm-token", "npm_", rf"{_START}npm_[A-Za-z0-9]{{36}}(?![A-Za-z0-9])"),
    _exact("pypi-token", "pypi-AgEI", rf"{_START}pypi-AgEI[A-Za-z0-9_-]{{50,512}}+"),
    _exact("huggingface-token", "hf_", rf"{_START}hf_[A-Za-z0-9]{{30,64}}+"),
    _exact("jwt", "eyJ", r"(?<![\w-])eyJ[\w-]{8,2048}+\.eyJ[\w-]{8,8192}+\.[\w-]{8,2048}+"),
    _context(
        "aws-secret-key",
        "secret_access_key secretaccesskey",
        rf"secret_?access_?key{_IS}(?P<secret>[A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+])",
    ),
    _context(
        "azure-key",
        "accountkey= sharedaccesskey= sig=",
        r"(?:accountkey|sharedaccesskey|(?<=[?&])sig)=(?P<secret>[A-Za-z0-9%+/]{20,255}+={0,2})",
    ),
    _context(
        "database-url",
        "postgres mysql mariadb mongodb redis amqp mssql",
        _DATABASE + _USER_AND_PASSWORD,
    ),
    _context("url-password", "://", _USER_AND_PASSWORD),
    _context(
        "authorization",
        "authorization",
        rf"authorization{_IS}{_SCHEME}(?P<secret>{_NO_VALUE}{_NOT_PROSE}[\w.~+/=:-]{{6,8192}}+)",
    ),
    _context(
        "bearer-token",
        "bearer",
        r"bearer\s{1,2}+(?P<secret>(?-i:(?=[a-z]{0,255}+[A-Z0-9_~+/=]))[\w.~+/=-]{8,8192}+)",
    ),
    _context("cookie", "cookie:", rf"cookie:\s{{0,2}}(?P<secret>{_NO_VALUE}[^\s=;]{{1,64}}+=[^\s;\"']{{6,4096}}+)"),
    _named("password", "password passwd passphrase"),
    _named(
        "api-key",
        "api_key api-key apikey access_key access-key accesskey subscription_key subscription-key routing_key",
        _KEY_LIKE,
        minimum=8,
    ),
    _named("token", "token", _KEY_LIKE, minimum=8),
    _named("secret", "secret secret_key secret-key secretkey", _KEY_LIKE, minimum=8),
)

"""Which keys hold secrets, by their name, and which strings of a file are secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from orchestration.config.document import JsonPath

# Returns the parts of a text that look like secrets; empty if none do.
SecretFinder = Callable[[str], Sequence[object]]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_ONE_WORD = {
    "apikey", "authorization", "cookie", "credential", "credentials", "passphrase", "passwd", "password", "pwd",
    "secret", "token",
}  # fmt: skip
_TWO_WORDS = {
    ("access", "key"), ("account", "key"), ("api", "key"), ("connection", "string"), ("license", "key"),
    ("private", "key"), ("routing", "key"), ("secret", "key"), ("signing", "key"), ("subscription", "key"),
    ("webhook", "url"),
}  # fmt: skip
# Timeouts of a model call, in seconds; by their last word they would be secrets.
_NOT_SECRET = {("first", "token"), ("next", "token")}
# The name of a variable, as `apiKeyEnv` holds it, or a reference such as `${NAME}`.
_REFERENCE = re.compile(r"\$\{?\w+\}?|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|env:\w+")


@lru_cache(maxsize=2_000)
def names_a_secret(key: str) -> bool:
    """Whether the value of this key is probably secret: `apiKey`, `GITHUB_TOKEN`, `client-secret`."""
    words = tuple(word.lower() for word in _WORD.findall(key))
    if words[-2:] in _NOT_SECRET:
        return False
    return bool(words) and (words[-1] in _ONE_WORD or words[-2:] in _TWO_WORDS)


def literal_secrets(value: Any, find: SecretFinder, path: JsonPath = ()) -> Iterator[JsonPath]:
    """The paths of all secrets within a JSON value; the name of a variable is not one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from literal_secrets(inner, find, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from literal_secrets(inner, find, (*path, index))
    elif isinstance(value, str) and _is_secret(value, path, find):
        yield path


def _is_secret(text: str, path: JsonPath, find: SecretFinder) -> bool:
    if not text.strip() or _REFERENCE.fullmatch(text):
        # The name of a variable is what belongs here, even under a key that is called a secret.
        return False
    # An entry of a list has a number for a key; the list's own key says what it holds.
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    return names_a_secret(key) or bool(find(text))

"""Passwords, by scrypt with the parameters that OWASP's password storage cheat sheet gives for 16 MB of memory."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from orchestration.errors import UsageError

_N, _R, _P = 2**14, 8, 5
_LENGTH, _SALT = 32, 16
_LEAST, _MOST = 12, 256


def digest(password: str) -> str:
    """What is kept of a password: `scrypt$n$r$p$salt$key`. Takes about a fifth of a second of processor time."""
    salt = secrets.token_bytes(_SALT)
    # The parameters are part of it, so that they can be raised later without invalidating what is stored.
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(_key(password, salt, _N, _R, _P))))


def matches(password: str, kept: str) -> bool:
    """Whether it is the password that was kept so."""
    _, n, r, p, salt, key = kept.split("$")
    made = _key(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(made, base64.b64decode(key))


def checked(password: str) -> str:
    """The password, if it is long enough to be one. Raises UsageError, which does not repeat it."""
    if not _LEAST <= len(password) <= _MOST:
        raise UsageError(
            f"expected a password of {_LEAST} to {_MOST} characters, got {len(password)}; take a longer one"
        )
    if len(set(password)) < 5:
        raise UsageError(
            "expected a password that is hard to guess, got one of a few repeated characters; take another"
        )
    return password


# For a name that nobody has: refusing it takes as long as refusing a wrong password.
NOBODY = "$".join(("scrypt", str(_N), str(_R), str(_P), base64.b64encode(bytes(_SALT)).decode(),
                   base64.b64encode(bytes(_LENGTH)).decode()))  # fmt: skip


def _key(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # OpenSSL's own memory limit is 32 MiB (https://docs.python.org/3/library/hashlib.html#hashlib.scrypt), which would
    # leave no room for higher parameters.
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=64 * 2**20, dklen=_LENGTH)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()

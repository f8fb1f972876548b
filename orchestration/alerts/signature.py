"""Who may hand alerts in: a bearer token, or a body that is signed with a shared secret. Pure.

The signature is HMAC-SHA256, in hexadecimal digits, over the time of sending in Unix seconds, a full stop and the body.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256

from orchestration.alerts.payload import RefusedError

TIMESTAMP_HEADER = "x-orchestrator-timestamp"
SIGNATURE_HEADER = "x-orchestrator-signature"
_PREFIX = "sha256="
_NOT_PROVEN = 401


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature's header."""
    return _PREFIX + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()


def check_access(
    headers: Mapping[str, str], body: bytes, now: float, *, token: str | None, secret: str | None, replay_seconds: float
) -> None:
    """Whether the sender has proved who it is, by either way that is open. Raises RefusedError.

    `headers` have small letters; `now` is in Unix seconds. A signature that is older than `replay_seconds`, or as far
    in the future, is no longer good, so that what was overheard cannot be sent again later.
    """
    if not token and not secret:
        raise RefusedError(
            "the intake is closed; name a variable in alerting.intake.tokenEnv or secretEnv, and set it in .env", 403
        )
    if token and _has_token(headers.get("authorization", ""), token):
        return
    if secret and SIGNATURE_HEADER in headers:
        _check_signature(headers, body, now, secret, replay_seconds)
        return
    ways = " or ".join([*(["Authorization: Bearer …"] if token else []), *([SIGNATURE_HEADER] if secret else [])])
    raise RefusedError(f"expected a good {ways}, got none", _NOT_PROVEN)


def _has_token(header: str, token: str) -> bool:
    scheme, _, given = header.partition(" ")
    same = hmac.compare_digest(given.strip().encode(), token.encode())
    return same and scheme.lower() == "bearer"


def _check_signature(headers: Mapping[str, str], body: bytes, now: float, secret: str, replay_seconds: float) -> None:
    stamp = headers.get(TIMESTAMP_HEADER, "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise RefusedError(f"expected Unix seconds in {TIMESTAMP_HEADER}, got {stamp[:40]!r}", _NOT_PROVEN)
    good = hmac.compare_digest(headers[SIGNATURE_HEADER].strip().encode(), sign(secret, int(stamp), body).encode())
    if not good:
        raise RefusedError(
            "expected a signature over timestamp, full stop and body, got one that does not fit", _NOT_PROVEN
        )
    if abs(now - int(stamp)) > replay_seconds:
        raise RefusedError(
            f"expected a signature of the last {replay_seconds:.0f} s, got one of {abs(now - int(stamp)):.0f} s away; "
            "look at the clocks",
            _NOT_PROVEN,
        )

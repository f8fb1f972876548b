"""Authentication of alert sources: a token, or a body signed with a shared secret. Pure.

The signature is HMAC-SHA256, in hexadecimal digits, of the time of sending in Unix seconds, a full stop and the body.
The time is part of what is signed, so that a recorded delivery cannot be sent again later under a new time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from orchestration.alerts.payload import PayloadRefusedError

TIMESTAMP_HEADER = "x-orchestrator-timestamp"
SIGNATURE_HEADER = "x-orchestrator-signature"
_PREFIX = "sha256="
UNAUTHENTICATED = 401


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature's header."""
    return _PREFIX + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class WebhookAuth:
    """Accepts the token, a signature by the secret, or either; with neither configured, nothing. The token may be a
    bearer token (RFC 6750), or the password of any user (RFC 7617), as senders without bearer tokens send it.

    A signature is good for `replay_seconds` before and after its time, since clocks differ in both directions.
    """

    token: str | None
    secret: str | None
    replay_seconds: float

    def precheck(self, headers: Mapping[str, str], now: float) -> None:
        """Refuse a request without usable credentials, before its body is read. Raises PayloadRefusedError."""
        if not self.token and not self.secret:
            raise PayloadRefusedError(
                "the intake is closed; name a variable in alerting.intake.tokenEnv or secretEnv, and set it in .env",
                403,
            )
        if self.has_token(headers):
            return
        if not self.secret or SIGNATURE_HEADER not in headers:
            ways = ["Authorization: Bearer …"] if self.token else []
            ways += [SIGNATURE_HEADER] if self.secret else []
            raise PayloadRefusedError(f"a valid {' or '.join(ways)} header is required", UNAUTHENTICATED)
        check_age(unix_seconds(headers, TIMESTAMP_HEADER), now, self.replay_seconds)

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Check the token or the signature. Raises PayloadRefusedError."""
        # Checked again: the body may have taken long to arrive, and a caller may not have checked at all.
        self.precheck(headers, now)
        if self.has_token(headers):
            return
        expected = sign(self.secret or "", unix_seconds(headers, TIMESTAMP_HEADER), body)
        # In constant time: how long a comparison takes must not tell how much of a guess was right.
        if not hmac.compare_digest(headers[SIGNATURE_HEADER].strip().encode(), expected.encode()):
            raise PayloadRefusedError(
                "the signature is wrong; sign the timestamp, a full stop and the body", UNAUTHENTICATED
            )

    def has_token(self, headers: Mapping[str, str]) -> bool:
        """Whether the token is among the headers."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # Asked of every request, three times: only what is needed is decoded.
        match scheme.lower():
            case "bearer":
                read: bytes | None = given.strip().encode()
            case "basic":
                read = _password(given.strip())
            case _:
                read = None
        # In constant time, as below. An empty token, as an unset variable gives, must not match an empty header.
        return bool(self.token) and read is not None and hmac.compare_digest(read, (self.token or "").encode())


def check_age(stamp: int, now: float, at_most: float) -> None:
    """Refuse a signature whose time is too far away. Raises PayloadRefusedError."""
    age = abs(now - stamp)
    if age > at_most:
        raise PayloadRefusedError(
            f"the signature's time is {age:.0f} s away, and at most {at_most:.0f} s are allowed; check the clocks of "
            "both machines",
            UNAUTHENTICATED,
        )


def unix_seconds(headers: Mapping[str, str], name: str) -> int:
    """The time in a header. Raises PayloadRefusedError."""
    stamp = headers.get(name, "")
    # `isdigit` alone accepts digits of other scripts; a longer number would make `int` work for the sender.
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise PayloadRefusedError(f"expected Unix seconds in {name}, got {stamp[:40]!r}", UNAUTHENTICATED)
    return int(stamp)


def _password(given: str) -> bytes | None:
    """The password of basic authentication; None for what is not that."""
    try:
        _, found, password = base64.b64decode(given, validate=True).partition(b":")
    except (ValueError, binascii.Error):
        return None
    return password if found else None

"""Authentication of alert sources: a bearer token, or a body signed with a shared secret. Pure.

The signature is HMAC-SHA256, in hexadecimal digits, of the time of sending in Unix seconds, a full stop and the body.
The time is part of what is signed, so that a recorded delivery cannot be sent again later under a new time.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from orchestration.alerts.payload import PayloadRefusedError

TIMESTAMP_HEADER = "x-orchestrator-timestamp"
SIGNATURE_HEADER = "x-orchestrator-signature"
_PREFIX = "sha256="
_UNAUTHENTICATED = 401


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature's header."""
    return _PREFIX + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class WebhookAuth:
    """Accepts the token, a signature by the secret, or either; with neither configured, nothing.

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
        if self._has_token(headers):
            return
        if not self.secret or SIGNATURE_HEADER not in headers:
            ways = ["Authorization: Bearer …"] if self.token else []
            ways += [SIGNATURE_HEADER] if self.secret else []
            raise PayloadRefusedError(f"a valid {' or '.join(ways)} header is required", _UNAUTHENTICATED)
        age = abs(now - _timestamp(headers))
        if age > self.replay_seconds:
            raise PayloadRefusedError(
                f"the signature's time is {age:.0f} s away, and at most {self.replay_seconds:.0f} s are allowed; "
                "check the clocks of both machines",
                _UNAUTHENTICATED,
            )

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Check the token or the signature. Raises PayloadRefusedError."""
        # Checked again: the body may have taken long to arrive, and a caller may not have checked at all.
        self.precheck(headers, now)
        if self._has_token(headers):
            return
        expected = sign(self.secret or "", _timestamp(headers), body)
        # In constant time: how long a comparison takes must not tell how much of a guess was right.
        if not hmac.compare_digest(headers[SIGNATURE_HEADER].strip().encode(), expected.encode()):
            raise PayloadRefusedError(
                "the signature is wrong; sign the timestamp, a full stop and the body", _UNAUTHENTICATED
            )

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), (self.token or "").encode())
        # An empty token, as an unset variable gives, must not be matched by an empty header.
        return bool(self.token) and same and scheme.lower() == "bearer"


def _timestamp(headers: Mapping[str, str]) -> int:
    stamp = headers.get(TIMESTAMP_HEADER, "")
    # `isdigit` alone accepts digits of other scripts; a longer number would make `int` work for the sender.
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise PayloadRefusedError(f"expected Unix seconds in {TIMESTAMP_HEADER}, got {stamp[:40]!r}", _UNAUTHENTICATED)
    return int(stamp)

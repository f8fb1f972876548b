"""Who may hand alerts in: a bearer token, or a body that is signed with a shared secret. Pure.

The signature is HMAC-SHA256, in hexadecimal digits, over the time of sending in Unix seconds, a full stop and the body.
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
_NOT_PROVEN = 401


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The value of the signature's header."""
    return _PREFIX + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class WebhookAuth:
    """What opens the door: a token, a secret, either, or nothing at all. Seconds a signature is good for."""

    token: str | None
    secret: str | None
    replay_seconds: float

    def glance(self, headers: Mapping[str, str], now: float) -> None:
        """Whether a proof is there at all, before anybody reads the body. Raises RefusedError.

        `headers` have small letters; `now` is in Unix seconds. A signature that is older than `replay_seconds`, or as
        far in the future, is no longer good, so that what was overheard cannot be sent again later.
        """
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
            raise PayloadRefusedError(f"expected a good {' or '.join(ways)}, got none", _NOT_PROVEN)
        away = abs(now - _timestamp(headers))
        if away > self.replay_seconds:
            raise PayloadRefusedError(
                f"expected a signature of the last {self.replay_seconds:.0f} s, got one {away:.0f} s away; "
                "look at the clocks",
                _NOT_PROVEN,
            )

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Whether the sender has proved who it is, by either way that is open. Raises RefusedError."""
        self.glance(headers, now)
        if self._has_token(headers):
            return
        expected = sign(self.secret or "", _timestamp(headers), body)
        if not hmac.compare_digest(headers[SIGNATURE_HEADER].strip().encode(), expected.encode()):
            raise PayloadRefusedError(
                "expected a signature over timestamp, full stop and body, got another", _NOT_PROVEN
            )

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), (self.token or "").encode())
        return bool(self.token) and same and scheme.lower() == "bearer"


def _timestamp(headers: Mapping[str, str]) -> int:
    stamp = headers.get(TIMESTAMP_HEADER, "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise PayloadRefusedError(f"expected Unix seconds in {TIMESTAMP_HEADER}, got {stamp[:40]!r}", _NOT_PROVEN)
    return int(stamp)

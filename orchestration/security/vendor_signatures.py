"""The signatures of vendors that call back. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

# Slack advises to refuse what is older: https://docs.slack.dev/authentication/verifying-requests-from-slack.
SLACK_SECONDS = 300.0
_PAGERDUTY_HEADER = "x-pagerduty-signature"
_SLACK_HEADER, _SLACK_TIME = "x-slack-signature", "x-slack-request-timestamp"
_LONGEST_HEADER = 4_096


class BadSignatureError(Exception):
    """A request is not from whom it claims to be, or is a repetition of an old one; its message says why."""


def verify_pagerduty(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:  # noqa: ARG001
    """Check `X-PagerDuty-Signature`, which may have several signatures while a secret is being replaced.

    It has no time in it: https://developer.pagerduty.com/docs/verifying-webhook-signatures. Whoever uses it has to
    recognise repetitions by the event's id. Raises BadSignatureError.
    """
    expected = f"v1={_digest(secret, body)}"
    given = headers.get(_PAGERDUTY_HEADER, "")[:_LONGEST_HEADER]
    # All are compared, in constant time: how long it takes must not tell how much of a guess was right.
    if not sum(_same(one.strip(), expected) for one in given.split(",")):
        raise BadSignatureError(f"{_PAGERDUTY_HEADER} is missing or wrong")


def verify_slack(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Check `X-Slack-Signature`, and that its time is within five minutes. Raises BadSignatureError."""
    stamp = headers.get(_SLACK_TIME, "")
    # `isdigit` alone accepts digits of other scripts; a longer number would make `int` work for the sender.
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise BadSignatureError(f"{_SLACK_TIME} is missing or no time")
    age = abs(now.timestamp() - int(stamp))
    if age > SLACK_SECONDS:
        raise BadSignatureError(f"the request is {age:.0f} s old, or the clocks differ by that; 300 s are allowed")
    expected = f"v0={_digest(secret, b'v0:' + stamp.encode() + b':' + body)}"
    if not _same(headers.get(_SLACK_HEADER, "")[:_LONGEST_HEADER], expected):
        raise BadSignatureError(f"{_SLACK_HEADER} is missing or wrong")


def _digest(secret: str, data: bytes) -> str:
    return hmac.new(secret.encode(), data, sha256).hexdigest()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())

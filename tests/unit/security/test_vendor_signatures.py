from __future__ import annotations

import hmac
from datetime import timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.security.vendor_signatures import BadSignatureError, verify_pagerduty, verify_slack
from tests.support.notices import NOON

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
STAMP = str(int(NOON.timestamp()))


def slack(body: bytes, secret: str = SECRET, stamp: str = STAMP) -> dict[str, str]:
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, sha256).hexdigest()
    return {"x-slack-signature": f"v0={digest}", "x-slack-request-timestamp": stamp}


def pagerduty(body: bytes, *secrets: str) -> dict[str, str]:
    made = [f"v1={hmac.new(secret.encode(), body, sha256).hexdigest()}" for secret in secrets]
    return {"x-pagerduty-signature": ",".join(made)}


def test_the_example_of_slacks_documentation_is_accepted() -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack shows these values."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&"
        b"channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&"
        b"response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"
        b"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "x-slack-request-timestamp": "1531420618",
    }
    then = NOON.fromtimestamp(1_531_420_618, NOON.tzinfo)
    verify_slack(SECRET, headers, body, then)
    with pytest.raises(BadSignatureError, match="300 s are allowed"):
        verify_slack(SECRET, headers, body, then + timedelta(seconds=301))
    with pytest.raises(BadSignatureError, match="300 s are allowed"):
        verify_slack(SECRET, headers, body, then - timedelta(seconds=301))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_signature_is_of_one_body_with_one_secret(body: bytes, other: bytes) -> None:
    verify_slack(SECRET, slack(body), body, NOON)
    verify_pagerduty(SECRET, pagerduty(body, "old", SECRET), body, NOON)
    wrong = [
        (verify_slack, slack(body, "another")), (verify_pagerduty, pagerduty(body, "another")),
        (verify_slack, {**slack(body), "x-slack-request-timestamp": str(int(STAMP) + 1)}),
        (verify_slack, {}), (verify_pagerduty, {}), (verify_pagerduty, {"x-pagerduty-signature": "v1="}),
    ]  # fmt: skip
    for verify, headers in wrong:
        with pytest.raises(BadSignatureError):
            verify(SECRET, headers, body, NOON)
    if other != body:
        for verify, headers in ((verify_slack, slack(body)), (verify_pagerduty, pagerduty(body, SECRET))):
            with pytest.raises(BadSignatureError):
                verify(SECRET, headers, other, NOON)


@given(st.text(max_size=30))
def test_no_time_and_no_signature_is_taken_for_one(text: str) -> None:
    for headers in ({"x-slack-request-timestamp": text, "x-slack-signature": text}, {"x-pagerduty-signature": text}):
        for verify in (verify_slack, verify_pagerduty):
            with pytest.raises(BadSignatureError):
                verify(SECRET, headers, b"", NOON)

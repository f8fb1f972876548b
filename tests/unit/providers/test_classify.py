"""From what a provider says to the class of failure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.providers import classification
from orchestration.providers.failures import FailureKind

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
K = FailureKind


def classed(status: int, error: Any = None, **headers: str) -> FailureKind:
    body = json.dumps({"error": error}).encode() if error is not None else b""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classification.from_response(status, named, body, NOW).kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, K.MALFORMED),
        (302, K.MALFORMED),
        (400, K.BAD_REQUEST),
        (401, K.AUTHENTICATION),
        (402, K.QUOTA),
        (403, K.AUTHENTICATION),
        (404, K.MODEL_MISSING),
        (405, K.BAD_REQUEST),
        (408, K.TIMEOUT),
        (410, K.RETIRED),
        (413, K.BAD_REQUEST),
        (422, K.BAD_REQUEST),
        (429, K.RATE_LIMITED),
        (500, K.OVERLOADED),
        (502, K.OVERLOADED),
        (503, K.OVERLOADED),
        (504, K.OVERLOADED),
        (529, K.OVERLOADED),
    ],
)
def test_the_status_decides_where_the_body_says_nothing(status: int, kind: FailureKind) -> None:
    assert classed(status) is kind


def test_a_server_that_cannot_read_its_own_model_is_not_overloaded() -> None:
    assert classed(500, "error parsing tool call: raw='{}]', err=invalid character ']'") is K.MALFORMED
    assert classed(500, {"message": "Failed to parse input at pos 12: </tool_call>"}) is K.MALFORMED
    assert classed(400, {"message": "Failed to parse input at pos 12: </tool_call>"}) is K.BAD_REQUEST


AZURE_429 = {
    "Requests to this operation have exceeded token rate limit of your current pricing tier. Please retry after 6 "
    "seconds. To increase the default rate limit, request a quota increase.": K.RATE_LIMITED,
    "Requests to this operation have exceeded call rate limit of your current pricing tier. Retry after 2 seconds. "
    "Please see the page on quota exceeded.": K.RATE_LIMITED,
    "The system is currently experiencing high demand and cannot process your request.": K.OVERLOADED,
    "You exceeded your current quota, please check your plan.": K.QUOTA,
}


@pytest.mark.parametrize(("message", "kind"), AZURE_429.items(), ids=["tokens", "calls", "capacity", "quota"])
def test_azures_four_reasons_for_429_are_told_apart_by_their_message(message: str, kind: FailureKind) -> None:
    assert classed(429, {"code": "429", "message": message}) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "insufficient_quota", "message": "no"}, K.QUOTA),
        ({"type": "insufficient_quota", "message": "rate limit"}, K.QUOTA),
        ({"code": "NoCapacity", "message": "try another region"}, K.OVERLOADED),
        ({"code": "rate_limit_exceeded", "message": "billing is fine; rate limit reached"}, K.RATE_LIMITED),
        ({"message": "The monthly quota is used up"}, K.QUOTA),
    ],
)
def test_a_code_or_a_word_tells_a_quota_from_a_rate(error: dict[str, str], kind: FailureKind) -> None:
    assert classed(429, error) is kind


def test_a_wait_of_an_hour_is_a_quota() -> None:
    assert classed(429, retry_after="3600") is K.QUOTA
    assert classed(429, retry_after="3599") is K.RATE_LIMITED


@pytest.mark.parametrize(
    "error",
    [
        {"code": "content_filter", "message": "no"},
        {"code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
    ],
)
def test_a_content_filter_is_known_by_openais_code_and_by_azures(error: dict[str, Any]) -> None:
    assert classed(400, error) is K.CONTENT_FILTER
    assert classification.from_error(error).kind is K.CONTENT_FILTER
    assert classed(400, {**error, "code": "x", "innererror": "x"}) is K.BAD_REQUEST


def test_ollamas_own_errors_are_a_plain_text() -> None:
    busy = b'{"error": "server busy, please try again.  maximum pending requests exceeded"}'
    failure = classification.from_response(503, {}, busy, NOW)
    assert (failure.kind, failure.status) == (K.OVERLOADED, 503)
    assert failure.message == "server busy, please try again.  maximum pending requests exceeded"
    missing = b'{"error": "model \'x\' not found"}'
    assert classification.from_response(404, {}, missing, NOW).kind is K.MODEL_MISSING


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}, 90),
        ({"retry-after": "Mon, 05 Jan 2026 09:00:30"}, 30),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}, 0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "in a while"}, None),
        ({"retry-after": "Wed, 21 Oct 99999999999 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert classification.retry_after(headers, NOW) == seconds


@given(st.text(), st.text())
def test_whatever_a_header_says_a_wait_is_none_or_not_negative(seconds: str, milliseconds: str) -> None:
    wait = classification.retry_after({"retry-after": seconds, "retry-after-ms": milliseconds}, NOW)
    assert wait is None or 0 <= wait < float("inf")


names = st.sampled_from(["error", "message", "code", "type", "innererror"])
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(names, inner),
    max_leaves=10,
)
bodies = st.binary() | json_values.map(lambda value: json.dumps(value).encode())


@example(400, b'{"error":1,"code":[]}')
@example(404, b'{"error":{"code":{},"type":[]}}')
@example(400, b'{"message":"no","code":{"a":[1]}}')
@given(st.integers(min_value=201, max_value=599), bodies)
def test_no_body_is_too_strange_to_be_classed(status: int, body: bytes) -> None:
    failure = classification.from_response(status, {}, body, NOW)
    assert failure.status == status
    assert 0 < len(failure.message) <= 300
    assert isinstance(classification.from_error(classification.error_of(body)).message, str)

"""Classifying the failures of providers. Pure; the table is the one in docs/reference/providers.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from orchestration.providers.dialects.context_overflow import overflow_of
from orchestration.providers.dialects.dialect import cannot_read_its_model
from orchestration.providers.failures import Failure, FailureKind

_BY_STATUS = {
    401: FailureKind.AUTHENTICATION,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTHENTICATION,
    # Ollama answers 404 for a model that was not pulled, Azure for a deployment that does not exist.
    404: FailureKind.MODEL_MISSING,
    408: FailureKind.TIMEOUT,
    # GitHub Models answers 410 since its retirement; by RFC 9110 the condition is likely to be permanent.
    410: FailureKind.RETIRED,
}
_QUOTA_CODES = frozenset({"insufficient_quota", "quota_exceeded", "billing_hard_limit_reached"})
# Azure answers 429 for four reasons, told apart only by the message: requests per minute, tokens per minute, a used-up
# quota, and no capacity: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota.
_NO_CAPACITY = re.compile(r"(?i)no.?capacity|high demand|overloaded|at capacity|temporarily unable")
_QUOTA_WORDS = re.compile(r"(?i)quota[^.]{0,40}(exceeded|exhausted|used up)|exceeded[^.]{0,40}\bquota\b|billing")
# A wait this long is no rate limit any more but a quota: calls should go elsewhere until its reset.
_LONG_WAIT_SECONDS = 3600.0
_SHOWN_CHARACTERS = 300


def from_response(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
    """Classify an answer whose status is not 200. `now` is needed for a Retry-After that is a date."""
    error = error_of(body)
    message = str(error.get("message") or body.decode("utf-8", "replace")).strip()
    wait = retry_after(headers, now)
    kind, shown = _kind(status, error, message, wait), message[:_SHOWN_CHARACTERS] or "no text"
    return Failure(kind, shown, status, wait, overflow=overflow_of(status, error, message))


def from_error(error: Mapping[str, Any]) -> Failure:
    """Classify an error that came as a line of a stream under status 200.

    The status line was sent before the error happened; Ollama reports errors in the middle of a stream like that.
    """
    message = str(error.get("message") or error)
    if is_content_filter(error):
        return Failure(FailureKind.CONTENT_FILTER, message, 200)
    return Failure(FailureKind.OVERLOADED, message, 200, overflow=overflow_of(200, error, message))


def error_of(body: bytes) -> Mapping[str, Any]:
    """The error object of an answer: OpenAI's form, Ollama's native text, or an empty object."""
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    error = data.get("error") if isinstance(data, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}


def is_content_filter(error: Mapping[str, Any]) -> bool:
    """Whether a content filter refused, by OpenAI's or Azure's code.

    https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
    """
    inner = error.get("innererror")
    inner_code = inner.get("code") if isinstance(inner, dict) else None
    return error.get("code") == "content_filter" or inner_code == "ResponsibleAIPolicyViolation"


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait that a provider asks for, in seconds; None if it does not.

    Azure's `retry-after-ms` is the most exact and wins; `retry-after` is in seconds or a date:
    https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        moment = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _kind(status: int, error: Mapping[str, Any], message: str, wait: float | None) -> FailureKind:
    if is_content_filter(error):
        return FailureKind.CONTENT_FILTER
    if status == 429:
        return _kind_of_429(error, message, wait)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return FailureKind.MALFORMED if cannot_read_its_model(status, message) else FailureKind.OVERLOADED
    return FailureKind.BAD_REQUEST if status >= 400 else FailureKind.MALFORMED


def _kind_of_429(error: Mapping[str, Any], message: str, wait: float | None) -> FailureKind:
    if _is_hard_quota(error, message, wait):
        return FailureKind.QUOTA
    crowded = _NO_CAPACITY.search(f"{error.get('code')} {message}") and "rate limit" not in message.lower()
    return FailureKind.OVERLOADED if crowded else FailureKind.RATE_LIMITED


def _is_hard_quota(error: Mapping[str, Any], message: str, wait: float | None) -> bool:
    """Whether a 429 means a used-up quota. Azure's rate-limit messages link to a page about quota increases, so the
    words "rate limit" decide first."""
    if error.get("code") in _QUOTA_CODES or error.get("type") in _QUOTA_CODES:
        return True
    if wait is not None and wait >= _LONG_WAIT_SECONDS:
        return True
    return "rate limit" not in message.lower() and bool(_QUOTA_WORDS.search(message))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None

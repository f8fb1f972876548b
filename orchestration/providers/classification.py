"""Classifying the failures of providers. Pure; the table is the one in docs/reference/providers.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestration.providers.dialects.context_overflow import overflow_of
from orchestration.providers.dialects.dialect import cannot_read_its_model
from orchestration.providers.dialects.error_shapes import error_of, status_in
from orchestration.providers.dialects.refusals import (
    is_about_a_model,
    is_about_the_key,
    is_content_filter,
    is_moderation,
    suits_another_route,
    wait_in_words,
)
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.retry_after import retry_after

_BY_STATUS = {
    401: FailureKind.AUTHENTICATION,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTHENTICATION,
    # Ollama answers 404 for a model that was not pulled, Azure for a deployment that does not exist.
    404: FailureKind.MODEL_MISSING,
    408: FailureKind.TIMEOUT,
    # GitHub Models answers 410 since its retirement; by RFC 9110 the condition is likely to be permanent.
    410: FailureKind.RETIRED,
    425: FailureKind.OVERLOADED,
}
_QUOTA_CODES = frozenset({"insufficient_quota", "quota_exceeded", "billing_hard_limit_reached"})
# Azure answers 429 for four reasons, told apart only by the message: requests per minute, tokens per minute, a used-up
# quota, and no capacity: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota.
_NO_CAPACITY = re.compile(r"(?i)no.?capacity|high demand|overloaded|at capacity|temporarily unable")
_QUOTA_WORDS = re.compile(
    r"(?i)quota[^.]{0,40}(exceeded|exhausted|used up)|exceeded[^.]{0,40}\bquota\b|billing|credit balance is too low"
)
# A wait this long is no rate limit any more but a quota: calls should go elsewhere until its reset.
_LONG_WAIT_SECONDS = 3600.0
_SHOWN_CHARACTERS = 300


def from_response(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
    """Classify an answer whose status is not 200. `now` is needed for a Retry-After that is a date."""
    error = error_of(body)
    message = str(error.get("message") or body.decode("utf-8", "replace")).strip()
    return _failure(status, error, message, retry_after(headers, now))


def from_error(error: Mapping[str, Any]) -> Failure:
    """Classify an error that came under status 200.

    The status line was sent before the error happened; Ollama reports errors in the middle of a stream like that, and
    relays such as OpenRouter put the status of the server behind them into the error.
    """
    message = str(error.get("message") or error)
    status = status_in(error)
    if status is not None:
        return _failure(status, error, message, None)
    if is_content_filter(error):
        return Failure(FailureKind.CONTENT_FILTER, message[:_SHOWN_CHARACTERS], 200)
    overflow = overflow_of(200, error, message)
    kind = FailureKind.OVERLOADED if overflow is None else FailureKind.BAD_REQUEST
    return Failure(
        kind, message[:_SHOWN_CHARACTERS], 200, overflow=overflow, unproven=True, elsewhere=overflow is not None
    )


def _failure(status: int, error: Mapping[str, Any], message: str, wait: float | None) -> Failure:
    overflow = overflow_of(status, error, message)
    elsewhere = suits_another_route(status, message) or overflow is not None
    kind = _kind(status, error, message, wait)
    if elsewhere and kind is not FailureKind.CONTENT_FILTER:
        kind, wait = FailureKind.BAD_REQUEST, None
    elif wait is None and kind is FailureKind.RATE_LIMITED:
        wait = wait_in_words(message)
    return Failure(
        kind,
        message[:_SHOWN_CHARACTERS] or "no text",
        status,
        wait,
        overflow=overflow,
        # A server may fail on one request alone. The others of these say themselves that it is the server.
        unproven=status == 500,
        elsewhere=elsewhere,
    )


def _kind(status: int, error: Mapping[str, Any], message: str, wait: float | None) -> FailureKind:
    if is_content_filter(error) or is_moderation(status, message):
        return FailureKind.CONTENT_FILTER
    if status == 429:
        return _kind_of_429(error, message, wait)
    if is_about_a_model(status, error, message):
        return FailureKind.MODEL_MISSING
    if is_about_the_key(status, message):
        return FailureKind.AUTHENTICATION
    if status == 400 and _is_hard_quota(error, message, None):
        return FailureKind.QUOTA
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
    """Whether a refusal means a used-up quota. Azure's rate-limit messages link to a page about quota increases, so the
    words "rate limit" decide first."""
    if error.get("code") in _QUOTA_CODES or error.get("type") in _QUOTA_CODES:
        return True
    if wait is not None and wait >= _LONG_WAIT_SECONDS:
        return True
    return "rate limit" not in message.lower() and bool(_QUOTA_WORDS.search(message))

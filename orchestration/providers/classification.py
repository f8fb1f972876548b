"""Classifying the failures of providers. Pure; the table is the one in docs/reference/providers.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestration.providers.dialects.context_overflow import overflow_of
from orchestration.providers.dialects.dialect import cannot_read_its_model
from orchestration.providers.dialects.error_shapes import error_of, status_in
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.retry_after import retry_after, wait_in_words

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
# One model that is gone or not open to this account, whatever the status (Groq: `model_decommissioned`, Mistral:
# `invalid_model`, GitHub: `unavailable_model`; OpenAI answers 403 "Project … does not have access to model …").
_MODEL_CODES = frozenset(
    {"model_not_found", "model_decommissioned", "invalid_model", "unavailable_model", "unknown_model"}
)
_ONE_MODEL = re.compile(
    r"(?i)access to (?:the )?(?:requested )?model|\bmodel\b.{0,80}\b(?:not exist|not found|retired|deprecated"
    r"|decommissioned|shut ?down|no longer|not (?:been )?(?:enabled|authori[sz]ed|available))"
)
_MODEL_STATUSES = frozenset({400, 403, 404, 410})
# About one request: OpenRouter answers 402 "requires more credits, or fewer max_tokens" where a shorter answer is paid
# for, and 404 "No endpoints found that support tool use"; OpenAI and Groq 429 or 413 "Request too large … tokens per
# min", however long one waits.
_TOO_DEAR = re.compile(r"(?i)fewer max_tokens|can only afford")
_NO_ENDPOINT = re.compile(r"(?i)no (?:allowed |matching )?(?:endpoints?|providers?)\b.{0,80}(?:support|policy|match)")
_TOO_LARGE = re.compile(r"(?i)request (?:entity |body )?(?:is )?too large")
_UNSUPPORTED = re.compile(r"(?i)(?:not|n't) (?:currently )?support|unsupported|not available (?:for|with|in)")
# Google answers 400 for a key that is not valid.
_KEY_WORDS = re.compile(r"(?i)api.?key.{0,20}(?:not valid|invalid|expired)")
_FILTER_CODES = frozenset(
    {"content_filter", "content_policy_violation", "moderation_blocked", "data_inspection_failed", "flagged"}
)
_FILTER_WORDS = re.compile(r"(?i)requires moderation|was flagged|flagged (?:by|for|as)|content (?:management )?policy")
_FILTER_STATUSES = frozenset({400, 403})


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


def is_content_filter(error: Mapping[str, Any]) -> bool:
    """Whether a content filter refused, by the code of OpenAI, Azure or another vendor.

    https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
    """
    inner = error.get("innererror")
    inner_code = inner.get("code") if isinstance(inner, dict) else None
    codes = {str(error.get("code")).lower(), str(error.get("type")).lower()}
    return bool(_FILTER_CODES & codes) or inner_code == "ResponsibleAIPolicyViolation"


def _failure(status: int, error: Mapping[str, Any], message: str, wait: float | None) -> Failure:
    overflow = overflow_of(status, error, message)
    elsewhere = _may_do_elsewhere(status, message) or overflow is not None
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


def _may_do_elsewhere(status: int, message: str) -> bool:
    """Whether a refusal is about this request at this route: another route may serve it, and this one others."""
    match status:
        case 402:
            return bool(_TOO_DEAR.search(message))
        case 404:
            return bool(_NO_ENDPOINT.search(message))
        case 413:
            return True
        case 429:
            return bool(_TOO_LARGE.search(message))
        case 400 | 415 | 422 | 501:
            return bool(_UNSUPPORTED.search(message))
        case _:
            return False


def _kind(status: int, error: Mapping[str, Any], message: str, wait: float | None) -> FailureKind:
    if is_content_filter(error) or (status in _FILTER_STATUSES and _FILTER_WORDS.search(message)):
        return FailureKind.CONTENT_FILTER
    if status == 429:
        return _kind_of_429(error, message, wait)
    if status in _MODEL_STATUSES and (error.get("code") in _MODEL_CODES or _ONE_MODEL.search(message)):
        return FailureKind.MODEL_MISSING
    if status == 400 and _KEY_WORDS.search(message):
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

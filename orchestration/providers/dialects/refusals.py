"""What a refusal is about, where vendors tell it in their texts alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Error = Mapping[str, Any]

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
# OpenAI and Groq: "Please try again in 1.2s" or "… in 450ms"; Azure: "Please retry after 6 seconds."
_IN_WORDS = re.compile(r"(?i)(?:try again|retry) (?:in|after) (\d{1,6}(?:\.\d{1,6})?) ?(ms|milliseconds?|s|seconds?)\b")


def is_content_filter(error: Error) -> bool:
    """Whether a content filter refused, by the code of OpenAI, Azure or another vendor.

    https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
    """
    inner = error.get("innererror")
    inner_code = inner.get("code") if isinstance(inner, dict) else None
    codes = {str(error.get("code")).lower(), str(error.get("type")).lower()}
    return bool(_FILTER_CODES & codes) or inner_code == "ResponsibleAIPolicyViolation"


def is_moderation(status: int, message: str) -> bool:
    """Whether a refusal without such a code says that the prompt was moderated, as OpenRouter's do."""
    return status in _FILTER_STATUSES and bool(_FILTER_WORDS.search(message))


def is_about_a_model(status: int, error: Error, message: str) -> bool:
    """Whether a refusal is about one model: it is gone, or not open to this account."""
    return status in _MODEL_STATUSES and (error.get("code") in _MODEL_CODES or bool(_ONE_MODEL.search(message)))


def is_about_the_key(status: int, message: str) -> bool:
    """Whether a bad request is one for its key."""
    return status == 400 and bool(_KEY_WORDS.search(message))


def suits_another_route(status: int, message: str) -> bool:
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


def wait_in_words(message: str) -> float | None:
    """The wait that a refusal names in its text, in seconds; None if it names none."""
    found = _IN_WORDS.search(message)
    if found is None:
        return None
    return float(found.group(1)) / (1000 if found.group(2).lower().startswith("m") else 1)

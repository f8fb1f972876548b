"""The ways in which vendors say that a request is too long, as they have been reported in public."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.classification import from_error, from_response
from orchestration.providers.dialects.context_overflow import overflow_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = {
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, "
    "1000 in the completion). Please reduce the length of the messages or completion.": 8192,
    "Your input exceeds the context window of this model. Please adjust your input and try again.": None,
    "prompt is too long: 210000 tokens > 200000 maximum": 200_000,
    "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length": 200_000,
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).": 1_048_575,
    "Input is too long for requested model.": None,
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.": 131_072,
    "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum context length": 32_768,
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000": 4081,
    "Your request exceeded model token limit: 8192 (requested: 9412)": 8192,
    "invalid params, context window exceeds limit (2013)": None,
    "Range of input length should be [1, 30720]": 30_720,
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192": 8192,
    "The decoder prompt (length 9999) is longer than the maximum model length of 4096.": 4096,
    "`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens and 100 `max_new_tokens`": 4097,
    "the request exceeds the available context size (4096 tokens), try increasing it": 4096,
    "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it": 8192,
    "The number of tokens to keep from the initial prompt is greater than the context length.": None,
    "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length "
    "of only 4096 tokens, which is not enough.": 4096,
    "prompt token count of 130000 exceeds the limit of 128,000": 128_000,
    "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens": 32_768,
    "Prompt 超长": None,
}
ABOUT_SOMETHING_ELSE = (
    "unknown field 'tools'",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
    "`max_tokens` must be less than or equal to `8192`; the `context_window` for this model is larger",
    "tool_call_id: length must be 9",
    "No endpoints found that support tool use",
    "the model is overloaded",
)


@pytest.mark.parametrize(("message", "limit"), WORDS.items())
@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_a_refusal_for_its_length_is_known_and_says_how_much_fits(message: str, limit: int | None, status: int) -> None:
    found = from_response(status, {}, json.dumps({"error": {"message": message}}).encode(), NOW).overflow
    assert found is not None
    assert found.limit == limit


@pytest.mark.parametrize("message", WORDS)
def test_also_in_a_stream_that_has_begun(message: str) -> None:
    assert from_error({"message": message}).overflow is not None


@pytest.mark.parametrize("message", ABOUT_SOMETHING_ELSE)
def test_other_refusals_are_about_something_else(message: str) -> None:
    assert from_response(400, {}, json.dumps({"error": {"message": message}}).encode(), NOW).overflow is None


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        ({"code": "context_length_exceeded", "message": "no"}, None),
        (
            {"type": "exceed_context_size_error", "code": 400, "message": "no", "n_ctx": 4096, "n_prompt_tokens": 9},
            4096,
        ),
        (
            {"code": "tokens_limit_reached", "message": "Request body too large for m model. Max size: 8000 tokens."},
            8000,
        ),
    ],
)
def test_a_code_is_enough(error: dict[str, Any], limit: int | None) -> None:
    found = from_response(413, {}, json.dumps({"error": error}).encode(), NOW).overflow
    assert found is not None
    assert found.limit == limit


def test_what_another_status_says_is_not_about_the_length() -> None:
    assert overflow_of(429, {}, "exceeded tokens per minute, limit 6000") is None
    assert overflow_of(401, {}, "the maximum context length of your key") is None


@given(
    st.text(max_size=200),
    st.dictionaries(st.sampled_from(["code", "type", "n_ctx"]), st.one_of(st.integers(), st.text())),
)
def test_no_refusal_breaks_it(message: str, error: dict[str, Any]) -> None:
    found = overflow_of(400, error, message)
    assert found is None or found.limit is None or found.limit >= 256

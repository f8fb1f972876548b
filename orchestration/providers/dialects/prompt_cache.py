"""The prompt caches of vendors: what they want to be told, and what they say was read from them. Pure.

OpenAI, Azure, DeepSeek, Gemini, Groq and most others recognise the same beginning of a prompt by themselves.

- Anthropic's models have to be told where a beginning ends that will come again: `cache_control` on a part of a
  message, which OpenRouter (https://openrouter.ai/docs/guides/best-practices/prompt-caching) and LiteLLM
  (https://docs.litellm.ai/docs/completion/prompt_caching) pass on; at most four. Not on results of tools: LiteLLM puts
  the mark where Anthropic refuses it (https://github.com/NousResearch/hermes-agent/pull/89931).
- OpenAI (https://platform.openai.com/docs/guides/prompt-caching) and Mistral
  (https://docs.mistral.ai/studio-api/conversations/advanced/prompt-caching) send requests with the same
  `prompt_cache_key` to where the cache is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from orchestration.domain.prompt_cache_mode import PromptCacheMode

CACHE_KEY, CACHE_MARK = "prompt_cache_key", "cache_control"
_EPHEMERAL = {"type": "ephemeral"}


def cached(body: Mapping[str, Any], mode: PromptCacheMode, about: str, left_out: frozenset[str]) -> Mapping[str, Any]:
    """The request as the vendor's cache wants it. Requests with the same `about` begin alike; `left_out` are fields
    that the route refuses."""
    if mode is PromptCacheMode.KEY and CACHE_KEY not in left_out and CACHE_KEY not in body:
        # A digest, since OpenAI takes 64 characters at most.
        return {**body, CACHE_KEY: hashlib.sha256(about.encode()).hexdigest()[:32]}
    if mode is PromptCacheMode.BREAKPOINTS and CACHE_MARK not in left_out:
        return {**body, "messages": _marked(body["messages"])}
    return body


def marks_cache(body: Mapping[str, Any]) -> bool:
    """Whether a request marks where a beginning ends that will come again."""
    return any(
        isinstance(part, Mapping) and CACHE_MARK in part
        for message in body["messages"]
        if isinstance(message.get("content"), list)
        for part in message["content"]
    )


def cached_tokens(usage: Mapping[str, Any]) -> int:
    """How many tokens of a prompt were read from a cache: `prompt_tokens_details.cached_tokens` (OpenAI and all that
    imitate it), `prompt_cache_hit_tokens` (DeepSeek), `cache_read_input_tokens` (Anthropic), `cached_tokens`
    (Moonshot); the first that the provider reports."""
    details = usage.get("prompt_tokens_details")
    found = (
        details.get("cached_tokens") if isinstance(details, Mapping) else None,
        *(usage.get(name) for name in ("prompt_cache_hit_tokens", "cache_read_input_tokens", "cached_tokens")),
    )
    return next((count for count in found if isinstance(count, int) and not isinstance(count, bool) and count > 0), 0)


def _marked(messages: Any) -> list[Any]:
    """The instructions, the task and the last message of the user, each marked as the end of a beginning."""
    plain = [place for place, message in enumerate(messages) if _can_be_marked(message)]
    users = [place for place in plain if messages[place]["role"] == "user"]
    chosen = {*plain[:1], *users[:1], *users[-1:]}
    return [_with_mark(message) if place in chosen else message for place, message in enumerate(messages)]


def _can_be_marked(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    return message.get("role") in ("system", "user") and isinstance(content, str) and bool(content.strip())


def _with_mark(message: Mapping[str, Any]) -> dict[str, Any]:
    return {**message, "content": [{"type": "text", "text": message["content"], CACHE_MARK: _EPHEMERAL}]}


def cache_written_tokens(usage: Mapping[str, Any]) -> int:
    """How many tokens of a prompt were written to a cache, which Anthropic alone reports, and counts as tokens."""
    found = usage.get("cache_creation_input_tokens")
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0

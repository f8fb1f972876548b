"""Prompt caches of vendors: what a provider is told about them, and what is made of its counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.responses import Response

from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import provider
from tests.support.vendor import Asked, Vendor, as_json, refused, yes

MARK = {"type": "ephemeral"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TALK = {
    "messages": [
        {"role": "system", "content": "the rules"},
        {"role": "user", "content": "the task"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
        {"role": "assistant", "content": "{}"},
        {"role": "user", "content": "correct it"},
    ]
}


async def test_nothing_is_said_of_a_cache_unless_the_settings_ask_for_it(make_desk: MakeDesk, first: Vendor) -> None:
    await make_desk({"own": provider(first.url)}).ask(body=TALK, adaptable=True)
    assert "cache" not in json.dumps(first.chats[0].body)


async def test_breakpoints_mark_the_rules_the_task_and_the_last_words_of_the_user(
    make_desk: MakeDesk, first: Vendor
) -> None:
    desk = make_desk({"own": provider(first.url, promptCache="breakpoints")})
    await desk.ask(body=TALK, adaptable=True)
    messages = first.chats[0].body["messages"]
    marked = [message["content"] for message in messages if isinstance(message["content"], list)]
    assert marked == [
        [{"type": "text", "text": text, "cache_control": MARK}] for text in ("the rules", "the task", "correct it")
    ]
    assert messages[3] == TALK["messages"][3]
    await desk.ask(body=TALK)
    assert first.chats[1].body["messages"] == TALK["messages"]


async def test_requests_of_one_agent_in_one_run_share_a_key(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk({"own": provider(first.url, promptCache="key")})
    for run, agent in (("r", "a"), ("r", "a"), ("r", "b"), ("s", "a")):
        await desk.ask(body=TALK, adaptable=True, run_id=run, agent=agent)
    keys = [asked.body["prompt_cache_key"] for asked in first.chats]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert all(len(key) <= 64 for key in keys)


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("key", "Extra inputs are not permitted, field: 'prompt_cache_key', value: 'x'"),
        (
            "key",
            "[{'type': 'extra_forbidden', 'loc': ('body', 'prompt_cache_key'), 'msg': 'Extra inputs'}]",
        ),
        ("key", "Unknown parameter: 'prompt_cache_key'."),
        ("breakpoints", "messages.0.content.0.cache_control: Extra inputs are not permitted"),
        ("breakpoints", "cache_control is not supported by this model"),
        ("breakpoints", "messages.0.content: Input should be a valid string"),
    ],
)
async def test_a_server_that_refuses_what_it_is_told_is_not_told_again(
    make_desk: MakeDesk, first: Vendor, mode: str, message: str
) -> None:
    first.answer = lambda asked: refused(400, message) if "cache" in json.dumps(asked.body) else yes(asked)
    desk = make_desk({"own": provider(first.url, promptCache=mode)})
    for calls in (2, 3):
        await desk.ask(body=TALK, adaptable=True)
        assert len(first.chats) == calls


def counting(**usage: Any) -> Any:
    def answer(asked: Asked) -> Response:
        said = {"role": "assistant", "content": "Yes."}
        choices = [{"index": 0, "message": said, "finish_reason": "stop"}]
        return as_json({"choices": choices, "usage": {"prompt_tokens": 1000, "completion_tokens": 10, **usage}})

    return answer


@pytest.mark.parametrize(
    ("usage", "prompt", "cached"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 800}}, 1000, 800),
        ({"prompt_cache_hit_tokens": 800, "prompt_cache_miss_tokens": 200}, 1000, 800),
        ({"cache_read_input_tokens": 800, "cache_creation_input_tokens": 0}, 1000, 800),
        ({"cached_tokens": 800}, 1000, 800),
        # Beside the others, as Anthropic counts.
        ({"prompt_tokens": 200, "cache_read_input_tokens": 800}, 1000, 800),
        ({"prompt_tokens_details": None}, 1000, 0),
        ({"prompt_tokens_details": {"cached_tokens": "many"}, "cached_tokens": True}, 1000, 0),
    ],
)
async def test_tokens_from_the_cache_are_counted_and_have_their_price(
    make_desk: MakeDesk, first: Vendor, usage: dict[str, Any], prompt: int, cached: int
) -> None:
    first.answer = counting(**usage)
    price = {"name": "m", "inputUsdPerMillion": 10, "outputUsdPerMillion": 100, "cachedInputUsdPerMillion": 1}
    settings = provider(first.url, streaming=False)
    desk = make_desk({"own": settings}, models={"own": [price]})
    completion = await desk.ask()
    assert (completion.usage.prompt_tokens, completion.usage.cached_tokens) == (prompt, cached)
    assert completion.usd == pytest.approx(((prompt - cached) * 10 + cached + 10 * 100) / 1_000_000)
    assert desk.said("model_call.finished")[0].data["cached_tokens"] == cached
    without = {name: value for name, value in price.items() if name != "cachedInputUsdPerMillion"}
    usual = await make_desk({"own": settings}, models={"own": [without]}).ask()
    assert usual.usd == pytest.approx((prompt * 10 + 10 * 100) / 1_000_000)


@pytest.mark.parametrize(
    ("usage", "tokens", "dollars"),
    [
        # Written to the cache, at a price of their own.
        ({"cache_creation_input_tokens": 400, "cached_tokens": 500}, 1010, 100 * 10 + 500 + 400 * 12),
        (
            {"prompt_tokens": 100, "cache_creation_input_tokens": 400, "cache_read_input_tokens": 500},
            1010,
            100 * 10 + 500 + 400 * 12,
        ),
        ({"cache_creation_input_tokens": 4000}, 1010, 1000 * 12),
        # Thoughts that are counted in the total alone, and those that are part of the answer's.
        ({"total_tokens": 1040, "completion_tokens_details": {"reasoning_tokens": 30}}, 1040, 1000 * 10 + 30 * 100),
        ({"total_tokens": 1010, "completion_tokens_details": {"reasoning_tokens": 7}}, 1010, 1000 * 10),
        ({"total_tokens": "many", "completion_tokens_details": {"reasoning_tokens": True}}, 1010, 1000 * 10),
    ],
)
async def test_what_is_written_to_a_cache_and_what_is_thought_is_paid_for(
    make_desk: MakeDesk, first: Vendor, usage: dict[str, Any], tokens: int, dollars: float
) -> None:
    first.answer = counting(**usage)
    price = {"name": "m", "inputUsdPerMillion": 10, "outputUsdPerMillion": 100, "cachedInputUsdPerMillion": 1}
    models = {"own": [{**price, "cacheWriteUsdPerMillion": 12}]}
    completion = await make_desk({"own": provider(first.url, streaming=False)}, models=models).ask()
    assert completion.usage.total == tokens
    assert completion.usd == pytest.approx((dollars + 10 * 100) / 1_000_000)

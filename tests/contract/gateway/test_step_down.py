"""Requests that a server cannot understand are repeated in another form, which is remembered."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import Response

from orchestration.providers.failures import RequestRefusedError
from tests.contract.gateway.conftest import MakeDesk
from tests.support.vendor import Asked, Vendor, refused, yes

TOOL = {
    "type": "function",
    "function": {"name": "read_file", "description": "Reads.", "parameters": {"type": "object"}},
}
MESSAGES = [{"role": "system", "content": "You work."}, {"role": "user", "content": "Begin."}]
WITH_TOOLS = {"messages": MESSAGES, "tools": [TOOL]}
WITH_SCHEMA = {"messages": MESSAGES, "response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}


def poor(asked: Asked) -> Response:
    """A server with chat and nothing else."""
    if asked.body.get("tools"):
        return refused(400, "registry.ollama.ai/library/gemma:latest does not support tools")
    if (asked.body.get("response_format") or {}).get("type"):
        return refused(400, "This response_format type is unavailable now")
    if "stream_options" in asked.body:
        return refused(422, "extra inputs are not permitted: stream_options")
    return yes(asked)


def own(vendor: Vendor) -> dict[str, dict[str, Any]]:
    return {"own": {"type": "openai", "baseUrl": f"{vendor.url}/v1", "defaultModel": "m"}}


async def test_a_server_is_asked_in_the_form_that_it_understands_and_from_then_on_at_once(
    make_desk: MakeDesk, first: Vendor
) -> None:
    first.answer = poor
    desk = make_desk(own(first))
    for body, refusals in ((WITH_TOOLS, 2), (WITH_SCHEMA, 2), (WITH_TOOLS, 0), (WITH_SCHEMA, 0)):
        before = len(first.chats)
        completion = await desk.ask(body=body, adaptable=True)
        assert completion.message["content"] == "Yes."
        assert len(first.chats) - before == refusals + 1
    assert "<tool_call>" in first.chats[2].body["messages"][0]["content"]
    assert "read_file" in first.chats[2].body["messages"][0]["content"]
    assert desk.breakers("own") == []


@pytest.mark.parametrize(("failures", "tries", "in_words"), [(1, 2, False), (99, 3, True)])
async def test_a_server_that_cannot_read_its_models_call_is_asked_again_and_then_in_words(
    make_desk: MakeDesk, first: Vendor, failures: int, tries: int, in_words: bool
) -> None:
    def cannot_parse(asked: Asked) -> Response:
        failing = asked.body.get("tools") and len(first.chats) <= failures
        return refused(500, "Failed to parse input at pos 12: </tool_call>") if failing else yes(asked)

    first.answer = cannot_parse
    desk = make_desk(own(first))
    assert (await desk.ask(body=WITH_TOOLS, adaptable=True)).message["content"] == "Yes."
    assert len(first.chats) == tries
    assert ("tools" not in first.chats[-1].body) == in_words
    assert desk.breakers("own") == []


async def test_what_is_passed_on_for_others_is_not_put_in_other_words(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = poor
    desk = make_desk(own(first))
    with pytest.raises(RequestRefusedError, match="does not support tools"):
        await desk.ask(body=WITH_TOOLS)
    assert first.chats[0].body["tools"] == [TOOL]
    assert len(first.chats) == 1


async def test_a_route_that_answered_badly_comes_last_and_is_asked_in_words(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    providers = {**own(first), "other": {**own(second)["own"]}}
    desk = make_desk(providers, fallbackProviders=["other"])
    badly: dict[str, Any] = {"adaptable": True, "avoided": frozenset({"own/m"})}
    assert (await desk.ask(body=WITH_TOOLS, **badly)).route.provider == "other"
    assert second.chats[0].body["tools"] == [TOOL]
    second.answer = lambda _: refused(503, "busy")
    assert (await desk.ask(body=WITH_TOOLS, **badly)).route.provider == "own"
    assert "tools" not in first.chats[-1].body

"""Ollama's own API, which is used where the size of the context is configured."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from orchestration.clock import FakeClock
from orchestration.providers.failures import NoRouteError, RequestRefusedError
from orchestration.providers.ollama_wire import native_request
from orchestration.providers.wire import GatewayCall
from tests.contract.gateway.conftest import MakeDesk
from tests.support.vendor import Vendor, as_json, stream, yes

MODELS = {"local": [{"name": "m", "contextTokens": 16_384, "parameters": {"temperature": 0.1, "maxTokens": 99}}]}
TOOL = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a"}'}}
TALK: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "text"},
    ],
    "tools": [TOOL],
}
END = {"done": True, "done_reason": "stop", "prompt_eval_count": 30, "eval_count": 4}


def lines(*parts: dict[str, Any]) -> Response:
    return stream([json.dumps(part).encode() + b"\n" for part in parts])


def said(**message: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": "", **message}, "done": False}


def local(url: str, **more: Any) -> dict[str, Any]:
    return {"local": {"type": "ollama", "host": url, "defaultModel": "m", **more}}


async def test_the_model_is_loaded_with_the_context_that_is_configured(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: lines(said(thinking="hm"), said(content="Y"), said(content="es."), said() | END)
    completion = await make_desk(local(first.url), models=MODELS).ask(body=TALK)
    [asked] = first.chats
    assert asked.path == "/api/chat"
    assert asked.body["options"] == {"num_ctx": 16_384, "temperature": 0.1, "num_predict": 99}
    assert asked.body["messages"][1]["tool_calls"] == [{"function": {"name": "read_file", "arguments": {"path": "a"}}}]
    assert asked.body["messages"][2] == {"role": "tool", "content": "text", "tool_name": "read_file"}
    assert completion.message["content"] == "Yes."
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (30, 4)


@pytest.mark.parametrize("streaming", [True, False])
async def test_tools_and_forms_are_asked_for_and_understood(
    make_desk: MakeDesk, first: Vendor, streaming: bool
) -> None:
    function = {"name": "read_file", "arguments": {"path": "b"}}
    whole = {**said(tool_calls=[{"function": function}, {"function": function}]), **END}
    first.answer = lambda asked: lines(whole) if streaming else as_json(whole)
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    desk = make_desk(local(first.url, streaming=streaming), models=MODELS)
    completion = await desk.ask(body={**TALK, "response_format": form, "reasoning_effort": "none"})
    assert first.chats[0].body["format"] == {"type": "object"}
    assert first.chats[0].body["think"] is False
    calls = completion.message["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"path": "b"}] * 2
    assert len({call["id"] for call in calls}) == 2
    assert completion.finish_reason == "tool_calls"


async def test_a_stream_that_is_cut_or_holds_an_error_is_no_answer(make_desk: MakeDesk, first: Vendor) -> None:
    for answer in (lines(said(content="Y")), lines(said(content="Y"), {"error": "llama runner terminated"})):
        first.answer = lambda asked, answer=answer: answer
        with pytest.raises((NoRouteError, RequestRefusedError)):
            await make_desk(local(first.url), models=MODELS).ask(body=TALK)


async def test_without_a_size_its_compatible_api_is_used(make_desk: MakeDesk, first: Vendor) -> None:
    await make_desk(local(first.url)).ask(body=TALK)
    assert first.chats[0].path == "/v1/chat/completions"


@given(st.lists(st.dictionaries(st.sampled_from(["id", "function", "type"]), st.none() | st.text() | st.just({}))))
def test_arguments_of_any_kind_are_sent_as_an_object(calls: Any) -> None:
    sound = [call for call in calls if isinstance(call.get("function"), dict)]
    whole = [{"id": "x", "function": {"name": "f", "arguments": call.get("id")}} for call in sound]
    request = native_request("m", {"messages": [{"role": "assistant", "content": None, "tool_calls": whole}]})
    assert all(isinstance(call["function"]["arguments"], dict) for call in request["messages"][0].get("tool_calls", ()))


@pytest.mark.parametrize("listed", ["m", "m:latest"])
async def test_the_context_that_a_model_was_loaded_with_is_asked_for_once_and_kept_to(
    make_desk: MakeDesk, first: Vendor, listed: str
) -> None:
    loaded: list[dict[str, Any]] = []
    first.probe = lambda asked: as_json({"models": loaded})
    first.answer = yes
    desk = make_desk(local(first.url))
    assert await desk.gateway.ask_for_window(GatewayCall()) is None
    loaded.append({"name": listed, "model": listed, "context_length": 4096})
    for _ in range(2):
        await desk.ask(body={"messages": [{"role": "user", "content": "word " * 9000}]}, adaptable=True)
    assert desk.gateway.window(GatewayCall()) == 4096
    assert [one.path for one in first.probes] == ["/api/ps"] * 2
    sizes = [len(json.dumps(one.body)) for one in first.chats]
    assert sizes[0] > 40_000
    assert sizes[1] < 3 * 4096


async def test_what_a_model_was_loaded_with_is_asked_anew_after_a_day(make_desk: MakeDesk, first: Vendor) -> None:
    loaded = {"name": "m", "context_length": 4096}
    first.probe = lambda asked: as_json({"models": [loaded]})
    first.answer = yes
    clock = FakeClock()
    desk = make_desk(local(first.url), desk={"clock": clock})
    assert await desk.gateway.ask_for_window(GatewayCall()) == 4096
    loaded["context_length"] = 32_768
    assert await desk.gateway.ask_for_window(GatewayCall()) == 4096
    await clock.advance(25 * 3600)
    assert desk.gateway.window(GatewayCall()) is None
    assert await desk.gateway.ask_for_window(GatewayCall()) == 32_768


@pytest.mark.parametrize("answer", [{}, {"models": None}, {"models": [7, {"name": "m", "context_length": "big"}]}, []])
async def test_a_server_that_does_not_say_it_is_used_as_before(make_desk: MakeDesk, first: Vendor, answer: Any) -> None:
    first.probe = lambda asked: as_json(answer)
    first.answer = yes
    desk = make_desk(local(first.url))
    await desk.ask(adaptable=True)
    assert desk.gateway.window(GatewayCall()) is None

"""Anthropic's Messages API through the gateway endpoint, answered by providers that speak OpenAI's."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from starlette.responses import Response

from orchestration.security.principal import Principal, Role
from tests.contract.gateway import test_anthropic as anthropic
from tests.contract.web_api.conftest import Endpoint, Serve, a_token
from tests.support.event_streams import events_in, message_in
from tests.support.gateway import provider
from tests.support.vendor import DONE, END, Asked, Vendor, delta, event, refused, stream, whole

ASKED: dict[str, Any] = {"model": "auto", "max_tokens": 50, "messages": [{"role": "user", "content": "Is it up?"}]}
LOOK = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
PIXEL = {"type": "base64", "media_type": "image/png", "data": "aGk="}
USAGE = {
    "prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "prompt_tokens_details": {"cached_tokens": 6},
}  # fmt: skip
COUNTED = {
    "input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 6, "output_tokens": 4,
}  # fmt: skip


async def ask(endpoint: Endpoint, **body: Any) -> httpx2.Response:
    headers = body.pop("headers", {})
    return await endpoint.client.post("/v1/messages", json={**ASKED, **body}, headers=headers)


def told(asked: Asked) -> Response:
    """Thoughts, a text and two calls, the second of which comes before the first has ended."""
    calls = [
        [{"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at"'}}],
        [{"index": 1, "id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        [{"index": 0, "function": {"arguments": ': "it"}'}}],
    ]
    pieces = [delta(reasoning_content="h"), delta(reasoning_content="m"), delta(content="Le"), delta(content="t's see")]
    pieces += [delta(tool_calls=parts) for parts in calls]
    return stream([*pieces, delta(finish_reason="tool_calls"), event({"choices": [], "usage": USAGE}), DONE])


@pytest.mark.parametrize("held", [False, True])
async def test_whole_and_streamed_answers_are_the_same_message(serve: Serve, first: Vendor, held: bool) -> None:
    first.answer = told
    endpoint = await serve({"a": provider(first.url)})
    asked = {"tools": [LOOK], "thinking": {"type": "enabled", "budget_tokens": 2048}}
    whole_ = await ask(endpoint, **asked)
    headers = {"X-Orchestrator-Stream": "whole"} if held else {}
    answer = await ask(endpoint, **asked, stream=True, headers=headers)
    message = message_in(events_in(answer))
    assert whole_.json() == message | {"id": whole_.json()["id"]}
    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "Let's see", "citations": None},
        {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "it"}},
        {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
    ]
    assert (message["stop_reason"], message["stop_sequence"], message["model"]) == ("tool_use", None, "a/m")
    assert message["usage"] == COUNTED
    assert answer.headers["x-orchestrator-route"] == whole_.headers["x-orchestrator-route"] == "a/m"
    assert first.chats[0].body["reasoning_effort"] == "low"


async def test_thoughts_are_shown_to_those_alone_who_ask_for_them(serve: Serve, first: Vendor) -> None:
    first.answer = told
    endpoint = await serve({"a": provider(first.url)})
    content = (await ask(endpoint)).json()["content"]
    assert [block["type"] for block in content] == ["text", "tool_use", "tool_use"]
    assert message_in(events_in(await ask(endpoint, stream=True)))["content"] == content


async def test_a_conversation_with_everything_is_translated(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    marked = {"cache_control": {"type": "ephemeral"}}
    result = [{"type": "text", "text": "seen"}, {"type": "image", "source": PIXEL}]
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "Look", **marked}, {"type": "image", "source": PIXEL}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "it"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "And?"},
                {"type": "tool_result", "tool_use_id": "c1", "content": result, "is_error": True},
            ],
        },
    ]
    choice = {"type": "any", "disable_parallel_tool_use": True}
    answer = await ask(
        endpoint, messages=turns, system=[{"type": "text", "text": "Be brief.", **marked}], stop_sequences=["END"],
        tools=[LOOK | marked], tool_choice=choice, temperature=0.2, top_k=3, metadata={"user_id": "u"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    sent = first.chats[0].body
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    called = {"name": "look", "arguments": '{"at": "it"}'}
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look"}, image]},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": "c1", "type": "function", "function": called}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "Error: seen\n(What else it returned follows.)"},
        {"role": "user", "content": [{"type": "text", "text": "And?"}, image]},
    ]
    function = {"name": "look", "description": "Looks.", "parameters": LOOK["input_schema"]}
    assert sent["tools"] == [{"type": "function", "function": function}]
    assert (sent["tool_choice"], sent["parallel_tool_calls"], sent["stop"]) == ("required", False, ["END"])
    assert (sent["max_tokens"], sent["temperature"]) == (50, 0.2)
    assert not {"top_k", "metadata", "system"} & sent.keys()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
        ({"container": "x"}, "container"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "bash_20250124"),
        ({"messages": [{"role": "user", "content": [{"type": "container_upload"}]}]}, "container_upload"),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "u"}}]}]},
            "a document from a source `url`",
        ),
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    ],
)
async def test_what_cannot_be_translated_is_refused_by_name(
    serve: Serve, first: Vendor, body: dict[str, Any], named: str
) -> None:
    endpoint = await serve({"a": provider(first.url)})
    for streaming in (False, True):
        answer = await ask(endpoint, **{**body, "stream": streaming})
        said = answer.json()
        assert (answer.status_code, said["type"], said["error"]["type"]) == (400, "error", "invalid_request_error")
        assert named in said["error"]["message"]
    assert not first.chats
    assert endpoint.desk.status("a").state == "closed", "a request alone closes no route"


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (lambda asked: refused(400, "no such tool"), 400, "invalid_request_error"),
        (lambda asked: refused(503), 529, "overloaded_error"),
        (lambda asked: refused(401), 529, "overloaded_error"),
    ],
)
async def test_errors_have_anthropics_shape(
    serve: Serve, first: Vendor, answer: Any, status: int, kind: str, streaming: bool
) -> None:
    first.answer = answer
    endpoint = await serve({"a": provider(first.url)})
    found = await ask(endpoint, stream=streaming)
    assert (found.status_code, found.json()["type"], found.json()["error"]["type"]) == (status, "error", kind)


async def test_rights_limits_and_unknown_models_are_told_in_anthropics_shape(serve: Serve, first: Vendor) -> None:
    viewer = Principal("tests", Role.VIEWER, frozenset({"gateway"}))
    endpoint = await serve({"a": provider(first.url)}, principal=viewer)
    assert (await ask(endpoint)).json()["error"]["type"] == "permission_error"
    limited = await serve({"a": provider(first.url)}, token=a_token(daily_tokens=10))
    answer = await ask(limited)
    assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
    answer = await ask(limited, model="unknown")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


async def test_a_stream_that_breaks_off_ends_with_an_error_event(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer = lambda asked: stream([delta(content="Y")])
    endpoint = await serve({"a": provider(first.url), "b": provider(second.url)})
    events = events_in(await ask(endpoint, stream=True))
    assert [one["type"] for one in events] == [
        "message_start", "content_block_start", "content_block_delta", "error",
    ]  # fmt: skip
    assert events[-1]["error"]["type"] == "api_error"
    held = await ask(endpoint, stream=True, headers={"X-Orchestrator-Stream": "whole"})
    assert message_in(events_in(held))["content"][0]["text"] == "Yes."


async def test_fields_that_a_translation_adds_are_left_out_where_a_model_refuses_them(
    serve: Serve, first: Vendor
) -> None:
    def strict(asked: Asked) -> Response:
        if "max_tokens" in asked.body:
            return refused(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "reasoning_effort" in asked.body:
            return refused(400, "Unrecognized request argument supplied: 'reasoning_effort'")
        return stream([delta(content="Yes."), END, DONE])

    first.answer = strict
    endpoint = await serve({"a": provider(first.url)})
    thinking = {"type": "enabled", "budget_tokens": 20_000}
    for _ in range(2):
        assert (await ask(endpoint, thinking=thinking)).status_code == 200
    assert len(first.chats) == 4, "what was learned is kept"
    assert first.chats[-1].body["max_completion_tokens"] == 50
    # What a client of the chat format has written itself is its own affair.
    chat = await endpoint.ask(max_tokens=50)
    assert (chat.status_code, first.chats[-1].body["max_tokens"]) == (400, 50)


async def test_the_text_at_which_an_answer_ended_is_named(serve: Serve, first: Vendor) -> None:
    first.answer = lambda asked: stream(
        [delta(content="1"), event({"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}), DONE]
    )
    endpoint = await serve({"a": provider(first.url)})
    found = (await ask(endpoint, stop_sequences=["END"])).json()
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")
    found = message_in(events_in(await ask(endpoint, stream=True)))
    assert (found["stop_reason"], found["stop_sequence"]) == ("end_turn", None), "it had not asked for that"


async def test_tokens_are_counted_and_models_listed_as_anthropic_does(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    counted = await endpoint.client.post("/v1/messages/count_tokens", json={**ASKED, "max_tokens": None})
    assert 1 < counted.json()["input_tokens"] < 40
    listed = (await endpoint.client.get("/v1/models", headers={"anthropic-version": "2023-06-01"})).json()
    assert [model["id"] for model in listed["data"]] == ["auto", "a/m"]
    assert listed["has_more"] is False
    missing = await endpoint.client.get("/v1/models/none", headers={"anthropic-version": "2023-06-01"})
    assert missing.json()["error"]["type"] == "not_found_error"
    assert (await endpoint.client.get("/v1/messages")).json()["error"]["type"] == "invalid_request_error"
    assert not first.chats


async def test_a_provider_without_streams_and_calls_in_one_piece(serve: Serve, first: Vendor) -> None:
    call = {"id": "", "type": "function", "function": {"name": "look", "arguments": json.dumps({"at": 1})}}
    first.answer = lambda asked: whole(None, "tool_calls", tool_calls=[call])
    endpoint = await serve({"a": provider(first.url, streaming=False)})
    message = message_in(events_in(await ask(endpoint, stream=True, tools=[LOOK])))
    assert message["content"][0]["input"] == {"at": 1}
    assert message["content"][0]["id"], "a call without an identifier gets one"


async def test_anthropic_is_sent_what_its_client_has_written(serve: Serve, first: Vendor, second: Vendor) -> None:
    def native(asked: Asked) -> Response:
        return anthropic.told(asked) if asked.path == "/v1/messages" else refused(503)

    first.answer = native
    section = {"type": "anthropic", "baseUrl": first.url, "defaultModel": "claude-x"}
    endpoint = await serve({"c": section, "b": provider(second.url)})
    signed = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    elsewhere = {"type": "thinking", "thinking": "hm", "signature": ""}
    body = {
        "max_tokens": 99, "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "thinking": {"type": "adaptive"}, "top_k": 3, "container": "x", "metadata": {"user_id": "u"},
        "tools": [LOOK, {"type": "bash_20250124", "name": "bash"}],
        "messages": [
            {"role": "user", "content": "Go"},
            {"role": "assistant", "content": [elsewhere, signed, {"type": "text", "text": "Yes?"}]},
            {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "https://x"}}]},
        ],
    }  # fmt: skip
    answers = [
        await ask(endpoint, **body, headers={"anthropic-beta": "some-1"}),
        await ask(endpoint, **body, stream=True),
    ]
    sent = first.chats[0]
    kept = [body["messages"][0], {"role": "assistant", "content": body["messages"][1]["content"][1:]}]  # type: ignore[index]
    assert sent.body == {**body, "messages": [*kept, body["messages"][2]], "model": "claude-x", "stream": True}  # type: ignore[index]
    assert sent.headers["anthropic-beta"] == "some-1"
    message = message_in(events_in(answers[1]))
    assert answers[0].json() == message | {"id": "msg_1", "usage": anthropic.USAGE}
    assert message["usage"] == anthropic.USAGE
    blocks = [one if one["type"] != "text" else {**one, "citations": None} for one in anthropic.CONTENT]
    assert message["content"] == blocks

    first.answer = lambda asked: refused(529)
    answer = await ask(endpoint, **body)
    assert answer.status_code == 400
    assert "container" in answer.json()["error"]["message"], "another provider could not be asked for that"
    plain = await ask(endpoint)
    assert (plain.status_code, plain.json()["model"]) == (200, "b/m")


async def test_a_chat_client_is_answered_by_anthropic(serve: Serve, first: Vendor) -> None:
    first.answer = anthropic.told
    endpoint = await serve({"c": {"type": "anthropic", "baseUrl": first.url, "defaultModel": "claude-x"}})
    whole_ = (await endpoint.ask()).json()
    message = whole_["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("I look.", "Let me look.")
    assert whole_["usage"]["prompt_tokens_details"] == {"cached_tokens": 100}
    answer = await endpoint.ask(stream=True)
    assert "usage" not in answer.text
    assert '"content":"look."' in answer.text

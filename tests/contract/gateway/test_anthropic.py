"""The kind `anthropic`: what it is sent, what is made of its answers, and how its failures are classed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from starlette.responses import Response

from orchestration.providers.failures import FailureKind, NoRouteError, RequestRefusedError
from orchestration.providers.wire import THINKING_BLOCKS, NativeRequest
from orchestration.rehearsal import RehearsalServer
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import BODY, Desk, provider
from tests.support.vendor import Asked, Vendor, as_json, refused, stream

KEY = {"credentials": {"ANTHROPIC_API_KEY": "sk-ant-x"}}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"properties": {}}}}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
USAGE = {
    "input_tokens": 5, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 100, "output_tokens": 4,
}  # fmt: skip
CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Let me look.", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "c2VjcmV0"},
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}},
]


def anthropic(url: str, **more: Any) -> dict[str, dict[str, Any]]:
    settings = {"type": "anthropic", "baseUrl": url, "defaultModel": "claude-x", "apiKeyEnv": "ANTHROPIC_API_KEY"}
    return {"anthropic": settings | more}


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\r\ndata: {json.dumps({'type': kind, **data})}\r\n\r\n".encode()


def events() -> list[bytes]:
    """CONTENT as Anthropic streams it."""
    usage = {**USAGE, "output_tokens": 1}
    found = [event("message_start", message={"id": "msg_1", "content": [], "usage": usage}), event("ping")]
    for index, block in enumerate(CONTENT):
        deltas: list[Mapping[str, Any]] = []
        empty = dict(block)
        match block["type"]:
            case "thinking":
                empty |= {"thinking": "", "signature": ""}
                parts = (block["thinking"][:6], block["thinking"][6:])
                deltas += [{"type": "thinking_delta", "thinking": part} for part in parts]
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            case "text":
                empty["text"] = ""
                deltas += [{"type": "text_delta", "text": part} for part in ("I ", "look.")]
            case "tool_use":
                empty["input"] = {}
                deltas += [{"type": "input_json_delta", "partial_json": part} for part in ("", '{"at":', ' "it"}')]
        found.append(event("content_block_start", index=index, content_block=empty))
        found += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        found.append(event("content_block_stop", index=index))
    delta = {"stop_reason": "tool_use", "stop_sequence": None}
    return [*found, event("message_delta", delta=delta, usage={"output_tokens": 4}), event("message_stop")]


def told(asked: Asked) -> Response:
    if asked.body.get("stream"):
        return stream(events())
    return as_json({"id": "msg_1", "type": "message", "content": CONTENT, "stop_reason": "tool_use", "usage": USAGE})


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_answer_with_thoughts_and_calls_is_understood(
    make_desk: MakeDesk, first: Vendor, streaming: bool
) -> None:
    first.answer = told
    desk = make_desk(anthropic(f"{first.url}/v1", streaming=streaming), desk=KEY)
    completion = await desk.ask(body={**BODY, "tools": [TOOL]})
    assert completion.message["content"] == "I look."
    assert completion.message["reasoning_content"] == "Let me look."
    assert [{k: v for k, v in one.items() if k != "index"} for one in completion.message[THINKING_BLOCKS]] == CONTENT[
        :2
    ]
    assert completion.message["tool_calls"] == [CALL]
    assert completion.finish_reason == "tool_calls"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (112, 100, 4)
    assert usage.cache_written_tokens == 7
    asked = first.chats[0]
    assert (asked.path, asked.headers["x-api-key"]) == ("/v1/messages", "sk-ant-x")
    assert "authorization" not in asked.headers
    assert asked.headers["anthropic-version"]


async def test_a_conversation_is_put_into_anthropics_words(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = told
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    marked = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}}
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}
    body = {
        "messages": [
            {"role": "system", "content": [marked]},
            {"role": "user", "content": [{"type": "text", "text": "Look"}, image, pdf]},
            {"role": "assistant", "content": "", "tool_calls": [CALL], THINKING_BLOCKS: CONTENT[:2]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "seen"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": ""},
            {"role": "user", "content": "And?"},
            {"role": "assistant", "content": "It is "},
        ],
        "tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "stop": "END", "seed": 1,
        "max_tokens": 99, "temperature": 1.5, "top_p": 0.5, "reasoning_effort": "none", "logit_bias": {"1": 2},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    }  # fmt: skip
    await make_desk(anthropic(first.url), desk=KEY).ask(body=body)
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "seen"}]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": []},
    ]
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}}
    closed = {**schema["properties"]["a"], "additionalProperties": False}  # type: ignore[index]
    closed_schema = {"type": "object", "properties": {"a": closed}, "additionalProperties": False}
    assert first.chats[0].body == {
        "model": "claude-x", "max_tokens": 99, "stream": True, "temperature": 1.0, "stop_sequences": ["END"],
        "system": [marked],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image", "source": source},
                    {"type": "document", "source": {**source, "media_type": "application/pdf"}},
                ],
            },
            {"role": "assistant", "content": [*CONTENT[:2], use]},
            {"role": "user", "content": [*results, {"type": "text", "text": "And?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It is"}]},
        ],
        "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "output_config": {"format": {"type": "json_schema", "schema": closed_schema}},
    }  # fmt: skip


async def test_a_model_from_before_adaptive_thinking_gets_a_budget(make_desk: MakeDesk, first: Vendor) -> None:
    def older(asked: Asked) -> Response:
        if asked.body["thinking"]["type"] == "adaptive":
            error = {"type": "invalid_request_error", "message": "adaptive thinking is not supported on this model"}
            return as_json({"type": "error", "error": error}, 400)
        return told(asked)

    first.answer = older
    desk = make_desk(anthropic(first.url), desk=KEY)
    for _ in range(2):
        await desk.ask(body={**BODY, "reasoning_effort": "low", "temperature": 0.3})
    assert [one.body["thinking"]["type"] for one in first.chats] == ["adaptive", "enabled", "enabled"]
    assert first.chats[0].body["output_config"] == {"effort": "low"}
    assert first.chats[-1].body["thinking"]["budget_tokens"] < first.chats[-1].body["max_tokens"]
    assert not any("temperature" in one.body for one in first.chats), "none is allowed beside thinking"


async def test_results_are_not_thought_about_without_the_thoughts_before(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = told
    messages = [
        *BODY["messages"],
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "x"},
    ]
    await make_desk(anthropic(first.url), desk=KEY).ask(body={"messages": messages, "reasoning_effort": "high"})
    assert "thinking" not in first.chats[0].body


REFUSALS = [
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    "messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest message cannot be modified.",
    "messages.1.content.0.thinking.signature: Field required",
]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("native", [False, True])
async def test_thoughts_that_it_does_not_take_back_are_left_out(
    make_desk: MakeDesk, first: Vendor, refusal: str, native: bool
) -> None:
    """They are of another model, which a client cannot know behind a gateway."""

    def thoughtless(asked: Asked) -> Response:
        blocks = [one for turn in asked.body["messages"] for one in turn["content"] if isinstance(one, dict)]
        thinks = "thinking" in asked.body or any("thinking" in one["type"] for one in blocks)
        return refused(400, refusal) if thinks else told(asked)

    first.answer = thoughtless
    result = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]
    own = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Look."}]},
            {"role": "assistant", "content": CONTENT},
            {"role": "user", "content": result},
        ],
        "max_tokens": 9000, "thinking": {"type": "adaptive"},
    }  # fmt: skip
    messages = [
        *BODY["messages"],
        {"role": "assistant", "tool_calls": [CALL], THINKING_BLOCKS: CONTENT[:2]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "x"},
    ]
    asked = {"messages": messages, "reasoning_effort": "high"}
    desk = make_desk(anthropic(first.url), desk=KEY)
    more = {"native": NativeRequest(own, {})} if native else {}
    for _ in range(2):
        assert (await desk.ask(body=asked, **more)).message["content"] == "I look."
    # With them first, each time: another conversation's are its own.
    assert ["thinking" in one.body for one in first.chats] == [True, False] * 2
    assert [turn["role"] for turn in first.chats[1].body["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "json_object"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "custom"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "input_audio"),
    ],
)
async def test_what_it_cannot_do_goes_to_another_provider_or_is_refused_by_name(
    make_desk: MakeDesk, first: Vendor, second: Vendor, more: dict[str, Any], named: str
) -> None:
    desk = make_desk({**anthropic(first.url), "b": provider(second.url)}, desk=KEY)
    assert (await desk.ask(body={**BODY, **more})).message["content"] == "Yes."
    with pytest.raises(RequestRefusedError, match=named):
        await desk.ask(body={**BODY, **more}, provider="anthropic", only=True)
    assert not first.chats
    assert desk.status("anthropic").state == "closed"


async def test_an_agent_asks_in_words_for_a_form_that_it_does_not_know(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = told
    form = {"type": "json_object"}
    completion = await make_desk(anthropic(first.url), desk=KEY).ask(
        body={**BODY, "response_format": form}, adaptable=True
    )
    assert completion.message["content"] == "I look."


@pytest.fixture
async def rehearsal() -> AsyncIterator[RehearsalServer]:
    async with RehearsalServer(latency=0.0) as server:
        yield server


def rehearsed(make_desk: MakeDesk, server: RehearsalServer, fault: str = "", **more: Any) -> Desk:
    model = f"rehearsal-1?fault={fault}" if fault else "rehearsal-1"
    return make_desk(anthropic(server.url, defaultModel=model, **more), desk=KEY)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_server_of_its_shape_is_talked_to(
    make_desk: MakeDesk, rehearsal: RehearsalServer, streaming: bool
) -> None:
    desk = rehearsed(make_desk, rehearsal, streaming=streaming)
    completion = await desk.ask(body={**BODY, "reasoning_effort": "high"})
    assert completion.message["content"].startswith("[rehearsal]")
    assert completion.message[THINKING_BLOCKS][0]["signature"]
    assert completion.rehearsal
    assert not completion.usage.estimated
    assert (await desk.gateway.probe("anthropic", deep=True)).ok
    task = 'Call list_files {"path": "."}'
    called = await desk.ask(body={"messages": [{"role": "user", "content": task}], "tools": [TOOL]})
    assert called.finish_reason in ("tool_calls", "stop")


KINDS = {
    "400": FailureKind.BAD_REQUEST, "401": FailureKind.AUTHENTICATION, "403": FailureKind.AUTHENTICATION,
    "404": FailureKind.MODEL_MISSING, "413": FailureKind.BAD_REQUEST, "429:40": FailureKind.RATE_LIMITED,
    "500": FailureKind.OVERLOADED, "529": FailureKind.OVERLOADED, "error_line": FailureKind.OVERLOADED,
    "empty": FailureKind.MALFORMED, "garbage": FailureKind.MALFORMED, "truncate": FailureKind.MALFORMED,
    "disconnect": FailureKind.MALFORMED,
}  # fmt: skip


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("fault", "kind"), KINDS.items())
async def test_its_failures_are_classed_as_all_others(
    make_desk: MakeDesk, rehearsal: RehearsalServer, fault: str, kind: FailureKind, streaming: bool
) -> None:
    desk = rehearsed(make_desk, rehearsal, fault, streaming=streaming)
    desk.random = lambda: 0.0
    with pytest.raises((NoRouteError, RequestRefusedError)) as failed:
        await desk.ask()
    assert {one.outcome for one in failed.value.tries} == {kind.value}


async def test_its_own_error_in_a_stream_names_its_status(make_desk: MakeDesk, first: Vendor) -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    first.answer = lambda asked: stream([*events()[:1], event("error", error=error)])
    with pytest.raises(NoRouteError) as failed:
        await make_desk(anthropic(first.url), desk=KEY).ask()
    assert {one.status for one in failed.value.tries} == {529}


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "message_start"}, {"type": "content_block_start", "index": 0}, {"type": "message_delta", "delta": 7},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta"}},
        {"type": "message_start", "message": {"usage": 7}},
    ],
)  # fmt: skip
async def test_an_event_without_its_parts_is_no_answer(make_desk: MakeDesk, first: Vendor, odd: Any) -> None:
    first.answer = lambda asked: stream([b"data: " + json.dumps(odd).encode() + b"\n\n", *events()])
    with pytest.raises(NoRouteError):
        await make_desk(anthropic(first.url), desk=KEY).ask()


@pytest.mark.parametrize("odd", [{}, [], {"content": 7}, {"content": [7]}, {"content": [{"type": "text"}]}, "x"])
async def test_an_answer_without_its_parts_is_none(make_desk: MakeDesk, first: Vendor, odd: Any) -> None:
    first.answer = lambda asked: as_json(odd)
    with pytest.raises(NoRouteError):
        await make_desk(anthropic(first.url, streaming=False), desk=KEY).ask()


async def test_its_limits_and_the_lengths_of_its_answers_are_read(make_desk: MakeDesk, first: Vendor) -> None:
    def limited(asked: Asked) -> Response:
        return as_json({"content": CONTENT, "stop_reason": "end_turn"}, anthropic_ratelimit_tokens_remaining="900")

    models = [{"id": "claude-x", "max_input_tokens": 200_000, "max_tokens": 64_000}]
    first.answer, first.probe = limited, lambda asked: as_json({"data": models})
    desk = make_desk(anthropic(first.url, streaming=False), desk=KEY)
    assert (await desk.gateway.probe("anthropic")).ok
    await desk.ask()
    assert first.chats[0].body["max_tokens"] == 32_000
    assert desk.gateway._routes.provider("anthropic").headroom == {"remaining-tokens": 900.0}
    first.probe = lambda asked: refused(401)
    assert not (await desk.gateway.probe("anthropic")).ok
    assert all("x-api-key" in one.headers for one in first.probes)

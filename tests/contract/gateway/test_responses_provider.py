"""Providers that are asked by the Responses API: what they are sent, what is made of their answers, and how their
failures are classed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from orchestration.providers.failures import FailureKind, NoRouteError, RequestRefusedError
from orchestration.providers.responses_answer import ResponseEventReading, chat_answer
from orchestration.providers.responses_request import responses_request
from orchestration.providers.stream_assembly import StreamAssembly
from orchestration.providers.wire import OUTPUT_OUTLINE
from orchestration.rehearsal import RehearsalServer
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import BODY, Desk, provider
from tests.support.vendor import Asked, Vendor, as_json, refused, stream

KEY = {"credentials": {"OPENAI_API_KEY": "sk-x", "AZURE_OPENAI_API_KEY": "azure-x"}}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
USAGE = {
    "input_tokens": 112, "input_tokens_details": {"cached_tokens": 100}, "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 121,
}  # fmt: skip


def said(text: str, **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part], **more}


THOUGHT = {
    "id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Let me look."}],
    "encrypted_content": "gAAAA",
}  # fmt: skip
CALLED = {
    "id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": "it"}',
    "status": "completed",
}  # fmt: skip
OUTPUT = [THOUGHT, said("I look.", phase="commentary"), {**THOUGHT, "id": "rs_2", "encrypted_content": "gBBBB"}, CALLED]
OUTLINE = [
    {"type": "reasoning", "summary": THOUGHT["summary"], "encrypted_content": "gAAAA"},
    {"type": "message", "characters": 7, "phase": "commentary"},
    {"type": "reasoning", "summary": THOUGHT["summary"], "encrypted_content": "gBBBB"},
    {"type": "function_call", "call_id": "call_1"},
]


def responses(url: str, **more: Any) -> dict[str, dict[str, Any]]:
    settings = {
        "type": "openai", "api": "responses", "baseUrl": f"{url}/v1", "defaultModel": "gpt-x",
        "apiKeyEnv": "OPENAI_API_KEY",
    }  # fmt: skip
    return {"openai": settings | more}


def response(output: list[dict[str, Any]], status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 1.0, "status": status, "error": None, "model": "gpt-x-2026",
        "incomplete_details": None, "output": output, "usage": USAGE, **more,
    }  # fmt: skip


def event(kind: str, **data: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def deltas(item: dict[str, Any], at: dict[str, Any], size: int) -> Iterable[bytes]:
    """What comes of an item before it is finished, `size` characters at a time."""
    match item["type"]:
        case "message":
            texts = [("response.output_text.delta", {"content_index": 0}, item["content"][0]["text"])]
        case "function_call":
            texts = [("response.function_call_arguments.delta", {}, item["arguments"])]
        case _:
            kind = "response.reasoning_summary_text.delta"
            texts = [(kind, {"summary_index": n}, part["text"]) for n, part in enumerate(item["summary"])]
    for kind, more, text in texts:
        for start in range(0, len(text), size):
            yield event(kind, **at, **more, delta=text[start : start + size])


def events(output: list[dict[str, Any]], *, size: int = 4, pieces: bool = True, items: bool = True) -> list[bytes]:
    """An answer as it is streamed; without `pieces` an item comes when it is finished, without `items` with the end."""
    found = [event("response.created", response=response([], "in_progress", usage=None))]
    for number, item in enumerate(output if items else ()):
        at = {"output_index": number, "item_id": item["id"]}
        empty = {**item, "content": [], "arguments": "", "summary": []}
        found.append(event("response.output_item.added", output_index=number, item=empty))
        found += deltas(item, at, size) if pieces else ()
        found.append(event("response.output_item.done", output_index=number, item=item))
    return [*found, event("response.completed", response=response(output))]


def told(asked: Asked) -> Response:
    return stream(events(OUTPUT)) if asked.body.get("stream") else as_json(response(OUTPUT))


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_answer_with_thoughts_and_calls_is_understood(
    make_desk: MakeDesk, first: Vendor, streaming: bool
) -> None:
    first.answer = told
    completion = await make_desk(responses(first.url, streaming=streaming), desk=KEY).ask(
        body={**BODY, "tools": [TOOL]}
    )
    message = completion.message
    assert (message["content"], message["tool_calls"]) == ("I look.", [CALL])
    assert message["reasoning_content"] == "Let me look.\n\nLet me look."
    assert message[OUTPUT_OUTLINE] == OUTLINE
    assert completion.finish_reason == "tool_calls"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (112, 100, 9)
    assert usage.thinking_tokens == 5
    assert completion.extra["model"] == "gpt-x-2026"
    asked = first.chats[0]
    assert (asked.path, asked.headers["authorization"]) == ("/v1/responses", "Bearer sk-x")
    assert asked.body["tools"] == [{"type": "function", **TOOL["function"], "strict": False}]


async def test_a_conversation_is_put_into_its_words(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = told
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}}
    schema = {"type": "object", "properties": {}}
    text = {"type": "text", "text": "Look"}
    body = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [text, image, pdf]},
            {"role": "assistant", "content": "I look.", "tool_calls": [CALL], OUTPUT_OUTLINE: OUTLINE},
            {"role": "tool", "tool_call_id": "call_1", "content": "seen"},
            {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": "call_2"}], OUTPUT_OUTLINE: OUTLINE},
            {"role": "tool", "tool_call_id": "call_2", "content": [text, image]},
            {"role": "user", "content": "And?"},
        ],
        "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "look"}}, "seed": 1,
        "parallel_tool_calls": False, "max_tokens": 3, "temperature": 0.5, "top_p": 0.5, "reasoning_effort": "low",
        "verbosity": "low", "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        "prompt_cache_key": "k",
    }  # fmt: skip
    await make_desk(responses(first.url), desk=KEY).ask(body=body)
    seen = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"}
    read = {"type": "input_file", **pdf["file"]}  # type: ignore[dict-item]
    look = {"type": "input_text", "text": "Look"}
    called = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": "it"}'}
    assert first.chats[0].body == {
        "model": "gpt-x", "stream": True, "store": False, "include": ["reasoning.encrypted_content"],
        "input": [
            {"type": "message", "role": "system", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [look, seen, read]},
            OUTLINE[0],
            {"type": "message", "role": "assistant", "content": "I look.", "phase": "commentary"},
            OUTLINE[2],
            called,
            {"type": "function_call_output", "call_id": "call_1", "output": "seen"},
            {**called, "call_id": "call_2"},
            {"type": "function_call_output", "call_id": "call_2", "output": [look, seen]},
            {"type": "message", "role": "user", "content": "And?"},
        ],
        "tools": [{"type": "function", **TOOL["function"], "strict": False}],
        "tool_choice": {"type": "function", "name": "look"}, "parallel_tool_calls": False, "max_output_tokens": 16,
        "temperature": 0.5, "top_p": 0.5, "reasoning": {"effort": "low"}, "prompt_cache_key": "k",
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": schema}},
    }  # fmt: skip


async def test_what_only_it_understands_is_kept_from_others(make_desk: MakeDesk, first: Vendor, second: Vendor) -> None:
    message = {"role": "assistant", "content": "I look.", "tool_calls": [CALL], OUTPUT_OUTLINE: OUTLINE}
    messages = [*BODY["messages"], message, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]
    await make_desk({"b": provider(second.url)}).ask(body={"messages": messages})
    assert OUTPUT_OUTLINE not in second.chats[0].body["messages"][1]


@pytest.mark.parametrize(
    ("settings", "path", "query"),
    [
        ({}, "/openai/v1/responses", {}),
        ({"apiVersion": "2025-04-01"}, "/openai/responses", {"api-version": "2025-04-01"}),
    ],
)
async def test_azure_is_asked_at_its_own_addresses(
    make_desk: MakeDesk, first: Vendor, settings: dict[str, str], path: str, query: dict[str, str]
) -> None:
    first.answer = told
    azure = {"type": "azure", "api": "responses", "baseUrl": first.url, "defaultModel": "mine", **settings}
    await make_desk({"azure": azure}, desk=KEY).ask()
    asked = first.chats[0]
    assert (asked.path, asked.query, asked.headers["api-key"]) == (path, query, "azure-x")
    assert asked.body["model"] == "mine"


async def test_a_model_that_does_not_think_is_not_asked_for_thoughts_again(make_desk: MakeDesk, first: Vendor) -> None:
    def plain(asked: Asked) -> Response:
        known = "include" not in asked.body
        return told(asked) if known else refused(400, "Encrypted content is not supported with this model.")

    first.answer = plain
    desk = make_desk(responses(first.url), desk=KEY)
    for _ in range(2):
        assert (await desk.ask()).message["content"] == "I look."
    assert ["include" in one.body for one in first.chats] == [True, False, False]


@pytest.mark.parametrize(
    "refusal",
    [
        "The encrypted content gAAAAAB for item rs_1 could not be verified. Reason: it could not be decrypted.",
        "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
    ],
)
async def test_thoughts_that_it_does_not_take_back_are_left_out(
    make_desk: MakeDesk, first: Vendor, refusal: str
) -> None:
    """They are of another model or account, which a client cannot know behind a gateway."""

    def thoughtless(asked: Asked) -> Response:
        thinks = any(one.get("type") == "reasoning" for one in asked.body["input"])
        return refused(400, refusal) if thinks else told(asked)

    first.answer = thoughtless
    message = {"role": "assistant", "content": "I look.", "tool_calls": [CALL], OUTPUT_OUTLINE: OUTLINE}
    messages = [*BODY["messages"], message, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]
    desk = make_desk(responses(first.url), desk=KEY)
    for _ in range(2):
        assert (await desk.ask(body={"messages": messages})).message["content"] == "I look."
    # With them first, each time: another conversation's are its own. New ones are asked for all the same.
    assert len(first.chats) == 4
    assert all("include" in one.body for one in first.chats)


@pytest.mark.parametrize(
    ("more", "message", "left"),
    [
        ({"reasoning_effort": "low"}, "Unsupported parameter: 'reasoning.effort' is not supported.", "reasoning"),
        ({"temperature": 0.1}, "Unsupported parameter: 'temperature' is not supported with this model.", "temperature"),
        ({"verbosity": "low"}, "Unknown parameter: 'text.verbosity'.", "text"),
        ({"response_format": {"type": "json_object"}}, "Invalid value: text.format is not supported", "text"),
    ],
)
async def test_a_field_that_a_model_refuses_is_left_out(
    make_desk: MakeDesk, first: Vendor, more: dict[str, Any], message: str, left: str
) -> None:
    first.answer = lambda asked: refused(400, message) if left in asked.body else told(asked)
    desk = make_desk(responses(first.url), desk=KEY)
    for _ in range(2):
        assert (await desk.ask(body={**BODY, **more}, adaptable=True)).message["content"] == "I look."
    assert [left in one.body for one in first.chats[-2:]] == [False, False], "remembered"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"stop": "END"}, "stop"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "custom"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "input_audio"),
    ],
)
async def test_what_it_cannot_do_goes_to_another_provider_or_is_refused_by_name(
    make_desk: MakeDesk, first: Vendor, second: Vendor, more: dict[str, Any], named: str
) -> None:
    desk = make_desk({**responses(first.url), "b": provider(second.url)}, desk=KEY)
    assert (await desk.ask(body={**BODY, **more})).message["content"] == "Yes."
    with pytest.raises(RequestRefusedError, match=named):
        await desk.ask(body={**BODY, **more}, provider="openai", only=True)
    assert not first.chats
    assert desk.status("openai").state == "closed"


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("more", "finish"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"output": [said("Yes.")]}, "stop"),
        (
            {"output": [said("", content=[{"type": "refusal", "refusal": "I won't."}])]},
            "stop",
        ),
    ],
)
async def test_an_answer_ends_as_it_says(
    make_desk: MakeDesk, first: Vendor, more: dict[str, Any], finish: str, streaming: bool
) -> None:
    ended = response([said("Ye")]) | more
    kind = f"response.{ended['status']}"
    first.answer = lambda asked: stream([event(kind, response=ended)]) if streaming else as_json(ended)
    completion = await make_desk(responses(first.url, streaming=streaming), desk=KEY).ask()
    assert completion.finish_reason == finish
    assert completion.message.get("refusal") or completion.message["content"] in ("Ye", "Yes.")


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("written", "finish"), [(20, "length"), (19, "stop")])
async def test_a_server_that_never_says_so_has_cut_an_answer_of_all_the_tokens_permitted(
    make_desk: MakeDesk, first: Vendor, streaming: bool, written: int, finish: str
) -> None:
    ended = response([said("One, two")], usage={"input_tokens": 3, "output_tokens": written})
    del ended["incomplete_details"]
    first.answer = lambda asked: stream([event("response.completed", response=ended)]) if streaming else as_json(ended)
    desk = make_desk(responses(first.url, streaming=streaming), desk=KEY)
    assert (await desk.ask(body={**BODY, "max_tokens": 20})).finish_reason == finish


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "rate_limit_exceeded", "message": "slow down"}, FailureKind.RATE_LIMITED),
        ({"code": "server_error", "message": "it broke"}, FailureKind.OVERLOADED),
        (None, FailureKind.OVERLOADED),
    ],
)
async def test_an_answer_that_failed_is_none(
    make_desk: MakeDesk, first: Vendor, error: dict[str, str] | None, kind: FailureKind, streaming: bool
) -> None:
    failed = response([said("Ye")], "failed", error=error, usage=None)
    first.answer = lambda asked: (
        stream([*events([])[:1], event("response.failed", response=failed)]) if streaming else as_json(failed)
    )
    with pytest.raises(NoRouteError) as refusal:
        await make_desk(responses(first.url, streaming=streaming), desk=KEY).ask()
    assert {one.outcome for one in refusal.value.tries} == {kind.value}


async def test_an_error_in_a_stream_is_one(make_desk: MakeDesk, first: Vendor) -> None:
    error = {"code": "rate_limit_exceeded", "message": "slow down", "param": None}
    first.answer = lambda asked: stream([*events([])[:1], event("error", **error)])
    with pytest.raises(NoRouteError) as refusal:
        await make_desk(responses(first.url), desk=KEY).ask()
    assert {one.outcome for one in refusal.value.tries} == {"rate_limited"}


async def test_a_stream_that_is_cut_off_is_no_answer(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: stream(events([said("Yes.")])[:-1])
    with pytest.raises(NoRouteError):
        await make_desk(responses(first.url), desk=KEY).ask()


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "response.created"}, {"type": "response.output_item.added", "output_index": 0},
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": [7]}},
        {"type": "response.output_text.delta", "output_index": 0}, {"type": "response.completed", "response": 7},
        {"type": "response.completed", "response": {"status": "completed", "output": [{}]}},
    ],
)  # fmt: skip
async def test_an_event_without_its_parts_is_no_answer(make_desk: MakeDesk, first: Vendor, odd: Any) -> None:
    first.answer = lambda asked: stream([b"data: " + json.dumps(odd).encode() + b"\n\n", *events(OUTPUT)])
    with pytest.raises(NoRouteError):
        await make_desk(responses(first.url), desk=KEY).ask()


@pytest.mark.parametrize("odd", [{}, [], {"output": 7}, {"output": [7]}, {"output": [{"type": "message"}]}, "x"])
async def test_an_answer_without_its_parts_is_none(make_desk: MakeDesk, first: Vendor, odd: Any) -> None:
    first.answer = lambda asked: as_json(odd)
    with pytest.raises(NoRouteError):
        await make_desk(responses(first.url, streaming=False), desk=KEY).ask()


async def test_a_page_that_was_cited_is_told(make_desk: MakeDesk, first: Vendor) -> None:
    cited = {"type": "url_citation", "start_index": 0, "end_index": 3, "url": "https://example.org", "title": "T"}
    part = {"type": "output_text", "text": "Yes.", "annotations": [cited, {"type": "file_path"}]}
    first.answer = lambda asked: stream(events([said("Yes.", content=[part])]))
    completion = await make_desk(responses(first.url), desk=KEY).ask()
    assert completion.message["annotations"] == [
        {"type": "url_citation", "url_citation": {name: cited[name] for name in cited if name != "type"}}
    ]


@pytest.fixture
async def rehearsal() -> AsyncIterator[RehearsalServer]:
    async with RehearsalServer(latency=0.0) as server:
        yield server


def rehearsed(make_desk: MakeDesk, server: RehearsalServer, fault: str = "", **more: Any) -> Desk:
    model = f"rehearsal-1?fault={fault}" if fault else "rehearsal-1"
    return make_desk(responses(server.url, defaultModel=model, **more), desk=KEY)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_server_of_its_shape_is_talked_to(
    make_desk: MakeDesk, rehearsal: RehearsalServer, streaming: bool
) -> None:
    desk = rehearsed(make_desk, rehearsal, streaming=streaming)
    completion = await desk.ask()
    assert completion.message["content"].startswith("[rehearsal]")
    assert completion.message[OUTPUT_OUTLINE][0]["encrypted_content"]
    assert completion.rehearsal
    assert not completion.usage.estimated
    assert (await desk.gateway.probe("openai", deep=True)).ok
    again = {"messages": [*BODY["messages"], completion.message, {"role": "user", "content": "And?"}]}
    assert (await desk.ask(body=again)).message["content"]


KINDS = {
    "400": FailureKind.BAD_REQUEST, "401": FailureKind.AUTHENTICATION, "404": FailureKind.MODEL_MISSING,
    "429:40": FailureKind.RATE_LIMITED, "500": FailureKind.OVERLOADED, "error_line": FailureKind.OVERLOADED,
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


WAYS = ("pieces", "by id", "items", "end")
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
ITEMS = st.one_of(
    st.builds(said, TEXTS, phase=st.sampled_from(["commentary", "final_answer"])),
    st.builds(lambda texts, cipher: {
        **THOUGHT, "summary": [{"type": "summary_text", "text": text} for text in texts], "encrypted_content": cipher,
    }, st.lists(TEXTS, max_size=2), TEXTS),
    st.builds(lambda word: {**CALLED, "arguments": json.dumps({"at": word})}, TEXTS),
)  # fmt: skip


@given(st.lists(ITEMS, min_size=1, max_size=5), st.integers(1, 9), st.sampled_from(WAYS))
def test_however_an_answer_comes_it_is_the_same_and_goes_back_as_it_came(
    output: list[dict[str, Any]], size: int, way: str
) -> None:
    output = [{**item, "id": f"it_{n}", **_with_id(item, n)} for n, item in enumerate(output)]
    whole = chat_answer(response(output))["choices"][0]
    reading, assembly = ResponseEventReading(), StreamAssembly()
    for line in events(output, size=size, pieces=way in ("pieces", "by id"), items=way != "end"):
        told = json.loads(line.decode().partition("data: ")[2])
        for chunk in reading.chunks(_without_place(told) if way == "by id" else told):
            assembly.add(chunk)
    message = assembly.message()
    assert {k: v for k, v in message.items() if v is not None} == {
        k: v for k, v in whole["message"].items() if v is not None
    }
    assert assembly.finish_reason == whole["finish_reason"]
    sent = responses_request({"messages": [message]}, encrypted=True)["input"]
    if output[-1]["type"] == "reasoning":
        output = [item for item in output if item["type"] != "reasoning"]
        output.sort(key=lambda item: item["type"] == "function_call")
        said_ = "\n\n".join(item["content"][0]["text"] for item in output if item["type"] == "message")
        texts = [{"type": "message", "role": "assistant", "content": said_}] if said_ else []
        assert sent == [*texts, *(_sent(item) for item in output if item["type"] == "function_call")]
    else:
        assert sent == [_sent(item) for item in output]


def _without_place(event: dict[str, Any]) -> dict[str, Any]:
    """An event as llama.cpp sends it."""
    return {name: value for name, value in event.items() if name != "output_index"}


def _with_id(item: dict[str, Any], number: int) -> dict[str, Any]:
    return {"call_id": f"call_{number}"} if item["type"] == "function_call" else {}


def _sent(item: dict[str, Any]) -> dict[str, Any]:
    """An item as the next request has it."""
    match item["type"]:
        case "message":
            text = item["content"][0]["text"]
            return {"type": "message", "role": "assistant", "content": text, "phase": item["phase"]}
        case "function_call":
            return {name: item[name] for name in ("type", "call_id", "name", "arguments")}
        case _:
            return {name: item[name] for name in ("type", "summary", "encrypted_content")}

"""Whatever a client sends to any of the APIs: an answer or an error in that API's own shape, and never a traceback.

And whatever a provider answers, however its bytes are split: streamed and whole answers say the same in each API.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.gateway import test_anthropic as anthropic
from tests.contract.web_api.conftest import Endpoint, Serve
from tests.contract.web_api.test_any_request import ERROR, scalars, values
from tests.contract.web_api.test_responses import without_ids
from tests.support.event_streams import events_in, message_in, response_in
from tests.support.gateway import provider
from tests.support.vendor import DONE, END, Vendor, as_json, delta, stream

SOUND: dict[str, dict[str, Any]] = {
    "/v1/messages": {
        "model": "a/m", "max_tokens": 9, "system": [{"type": "text", "text": "x"}], "stop_sequences": ["x"],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "tool", "name": "f"},
        "thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "low"},
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "x"}, {"type": "image", "source": {"type": "url", "url": "https://x"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "x", "signature": "x"},
                {"type": "tool_use", "id": "c", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "x"}]},
            ]},
        ],
    },
    "/v1/responses": {
        "model": "a/m", "instructions": "x", "max_output_tokens": 9, "reasoning": {"effort": "low", "summary": "auto"},
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "include": [],
        "tool_choice": {"type": "function", "name": "f"}, "text": {"format": {"type": "text"}, "verbosity": "low"},
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "https://x"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,eA=="},
            ]},
            {"type": "reasoning", "summary": [], "encrypted_content": "orc1.e30="},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
        ],
    },
    "/v1/chat/completions": {
        "model": "a/m", "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "stop": ["x"], "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]},
            {"role": "assistant", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c", "content": "x"},
        ],
    },
}  # fmt: skip
SOUND["/api/chat"] = {
    "model": "a/m", "stream": False, "format": {"type": "object"}, "think": True,
    "options": {"num_predict": 9, "stop": []},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "messages": [
        {"role": "user", "content": "x", "images": ["/9j/x"]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        {"role": "tool", "tool_name": "f", "content": "x"},
    ],
}  # fmt: skip
SOUND["/api/generate"] = {"model": "a/m", "stream": False, "prompt": "x", "system": "x", "images": []}
SOUND["/v1/messages/count_tokens"] = SOUND["/v1/messages"]


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield before
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*before, key))


def damaged(value: Any, place: tuple[Any, ...], by: Any) -> Any:
    """The value with something else at a place."""
    if not place:
        return by
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[place[0]] = damaged(value[place[0]], place[1:], by)
    return changed


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, str]:
    """A path, and a body in which one or two values are others; or the text of a sound one, cut."""
    path = draw(st.sampled_from(sorted(SOUND)))
    body: Any = SOUND[path]
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(list(places(body))))
        body = damaged(body, place, draw(scalars | values | st.sampled_from(["url", "text", "function", [], {}, [{}]])))
    if isinstance(body, dict) and draw(st.booleans()):
        body = {**body, "stream": True}
    text = json.dumps(body)
    return path, draw(st.just(text) | st.integers(0, len(text)).map(lambda end: text[:end]))


def checked(path: str, answer: httpx2.Response) -> None:
    """Fail for anything that a client of the path could not read."""
    assert answer.status_code in (200, 400, 404, 413), (answer.status_code, answer.text)
    if answer.status_code == 200:
        return
    if path.startswith("/v1/messages"):
        assert set(answer.json()) == {"type", "error"}
        assert set(answer.json()["error"]) == {"type", "message"}
    elif path.startswith("/api/"):
        assert set(answer.json()) == {"error"}
        assert isinstance(answer.json()["error"], str)
    else:
        assert set(answer.json()["error"]) == ERROR


@pytest.mark.parametrize("kind", ["openai", "anthropic", "ollama"])
async def test_no_request_is_too_strange_to_be_answered(serve: Serve, first: Vendor, kind: str) -> None:
    """By a provider of each kind, so that each translation sees them."""
    section = {"type": kind, "baseUrl": first.url, "defaultModel": "m"}
    if kind == "anthropic":
        first.answer = anthropic.told
    if kind == "ollama":
        first.answer = lambda asked: as_json({"message": {"content": "Yes."}, "done": True, "done_reason": "stop"})
    endpoint = await serve({"a": section}, models={"a": [{"name": "m", "contextTokens": 8192}]})

    async def ask(path: str, body: str) -> None:
        checked(path, await endpoint.client.post(path, content=body.encode("utf-8", "surrogatepass")))

    portal = anyio.from_thread.BlockingPortal()

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(damages())
    def anything(damage: tuple[str, str]) -> None:
        portal.call(ask, *damage)

    for path, body in SOUND.items():
        assert (await endpoint.client.post(path, json=body)).status_code == 200, path
    async with portal:
        await anyio.to_thread.run_sync(anything)


def recorded() -> dict[str, bytes]:
    """Answers as vendors stream them: calls that share a number, repeat their names, come without identifiers, as
    objects or at once; thoughts under either name; half characters; contents in parts."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
    two = [{**call, "index": 0}, {**call, "index": 1, "id": "c2"}]
    pieces = [
        {"index": 0, "id": "c1", "function": {"name": "read_", "arguments": ""}},
        {"index": 0, "function": {"name": "file"}},
        {"index": 0, "function": {"arguments": '{"p": "\u00e4'}},
        {"index": 0, "function": {"arguments": '\U0001f600"}'}},
        {"index": 0, "id": "c2", "function": {"name": "look", "arguments": "{}"}},
    ]
    as_object = [{"id": "c9", "function": {"name": "look", "arguments": {"a": [1]}}}]
    halves = [b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % half for half in (b"\\ud83d", b"\\ude00")]
    finish = delta(finish_reason="tool_calls")
    return {
        "words": b"".join([delta(role="assistant", content=""), delta(content="Y\u00e9"), delta(content="s."), END]),
        "told": b"".join([delta(reasoning="h"), delta(reasoning="m"), delta(content="a"), delta(content="b"), END]),
        "two calls at once": delta(tool_calls=two) + finish,
        "a call in pieces, and one with its number": b"".join([*(delta(tool_calls=[one]) for one in pieces), finish]),
        "a call as an object": delta(content="Hm.") + delta(tool_calls=as_object) + finish,
        "a text between calls": b"".join(
            [
                delta(tool_calls=[two[0]]),
                delta(content="And "),
                delta(tool_calls=[two[1]]),
                delta(content="so."),
                finish,
            ]
        ),
        "an old call": delta(function_call={"name": "look", "arguments": "{}"}) + finish,
        "halves": b"".join([*halves, END]),
        "parts": delta(content=[{"type": "text", "text": "Yes"}, {"type": "text", "text": "."}]) + END,
        "thoughts alone": delta(reasoning_content="hm") + delta(finish_reason="length"),
        "a refusal": delta(refusal="No.") + END,
    }


async def cut(text: bytes, places_: list[int]) -> Any:
    ends = sorted({place % (len(text) + 1) for place in places_} | {0, len(text)})
    for start, end in pairwise(ends):
        yield text[start:end]
        await anyio.lowlevel.checkpoint()


def said(message: Mapping[str, Any]) -> list[Any]:
    """What a message says, apart from how it is divided; made-up identifiers left out."""
    blocks = message["content"]
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    thoughts = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    return [text, thoughts, calls, message["stop_reason"], message["usage"]]


def answered(response: dict[str, Any]) -> list[Any]:
    items = without_ids(response)["output"]
    text = "".join(item["content"][0]["text"] for item in items if item["type"] == "message")
    thoughts = "".join(part["text"] for item in items if item["type"] == "reasoning" for part in item["summary"])
    calls = [(item["name"], json.loads(item["arguments"])) for item in items if item["type"] == "function_call"]
    return [text, thoughts, calls, response["status"], response["usage"]]


def lined(text: str) -> list[Any]:
    """What the lines of Ollama's API say, of one or of many."""
    lines = [json.loads(line) for line in text.splitlines()]
    messages_ = [line["message"] for line in lines]
    words = "".join(message["content"] for message in messages_)
    thoughts = "".join(message.get("thinking", "") for message in messages_)
    calls = [call for message in messages_ for call in message.get("tool_calls", ())]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    end = lines[-1]
    return [words, thoughts, calls, end["done_reason"], end["prompt_eval_count"], end["eval_count"]]


async def both_ways(endpoint: Endpoint) -> None:
    """Ask in each API, whole and as a stream."""
    message = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]}
    message["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    response = {"model": "auto", "input": "?", "store": False, "reasoning": {"summary": "auto"}}
    whole = await endpoint.client.post("/v1/messages", json=message)
    streamed = await endpoint.client.post("/v1/messages", json={**message, "stream": True})
    assert said(whole.json()) == said(message_in(events_in(streamed)))
    whole = await endpoint.client.post("/v1/responses", json=response)
    streamed = await endpoint.client.post("/v1/responses", json={**response, "stream": True})
    assert answered(whole.json()) == answered(response_in(events_in(streamed)))
    chat = {"model": "auto", "messages": [{"role": "user", "content": "?"}]}
    whole = await endpoint.client.post("/api/chat", json={**chat, "stream": False})
    streamed = await endpoint.client.post("/api/chat", json=chat)
    assert streamed.headers["content-type"].startswith("application/x-ndjson")
    assert lined(whole.text) == lined(streamed.text)


async def test_streamed_and_whole_answers_say_the_same_however_they_come(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    portal = anyio.from_thread.BlockingPortal()
    answers = recorded()

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(text=st.sampled_from(list(answers.values())), at=st.lists(st.integers(0, 4000), max_size=12))
    def anyhow(text: bytes, at: list[int]) -> None:
        first.answer = lambda asked: stream(cut(text + DONE, at))
        portal.call(both_ways, endpoint)

    for text in answers.values():
        first.answer = lambda asked, text=text: stream([text, DONE])
        await both_ways(endpoint)
    async with portal:
        await anyio.to_thread.run_sync(anyhow)

"""Whatever a client sends and a provider answers: an answer or an error in OpenAI's shape, and never a traceback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from tests.contract.web_api.conftest import ASKED, Serve, a_token
from tests.support.gateway import provider
from tests.support.patience import fail_after
from tests.support.vendor import DONE, END, Asked, Vendor, as_json, delta, event, stream

ERROR = {"message", "type", "param", "code"}
EMOJI = "😀"
HALVES = ("\ud83d", "\ude00")

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(HALVES)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
NAMES = (
    *("model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "tools"),
    *("tool_choice", "response_format", "temperature", "stop", "logprobs", "user", "metadata", "seed"),
)
messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "system", "tool"]) | values,
            "content": st.text(max_size=9) | values,
            "tool_calls": values,
            "tool_call_id": values,
        },
    ),
    min_size=1,
    max_size=3,
)
requests = st.fixed_dictionaries({"messages": messages | values}, optional=dict.fromkeys(NAMES[2:], values))


def checked(answer: httpx2.Response) -> None:
    """Fail for anything that a client could not read."""
    assert answer.status_code in (200, 400, 404, 405, 413), (answer.status_code, answer.text)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == ERROR


async def test_no_request_is_too_strange_to_be_answered(serve: Serve, first: Vendor, second: Vendor) -> None:
    native = {"type": "ollama", "host": second.url, "defaultModel": "m"}
    second.answer = lambda asked: as_json({"message": {"content": "Yes."}, "done": True, "done_reason": "stop"})
    models = {"o": [{"name": "m", "contextTokens": 8192}]}
    endpoint = await serve({"a": provider(first.url), "o": native}, models=models)

    async def ask(body: bytes, model: str) -> None:
        text = body.replace(b'"messages"', f'"model": "{model}", "messages"'.encode(), 1)
        checked(await endpoint.client.post("/v1/chat/completions", content=text))

    portal = anyio.from_thread.BlockingPortal()

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(body=requests.map(json.dumps), model=st.sampled_from(["a/m", "o/m"]))
    def anything(body: str, model: str) -> None:
        portal.call(ask, body.encode(), model)

    async with portal:
        await anyio.to_thread.run_sync(anything)


def nested(depth: int) -> bytes:
    return b'{"messages": [{"role": "user", "content": ' + b"[" * depth + b"]" * depth + b"}]}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"messages": [{"role": "user", "content": "\\ud83d"}]}', 200),
        (b'{"messages": [{"role": "user", "content": "\\ud83d\\ude00"}]}', 200),
        (b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "temperature": 1e999}', 400),
        (nested(100_000), 400), (nested(900), 400), (nested(90), 200),
        (b'{"messages": [{"role": "user", "content": "\xff"}]}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "seed": ' + b"9" * 5000 + b"}", 400),
    ],
)  # fmt: skip
async def test_odd_json_is_sent_on_sound_or_refused(serve: Serve, first: Vendor, body: bytes, status: int) -> None:
    endpoint = await serve({"a": provider(first.url)})
    answer = await endpoint.client.post("/v1/chat/completions", content=body)
    assert answer.status_code == status, answer.text
    checked(answer)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v1/nothing", 404), ("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/models", 405)],
)
async def test_an_unknown_address_is_refused_in_openais_shape(
    serve: Serve, first: Vendor, method: str, path: str, status: int
) -> None:
    endpoint = await serve({"a": provider(first.url)})
    answer = await endpoint.client.request(method, path)
    assert answer.status_code == status
    checked(answer)


USAGE = {
    "prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14,
    "completion_tokens_details": {"reasoning_tokens": 2}, "cost": 0.1,
}  # fmt: skip
PIECES: list[dict[str, Any]] = [
    {"delta": {"role": "assistant", "content": "", "annotations": [{"url": "x"}]}, "finish_reason": None},
    {"delta": {"reasoning_content": "hm"}, "logprobs": {"content": [{"token": "a"}]}, "finish_reason": None},
    {"delta": {"reasoning_content": "m", "odd": {"a": "x"}}, "finish_reason": None},
    {"delta": {"content": "Yes "}, "logprobs": {"content": [{"token": "b"}]}, "finish_reason": None},
    {"delta": {"content": EMOJI[0], "odd": {"a": "y"}}, "finish_reason": None},
    {"delta": {}, "finish_reason": "stop", "native_finish_reason": "done"},
]
TOP = {"id": "gen-1", "created": 7, "model": "m-2", "system_fingerprint": "fp", "citations": ["https://x"]}


def told_in_pieces(asked: Asked) -> Response:
    chunks = [event({**TOP, "choices": [{"index": 0, **piece}]}) for piece in PIECES]
    return stream([*chunks, event({**TOP, "choices": [], "usage": USAGE}), DONE])


def joined(answer: httpx2.Response) -> dict[str, Any]:
    """A stream as a client would join it."""
    lines = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
    message: dict[str, Any] = {}
    for line in lines:
        for choice in line["choices"]:
            for name, value in choice["delta"].items():
                before = message.get(name)
                message[name] = before + value if isinstance(before, str) and name != "role" else value
    return {"message": message, "usage": lines[-1].get("usage"), **{name: lines[0].get(name) for name in TOP}}


async def test_whole_and_streamed_answers_have_the_same_fields(serve: Serve, first: Vendor) -> None:
    first.answer = told_in_pieces
    endpoint = await serve({"a": provider(first.url)})
    whole = (await endpoint.ask()).json()
    answer = await endpoint.ask(stream=True, stream_options={"include_usage": True})
    streamed = joined(answer)
    (choice,) = whole["choices"]
    assert choice["message"]["content"] == streamed["message"]["content"] == f"Yes {EMOJI}"
    assert choice["message"]["reasoning_content"] == streamed["message"]["reasoning_content"] == "hmm"
    assert choice["message"]["annotations"] == streamed["message"]["annotations"]
    assert choice["message"]["odd"] == {"a": "xy"}
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}
    assert choice["native_finish_reason"] == "done"
    assert whole["usage"] == streamed["usage"] == USAGE
    assert {name: whole[name] for name in TOP} == {name: streamed[name] for name in TOP} == {**TOP, "model": "a/m"}
    assert answer.headers["x-orchestrator-route"] == "a/m"


async def test_an_emoji_that_comes_in_halves_arrives_whole(serve: Serve, first: Vendor) -> None:
    halves = [b'data: {"choices": [{"index": 0, "delta": {"content": "a%s"}}]}\n\n' % half for half in (b"\\ud83d",)]
    halves.append(b'data: {"choices": [{"index": 0, "delta": {"content": "\\ude00"}}]}\n\n')
    first.answer = lambda asked: stream([*halves, END, DONE])
    endpoint = await serve({"a": provider(first.url)})
    assert (await endpoint.ask()).json()["choices"][0]["message"]["content"] == f"a{EMOJI}"
    assert joined(await endpoint.ask(stream=True))["message"]["content"] == f"a{EMOJI}"


async def endless(gone: anyio.Event) -> AsyncIterator[bytes]:
    try:
        while True:
            yield delta(content="word " * 20)
            await anyio.sleep(0.02)
    finally:
        gone.set()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/chat/completions", ASKED),
        ("/v1/chat/completions", {**ASKED, "stream": True}),
        ("/v1/messages", {**ASKED, "max_tokens": 9, "stream": True}),
        ("/v1/responses", {"input": "Is it up?", "stream": True}),
        ("/api/chat", ASKED),
    ],
)
async def test_a_client_that_leaves_ends_the_work_pays_for_it_and_frees_the_slot(
    serve: Serve, first: Vendor, path: str, asked: dict[str, Any]
) -> None:
    gone = anyio.Event()
    first.answer = lambda asked: stream(endless(gone))
    endpoint = await serve({"a": provider(first.url, concurrency=1)}, token=a_token(daily_tokens=100))
    with anyio.move_on_after(1):
        async with endpoint.client.stream("POST", path, json=asked) as open_:
            async for _ in open_.aiter_raw():
                await anyio.sleep(0.5)
                break
    with fail_after(5):
        await gone.wait()
        while endpoint.desk.status("a").in_use:
            await anyio.sleep(0.01)
    answer = await endpoint.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")


async def test_an_image_counts_as_an_image(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)}, token=a_token(daily_tokens=5000))
    url = f"data:image/png;base64,{'A' * 270_000}"
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    assert (await endpoint.ask(messages=[{"role": "user", "content": content}])).status_code == 200

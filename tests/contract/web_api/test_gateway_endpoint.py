"""The gateway endpoint as OpenAI clients see it: answers, streams, tools, failover, errors, limits and budgets."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest
from starlette.responses import Response

from orchestration.security.principal import Principal, Role
from tests.contract.web_api.conftest import ASKED, Serve, a_token
from tests.support.gateway import provider
from tests.support.patience import fail_after
from tests.support.vendor import DONE, END, Asked, Vendor, delta, event, refused, stream, streamed

CALL = {"id": "call-1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}


def both(first: Vendor, second: Vendor, **more: Any) -> dict[str, dict[str, Any]]:
    return {"a": provider(first.url, **more), "b": provider(second.url, **more)}


def chunks(answer: httpx2.Response) -> list[Any]:
    """What a stream held, its end left out."""
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]" or "error" in json.loads(lines[-1])
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text(found: list[Any]) -> str:
    return "".join(one["choices"][0]["delta"].get("content") or "" for one in found if one.get("choices"))


async def test_an_answer_has_the_shape_that_openai_clients_read(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    answer = await endpoint.ask(temperature=0.5, user="somebody")
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["x-orchestrator-route"] == "a/m"
    assert (body["object"], body["model"], body["usage"]) == ("chat.completion", "a/m", USAGE)
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Yes."}
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert first.chats[0].body["temperature"] == 0.5
    assert first.chats[0].body["model"] == "m"
    assert "user" not in first.chats[0].body


async def test_a_stream_is_handed_on_and_ends_with_its_mark(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    answer = await endpoint.ask(stream=True)
    found = chunks(answer)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert text(found) == "Yes."
    assert {one["object"] for one in found} == {"chat.completion.chunk"}
    assert all(one["choices"] for one in found), "the tokens used are told to those who ask for them"


async def test_a_stream_tells_the_tokens_used_to_those_who_ask(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    found = chunks(await endpoint.ask(stream=True, stream_options={"include_usage": True}))
    assert found[-1]["usage"] == USAGE


async def test_a_provider_without_streams_still_answers_a_stream(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url, streaming=False)})
    found = chunks(await endpoint.ask(stream=True))
    assert text(found) == "Yes."
    assert not first.chats[0].body.get("stream")


@pytest.mark.parametrize("streaming", [False, True])
async def test_tools_go_there_and_calls_come_back(serve: Serve, first: Vendor, streaming: bool) -> None:
    def answer(asked: Asked) -> Response:
        piece = delta(tool_calls=[{"index": 0, **CALL}])
        return stream([piece, delta(finish_reason="tool_calls"), DONE])

    first.answer = answer
    endpoint = await serve({"a": provider(first.url)})
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    answered = await endpoint.ask(stream=streaming, tools=tools)
    assert first.chats[0].body["tools"] == tools
    if streaming:
        assert chunks(answered)[0]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **CALL}]
    else:
        choice = answered.json()["choices"][0]
        assert (choice["message"]["tool_calls"], choice["finish_reason"]) == ([CALL], "tool_calls")


@pytest.mark.parametrize("streaming", [False, True])
async def test_the_next_provider_answers_when_the_first_does_not(
    serve: Serve, first: Vendor, second: Vendor, streaming: bool
) -> None:
    first.answer = lambda asked: refused(503)
    endpoint = await serve(both(first, second))
    answer = await endpoint.ask(stream=streaming)
    assert answer.status_code == 200
    assert "Yes." in answer.text
    assert len(second.chats) == 1


async def test_a_stream_that_breaks_off_says_so_as_openai_clients_expect(
    serve: Serve, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: stream([delta(content="Y")])
    endpoint = await serve(both(first, second))
    answer = await endpoint.ask(stream=True)
    assert answer.status_code == 200, "the beginning was sent already"
    assert "[DONE]" not in answer.text
    last = chunks(answer)[-1]
    assert (last["error"]["code"], last["error"]["type"]) == ("broken_off", "server_error")


async def test_a_stream_that_is_held_back_fails_over_to_the_end(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer = lambda asked: stream([delta(content="Y")])
    endpoint = await serve(both(first, second))
    answer = await endpoint.ask(stream=True, headers={"X-Orchestrator-Stream": "whole"})
    assert text(chunks(answer)) == "Yes."
    assert answer.headers["x-orchestrator-route"] == "b/m"


async def test_a_request_for_one_provider_alone_stays_there(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer = lambda asked: refused(503)
    endpoint = await serve(both(first, second))
    answer = await endpoint.ask(model="a/m", headers={"X-Orchestrator-Only": "true"})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "no_route"
    assert not second.chats


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (lambda asked: refused(400, "no such tool"), 400, "bad_request"),
        (lambda asked: refused(400, "filtered", code="content_filter"), 400, "content_filter"),
        (lambda asked: refused(503), 503, "no_route"),
        (lambda asked: refused(401), 503, "no_route"),
    ],
)
async def test_errors_have_openais_shape_and_a_status_of_their_own(
    serve: Serve, first: Vendor, answer: Any, status: int, code: str, streaming: bool
) -> None:
    first.answer = answer
    endpoint = await serve({"a": provider(first.url)})
    answered = await endpoint.ask(stream=streaming)
    assert answered.status_code == status
    assert answered.json()["error"]["code"] == code
    assert set(answered.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not valid JSON"), (b"no json", "not valid JSON"), (b"[" * 100_000, "not valid JSON"),
        (b"[]", "must be a JSON object"), (b"{}", "`messages` must be"), (b'{"messages": []}', "`messages` must be"),
        (b'{"messages": ["x"]}', "`messages` must be"), (b'{"messages": [{}], "model": 1}', "`model` must be"),
        (b'{"messages": [{}], "n": 2}', "`n` must be 1"),
        (b'{"messages": [{}], "max_tokens": "many"}', "`max_tokens` must be a positive whole number"),
        (b'{"messages": [{}], "max_completion_tokens": true}', "`max_completion_tokens` must be"),
    ],
)  # fmt: skip
async def test_an_invalid_request_is_refused_with_a_reason(
    serve: Serve, first: Vendor, body: bytes, reason: str
) -> None:
    endpoint = await serve({"a": provider(first.url)})
    answer = await endpoint.client.post("/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]
    assert not first.chats


async def test_models_are_named_by_provider_or_alone(serve: Serve, first: Vendor, second: Vendor) -> None:
    models = {"b": ["m", "org/large"]}
    endpoint = await serve(both(first, second), models=models)
    listed = (await endpoint.client.get("/v1/models")).json()["data"]
    assert [one["id"] for one in listed] == ["auto", "a/m", "b/m", "b/org/large"]
    for name, route in {"b/m": "b/m", "m": "a/m", "org/large": "b/org/large", "auto": "a/m"}.items():
        answer = await endpoint.ask(model=name)
        assert answer.headers["x-orchestrator-route"] == route
        assert (await endpoint.client.get(f"/v1/models/{name}")).json()["id"] == name
    assert (await endpoint.ask(model="gpt-unknown")).status_code == 404
    assert (await endpoint.client.get("/v1/models/gpt-unknown")).json()["error"]["code"] == "model_not_found"


async def test_a_budget_of_a_client_is_a_hard_stop_for_that_client_alone(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)}, token=a_token(daily_tokens=60))
    answers = [await endpoint.ask() for _ in range(8)]
    statuses = [one.status_code for one in answers]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert answers[-1].json()["error"]["code"] == "insufficient_quota"
    assert "key tests may use 60 tokens today" in answers[-1].json()["error"]["message"]
    assert answers[-1].headers["x-should-retry"] == "false"
    other = await serve({"a": provider(first.url)})
    assert (await other.ask()).status_code == 200


@pytest.mark.parametrize("streaming", [False, True])
async def test_answers_say_how_the_budgets_of_a_client_stand(serve: Serve, first: Vendor, streaming: bool) -> None:
    team = [{"team": "red", "softTokens": 10, "hardUsd": 2.5}, {"team": "blue", "hardTokens": 1}]
    token = replace(a_token(daily_tokens=2000), team="red")
    endpoint = await serve({"a": provider(first.url)}, token=token, budgets=team)
    began, later = [(await endpoint.ask(stream=streaming)).headers["x-orchestrator-budget"] for _ in range(2)]
    assert "over-soft" not in began
    red, key = later.split(", ")
    shown = '"team:red";period=month;used-tokens=12;soft-tokens=10;over-soft;used-usd=0.000;hard-usd=2.500;'
    assert re.fullmatch(shown + r"remaining-usd=2.500;reset=\d+", red)
    assert re.fullmatch(
        r'"key:token-1";period=day;used-tokens=12;hard-tokens=2000;remaining-tokens=1988;reset=\d+', key
    )


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "?"}]}, ("code", "insufficient_quota")),
        ("/v1/responses", {"model": "auto", "input": "?"}, ("code", "insufficient_quota")),
        ("/v1/embeddings", {"model": "a/m", "input": "What is it?"}, ("code", "insufficient_quota")),
        (
            "/v1/messages",
            {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}]},
            ("type", "rate_limit_error"),
        ),
    ],
)
async def test_a_budget_that_is_used_up_is_refused_in_the_shape_of_each_api(
    serve: Serve, first: Vendor, path: str, body: dict[str, Any], kind: tuple[str, str]
) -> None:
    endpoint = await serve({"a": provider(first.url)}, token=a_token(), budgets=[{"key": "*", "hardTokens": 1}])
    for streamed_too in ({}, {"stream": True}) if "embeddings" not in path else ({},):
        answer = await endpoint.client.post(path, json=body | streamed_too)
        assert answer.status_code == 429
        assert answer.json()["error"][kind[0]] == kind[1]
        assert "`budgets[0].hardTokens`" in answer.json()["error"]["message"]
        assert "remaining-tokens=1;" in answer.headers["x-orchestrator-budget"]
        assert answer.headers["x-should-retry"] == "false"
    assert not first.chats


async def test_a_client_asks_no_more_in_a_minute_than_it_may(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)}, token=a_token(requests_per_minute=2))
    answers = [await endpoint.ask() for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert 20 <= int(answers[-1].headers["retry-after"]) <= 31
    assert len(first.chats) == 2


async def test_a_client_has_no_more_under_way_than_it_may(serve: Serve, first: Vendor) -> None:
    free = anyio.Event()

    async def waits(asked: Asked) -> Response:
        await free.wait()
        return streamed("Yes.")

    first.answer = waits
    endpoint = await serve({"a": provider(first.url)}, token=a_token(concurrency=1))
    async with anyio.create_task_group() as group:
        group.start_soon(endpoint.ask)
        while not first.chats:
            await anyio.sleep(0.01)
        assert (await endpoint.ask()).status_code == 429
        free.set()
    assert (await endpoint.ask()).status_code == 200, "the place is free again"


async def test_a_client_that_goes_away_ends_the_call(serve: Serve, first: Vendor) -> None:
    gone = anyio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield delta(content="word ")
                await anyio.sleep(0.02)
        finally:
            gone.set()

    first.answer = lambda asked: stream(endless())
    endpoint = await serve({"a": provider(first.url)})
    body = {**ASKED, "stream": True}
    async with endpoint.client.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for _ in answer.aiter_lines():
            break
    with fail_after(5):
        await gone.wait()
        while not endpoint.desk.said("model_call.failed"):
            await anyio.sleep(0.01)
    assert endpoint.desk.said("model_call.failed")[0].data["outcome"] == "cancelled"


async def test_what_no_model_wrote_is_labelled(serve: Serve, first: Vendor) -> None:
    first.answer = lambda asked: stream([delta(content="Y"), END, event({"choices": [], "usage": USAGE}), DONE])
    settings = {"a": {**provider(first.url), "type": "rehearsal"}}
    endpoint = await serve(settings)
    answer = await endpoint.ask()
    assert answer.headers["x-rehearsal"] == "true"
    assert answer.json()["rehearsal"] is True
    assert (await endpoint.client.get("/v1/models")).json()["data"][1]["rehearsal"] is True


async def test_each_call_is_an_event_of_its_client(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)}, token=a_token())
    await endpoint.ask()
    (said,) = endpoint.desk.said("model_call.finished")
    assert (said.agent, said.data["route"], said.run_id) == ("client:token-1", "a/m", None)


@pytest.mark.parametrize(
    "principal", [Principal("reader", Role.VIEWER), Principal("other", Role.ADMIN, frozenset({"runs"}))]
)
async def test_who_may_not_ask_is_told_so_in_openais_shape(serve: Serve, first: Vendor, principal: Principal) -> None:
    endpoint = await serve({"a": provider(first.url)}, principal=principal)
    answer = await endpoint.ask()
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")
    assert not first.chats

"""`X-Orchestrator-Stream: resume`: what was shown of an answer that breaks off is gone on with by another model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from orchestration.domain.answer_continuation import AnswerContinuation
from orchestration.providers.continuation import AnswerJoint, continued
from tests.contract.web_api.conftest import ASKED, Endpoint, Serve
from tests.support.event_streams import events_in, message_in, response_in
from tests.support.gateway import provider
from tests.support.vendor import DONE, END, USAGE, Asked, Vendor, delta, event, refused, stream

TEXT = "The quick brown fox jumps over the lazy dog, and then it sleeps."
RESUME = {"X-Orchestrator-Stream": "resume"}


def words(text: str) -> Iterator[bytes]:
    for place in range(0, len(text), 4):
        yield delta(content=text[place : place + 4])


def broken_off(text: str = "", *more: bytes) -> Callable[[Asked], Response]:
    """Shows so much, and ends without an end."""
    return lambda _: stream([delta(role="assistant", content=""), *words(text), *more])


def goes_on(asked: Asked) -> Response:
    """Knows the text, and goes on where the beginning ends that it is sent."""
    last = asked.body["messages"][-1]
    begun = last["content"] if last["role"] == "assistant" else ""
    assert TEXT.startswith(begun)
    rest = [delta(role="assistant", content=""), *words(TEXT[len(begun) :]), END]
    return stream([*rest, event({"choices": [], "usage": USAGE}), DONE])


def going_on(vendor: Vendor, how: str = "last-message") -> dict[str, Any]:
    return provider(vendor.url, answerContinuation=how)


async def ask(endpoint: Endpoint, path: str = "/v1/chat/completions", **body: Any) -> httpx2.Response:
    return await endpoint.client.post(path, json={**ASKED, "stream": True, **body}, headers=RESUME)


def chunks(answer: httpx2.Response) -> list[dict[str, Any]]:
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def text_in(answer: httpx2.Response) -> str:
    found = [choice["delta"] for chunk in chunks(answer) for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in found)


@pytest.mark.parametrize("shown", [TEXT[:1], TEXT[:9], TEXT[:10], TEXT[:40], TEXT[:-1], TEXT])
@pytest.mark.parametrize("how", ["last-message", "prefix", "continue-final-message"])
async def test_another_model_goes_on_from_what_was_shown(
    serve: Serve, first: Vendor, second: Vendor, shown: str, how: str
) -> None:
    first.answer, second.answer = broken_off(shown), goes_on
    endpoint = await serve({"a": provider(first.url), "b": going_on(second, how)})
    answer = await ask(endpoint, stream_options={"include_usage": True})
    assert text_in(answer) == TEXT
    assert answer.headers["X-Orchestrator-Route"] == "a/m"
    assert ": gone on with by b/m\n" in answer.text
    (asked,) = second.chats
    last = asked.body["messages"][-1]
    assert (last["role"], last["content"]) == ("assistant", shown.rstrip())
    assert last.get("prefix") == (True if how == "prefix" else None)
    assert asked.body.get("continue_final_message") == (True if how == "continue-final-message" else None)
    found = chunks(answer)
    assert len({chunk["id"] for chunk in found}) == 1, "it is one answer"
    assert sum("role" in choice["delta"] for chunk in found for choice in chunk["choices"]) == 1
    assert [choice["finish_reason"] for chunk in found for choice in chunk["choices"]][-1] == "stop"
    (usage,) = [chunk["usage"] for chunk in found if chunk.get("usage")]
    assert usage["completion_tokens"] >= USAGE["completion_tokens"] + len(shown) // 8, "of both parts"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/api/chat"])
async def test_it_is_one_answer_in_every_api(serve: Serve, first: Vendor, second: Vendor, path: str) -> None:
    first.answer, second.answer = broken_off(TEXT[:31]), goes_on
    endpoint = await serve({"a": provider(first.url), "b": going_on(second)})
    more = {"max_tokens": 99} if path == "/v1/messages" else {}
    question = {"input": "Is it up?"} if path == "/v1/responses" else {"messages": ASKED["messages"]}
    body = {"model": "auto", "stream": True, **question, **more}
    answer = await endpoint.client.post(path, json=body, headers=RESUME)
    assert READ[path](answer) == TEXT


def of_messages(answer: httpx2.Response) -> str:
    return str(message_in(events_in(answer))["content"][0]["text"])


def of_responses(answer: httpx2.Response) -> str:
    return str(response_in(events_in(answer))["output"][0]["content"][0]["text"])


def of_ollama(answer: httpx2.Response) -> str:
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[-1]["done"]
    return "".join(line["message"]["content"] for line in lines)


READ: Mapping[str, Callable[[httpx2.Response], str]] = {
    "/v1/messages": of_messages,
    "/v1/responses": of_responses,
    "/api/chat": of_ollama,
}


async def test_it_breaks_off_again_and_is_gone_on_with_again(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer = broken_off(TEXT[:8])
    breaks = iter([TEXT[8:20], TEXT[20:44]])

    def twice(asked: Asked) -> Response:
        part = next(breaks, None)
        return goes_on(asked) if part is None else broken_off(part)(asked)

    second.answer = twice
    endpoint = await serve({"a": provider(first.url), "b": provider(second.url, answerContinuation="last-message")})
    assert text_in(await ask(endpoint)) == TEXT


async def test_what_breaks_off_for_ever_ends_with_an_error(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer = second.answer = broken_off("one more ")
    endpoint = await serve({"a": provider(first.url), "b": going_on(second)})
    answer = await ask(endpoint)
    assert '"code": "broken_off"' in answer.text.replace('"code":"', '"code": "')
    assert "[DONE]" not in answer.text
    assert len(second.chats) <= 4


async def test_a_model_that_refuses_to_go_on_is_passed_over(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer = broken_off(TEXT[:8])

    def some(asked: Asked) -> Response:
        unwilling = asked.body["model"] == "new"
        return refused(400, "Prefilling is not supported for this model.") if unwilling else goes_on(asked)

    second.answer = some
    new = {**going_on(second), "defaultModel": "new"}
    endpoint = await serve({"a": provider(first.url), "b": new, "c": going_on(second)})
    assert text_in(await ask(endpoint)) == TEXT


async def test_calls_of_tools_come_whole_or_from_the_model_that_goes_on(
    serve: Serve, first: Vendor, second: Vendor
) -> None:
    begun = {"index": 0, "id": "one", "type": "function", "function": {"name": "look", "arguments": '{"a": '}}
    first.answer = broken_off(TEXT[:8], delta(tool_calls=[begun]))
    whole_call = {"index": 0, "id": "two", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    called = [*words(TEXT[8:]), delta(tool_calls=[whole_call]), delta(finish_reason="tool_calls"), DONE]
    second.answer = lambda _: stream(called)
    endpoint = await serve({"a": provider(first.url), "b": going_on(second)})
    answer = await ask(endpoint)
    assert text_in(answer) == TEXT
    deltas = [choice["delta"] for chunk in chunks(answer) for choice in chunk["choices"]]
    assert [call["id"] for delta in deltas for call in delta.get("tool_calls", ())] == ["two"]


async def test_where_only_thoughts_were_shown_any_route_answers(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer = broken_off("", delta(reasoning_content="Let me see."))
    endpoint = await serve({"a": provider(first.url), "b": provider(second.url), "c": going_on(second)})
    assert text_in(await ask(endpoint)) == "Yes."
    assert [one["role"] for one in second.chats[0].body["messages"]] == ["user"]


@pytest.mark.parametrize("continues", ["none", "the first alone"])
async def test_where_no_other_model_can_go_on_the_stream_is_held_back(
    serve: Serve, first: Vendor, second: Vendor, continues: str
) -> None:
    first.answer = broken_off(TEXT[:8])
    both = {"a": provider(first.url), "b": provider(second.url)}
    if continues != "none":
        both["a"] = going_on(first)
    answer = await ask(await serve(both))
    assert text_in(answer) == "Yes."
    assert answer.headers["X-Orchestrator-Route"] == "b/m"


async def test_a_sole_provider_goes_on_with_its_own_answer(serve: Serve, first: Vendor) -> None:
    answers = iter([broken_off(TEXT[:8])])

    def once(asked: Asked) -> Response:
        return next(answers, goes_on)(asked)

    first.answer = once
    endpoint = await serve({"a": going_on(first)})
    assert text_in(await ask(endpoint)) == TEXT


async def test_both_parts_are_paid_for(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer, second.answer = broken_off(TEXT[:8]), goes_on
    endpoint = await serve({"a": provider(first.url), "b": going_on(second)})
    await ask(endpoint)
    said = endpoint.desk.said("model_call.failed") + endpoint.desk.said("model_call.finished")
    assert [event.data["outcome"] for event in said] == ["broken_off", "ok"]


_PARTS = st.lists(st.text(alphabet="ab \n", max_size=6), max_size=8)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(shown=st.text(alphabet="ab \n", max_size=50), rest=_PARTS, how=st.sampled_from(["rest", "with gap", "echo"]))
def test_nothing_of_the_rest_is_lost_or_shown_twice(shown: str, rest: list[str], how: str) -> None:
    """However it is cut, and whether the server repeats the white space, or all that it was sent."""
    sent = shown.rstrip()
    gap = shown[len(sent) :]
    whole = "".join(rest).lstrip()
    # The first words of a rest can look like an echo only where they repeat the whole beginning.
    if how == "echo" and len(sent) < 20:
        how = "rest"
    said = {"rest": whole, "with gap": gap + whole, "echo": sent + gap + whole}[how]
    joint = AnswerJoint(shown)
    cuts = [said[place : place + 3] for place in range(0, len(said), 3)]
    new = "".join(joint.text(part) for part in cuts) + joint.rest()
    if len(sent) >= 20 and how != "echo" and (whole.startswith(sent) or sent.startswith(whole)):
        return
    assert shown + new == shown + whole


async def test_the_whole_answer_is_no_longer_than_the_client_wants(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer, second.answer = broken_off(TEXT[:40]), goes_on
    endpoint = await serve({"a": provider(first.url), "b": going_on(second)})
    await ask(endpoint, max_tokens=30)
    assert 15 <= second.chats[0].body["max_tokens"] <= 25
    await ask(endpoint, max_tokens=3)
    assert second.chats[1].body["max_tokens"] == 1


def test_the_request_itself_is_left_as_it_is() -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5}
    kept = json.loads(json.dumps(body))
    for how in AnswerContinuation:
        assert continued(body, "so far ", how)["messages"][-1]["content"] == "so far"
    assert body == kept

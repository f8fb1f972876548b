"""OpenAI's Responses API through the gateway endpoint: whole, streamed, continued, kept, refused."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.responses import Response

from orchestration.security.principal import Principal, Role
from orchestration.storage.tables import model_responses
from tests.contract.gateway import test_anthropic as anthropic
from tests.contract.web_api.conftest import Endpoint, Serve
from tests.contract.web_api.test_messages import told
from tests.support.event_streams import events_in, response_in
from tests.support.gateway import provider
from tests.support.vendor import DONE, Asked, Vendor, delta, refused, stream, yes

LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": True}
ASKED: dict[str, Any] = {"model": "auto", "input": "Is it up?"}


async def ask(endpoint: Endpoint, **body: Any) -> httpx2.Response:
    headers = body.pop("headers", {})
    return await endpoint.client.post("/v1/responses", json={**ASKED, **body}, headers=headers)


def without_ids(response: dict[str, Any]) -> dict[str, Any]:
    output = [{name: value for name, value in item.items() if name != "id"} for item in response["output"]]
    return {**response, "id": "", "created_at": 0, "output": output}


@pytest.mark.parametrize("held", [False, True])
async def test_whole_and_streamed_answers_are_the_same_response(serve: Serve, first: Vendor, held: bool) -> None:
    first.answer = told
    endpoint = await serve({"a": provider(first.url)})
    asked = {"tools": [LOOK], "reasoning": {"effort": "high", "summary": "auto"}, "metadata": {"a": "b"}}
    whole = (await ask(endpoint, **asked)).json()
    headers = {"X-Orchestrator-Stream": "whole"} if held else {}
    streamed = response_in(events_in(await ask(endpoint, **asked, stream=True, headers=headers)))
    assert without_ids(whole) == without_ids(streamed)
    thought, text, *calls = whole["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert text["content"] == [{"type": "output_text", "text": "Let's see", "annotations": [], "logprobs": []}]
    assert [(call["call_id"], call["name"], call["arguments"]) for call in calls] == [
        ("c1", "look", '{"at": "it"}'), ("c2", "look", "{}"),
    ]  # fmt: skip
    assert (whole["status"], whole["model"], whole["metadata"], whole["store"]) == (
        "completed",
        "a/m",
        {"a": "b"},
        True,
    )
    assert whole["usage"]["input_tokens_details"] == {"cached_tokens": 6}
    assert first.chats[0].body["reasoning_effort"] == "high"
    function = {"name": "look", "parameters": LOOK["parameters"], "strict": True}
    assert first.chats[0].body["tools"] == [{"type": "function", "function": function}]
    # It is kept as the client got it, and shown to nobody else.
    kept = await endpoint.client.get(f"/v1/responses/{streamed['id']}")
    assert kept.json() == streamed
    other = await serve({"a": provider(first.url)}, principal=Principal("other", Role.OPERATOR, frozenset({"gateway"})))
    assert (await other.client.get(f"/v1/responses/{streamed['id']}")).status_code == 404


async def test_thoughts_are_shown_to_those_alone_who_ask(serve: Serve, first: Vendor) -> None:
    first.answer = told
    endpoint = await serve({"a": provider(first.url)})
    kinds = [item["type"] for item in (await ask(endpoint)).json()["output"]]
    assert kinds == ["message", "function_call", "function_call"]
    assert [item["type"] for item in response_in(events_in(await ask(endpoint, stream=True)))["output"]] == kinds


async def test_a_conversation_goes_on_by_the_response_before(serve: Serve, first: Vendor) -> None:
    first.answer = told
    endpoint = await serve({"a": provider(first.url)})
    began = (await ask(endpoint, input="Look, sk-secret", instructions="Be brief.", stream=False)).json()
    results = [{"type": "function_call_output", "call_id": name, "output": "seen"} for name in ("c1", "c2")]
    first.answer = yes
    went_on = await ask(endpoint, previous_response_id=began["id"], input=results, stream=True)
    last = response_in(events_in(went_on))
    await ask(endpoint, previous_response_id=last["id"], input="Sure?")
    called = [
        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}},
        {"id": "c2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
    ]
    assert first.chats[0].body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert first.chats[2].body["messages"] == [
        {"role": "user", "content": "Look, [redacted]"},
        {"role": "assistant", "content": "Let's see", "tool_calls": called},
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
        {"role": "tool", "tool_call_id": "c2", "content": "seen"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Sure?"},
    ]
    items = (await endpoint.client.get(f"/v1/responses/{last['id']}/input_items")).json()
    assert [item["call_id"] for item in items["data"]] == ["c2", "c1"]
    deleted = await endpoint.client.delete(f"/v1/responses/{began['id']}")
    assert deleted.json() == {"id": began["id"], "object": "response", "deleted": True}
    answer = await ask(endpoint, previous_response_id=last["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "previous_response_not_found")
    for odd in (began["id"], "%00", "x" * 200):
        assert (await endpoint.client.delete(f"/v1/responses/{odd}")).status_code == 404
    answer = await ask(endpoint, previous_response_id="resp\x00")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "previous_response_not_found")


async def test_nothing_is_kept_of_what_is_not_to_be_stored(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    for streaming in (False, True):
        answer = await ask(endpoint, store=False, stream=streaming)
        found = response_in(events_in(answer)) if streaming else answer.json()
        assert found["store"] is False
        assert (await endpoint.client.get(f"/v1/responses/{found['id']}")).status_code == 404
    assert endpoint.desk.database is not None
    with endpoint.desk.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(model_responses)).scalar() == 0


async def test_an_answer_that_cannot_be_kept_is_given_and_says_so(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    assert endpoint.desk.database is not None
    with endpoint.desk.database.write() as connection:
        model_responses.drop(connection)
    answer = (await ask(endpoint)).json()
    assert (answer["store"], answer["output"][0]["content"][0]["text"]) == (False, "Yes.")
    lost = await ask(endpoint, previous_response_id="resp-1")
    assert (lost.status_code, lost.json()["error"]["code"]) == (503, "database_unavailable")


async def test_a_conversation_with_everything_is_translated(serve: Serve, first: Vendor) -> None:
    endpoint = await serve({"a": provider(first.url)})
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        ]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [
            {"type": "input_text", "text": "seen"}, {"type": "input_image", "image_url": "https://x/a.png"},
        ]},
    ]  # fmt: skip
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    answer = await ask(
        endpoint, input=items, tools=[LOOK], tool_choice={"type": "function", "name": "look"}, max_output_tokens=9,
        parallel_tool_calls=False, text={"format": form, "verbosity": "low"}, temperature=0.1, user="u",
        prompt_cache_key="k",
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    sent = first.chats[0].body
    assert sent["messages"] == [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "Look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}},
        ]},
        {"role": "assistant", "content": "I look.", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "seen\n(What else it returned follows.)"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/a.png"}}]},
    ]  # fmt: skip
    assert sent["response_format"]["json_schema"] == {"name": "n", "schema": {"type": "object"}, "strict": True}
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert (sent["max_tokens"], sent["verbosity"], sent["prompt_cache_key"]) == (9, "low", "k")
    assert sent["parallel_tool_calls"] is False
    assert "user" not in sent


@pytest.mark.parametrize("streaming", [True, False])
async def test_thoughts_that_a_vendor_has_signed_come_back_to_it(
    serve: Serve, first: Vendor, second: Vendor, streaming: bool
) -> None:
    """In what the client sends back, where nothing is kept, and in what was kept."""
    first.answer = anthropic.told
    section = {"type": "anthropic", "baseUrl": first.url, "defaultModel": "claude-x"}
    endpoint = await serve({"c": section, "b": provider(second.url)})
    asked = {"tools": [LOOK], "reasoning": {"effort": "high"}, "stream": streaming}
    answer = await ask(endpoint, **asked, store=False, include=["reasoning.encrypted_content"])
    found = response_in(events_in(answer)) if streaming else answer.json()
    result = {"type": "function_call_output", "call_id": "toolu_1", "output": "seen"}
    back = [{"role": "user", "content": "Is it up?"}, *found["output"], result]
    await ask(endpoint, **asked, store=False, input=back)
    kept = await ask(endpoint, **asked)
    previous = (response_in(events_in(kept)) if streaming else kept.json())["id"]
    await ask(endpoint, **asked, input=[result], previous_response_id=previous)
    for one in (first.chats[1], first.chats[3]):
        assert one.body["messages"][1]["content"] == anthropic.CONTENT
        assert one.body["thinking"]["type"] == "adaptive"
    first.answer = lambda asked: refused(529)
    assert (await ask(endpoint, **asked, input=back)).status_code == 200
    assert "thinking_blocks" not in second.chats[0].body["messages"][1]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"background": True}, "background"), ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"), ({"tools": [{"type": "web_search"}]}, "web_search"),
        ({"tool_choice": {"type": "mcp"}, "tools": [LOOK]}, "tool_choice"),
        ({"include": ["file_search_call.results"]}, "include.0"), ({"odd": 1}, "odd"), ({"input": None}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input_image"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input.0.role"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"), ({"model": 7}, "model"),
    ],
)  # fmt: skip
async def test_what_cannot_be_translated_is_refused_by_name(
    serve: Serve, first: Vendor, body: dict[str, Any], named: str
) -> None:
    endpoint = await serve({"a": provider(first.url)})
    for streaming in (False, True):
        answer = await ask(endpoint, **{**body, "stream": streaming})
        assert answer.status_code == 400, answer.text
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        assert named in answer.json()["error"]["message"]
    assert not first.chats


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_answer_that_was_cut_is_incomplete(serve: Serve, first: Vendor, streaming: bool) -> None:
    first.answer = lambda asked: stream([delta(content="Ye"), delta(finish_reason="length"), DONE])
    endpoint = await serve({"a": provider(first.url)})
    answer = await ask(endpoint, stream=streaming)
    found = response_in(events_in(answer)) if streaming else answer.json()
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


async def test_a_stream_that_breaks_off_has_failed_and_is_not_kept(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer = lambda asked: stream([delta(content="Y")])
    endpoint = await serve({"a": provider(first.url), "b": provider(second.url)})
    found = response_in(events_in(await ask(endpoint, stream=True)))
    assert (found["status"], found["error"]["code"]) == ("failed", "server_error")
    assert (await endpoint.client.get(f"/v1/responses/{found['id']}")).status_code == 404


async def test_fields_that_a_translation_adds_are_left_out_where_a_model_refuses_them(
    serve: Serve, first: Vendor
) -> None:
    def strict(asked: Asked) -> Response:
        if "verbosity" in asked.body:
            return refused(400, "Unknown parameter: 'verbosity'")
        return yes(asked)

    first.answer = strict
    endpoint = await serve({"a": provider(first.url)})
    for _ in range(2):
        assert (await ask(endpoint, text={"verbosity": "low"})).status_code == 200
    assert len(first.chats) == 3

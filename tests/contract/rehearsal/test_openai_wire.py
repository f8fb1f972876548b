"""The OpenAI chat format, field by field, as a client sees it."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.contract.rehearsal.chat import OPENAI, READ_FILE, events, joined, request

HEAD = {"id", "object", "created", "model", "system_fingerprint"}
LOOKING = request("backlog of tallybook in README.md", role="planner", tools=[READ_FILE])


async def test_an_answer_has_exactly_the_fields_of_a_chat_completion(client: httpx2.AsyncClient) -> None:
    response = await client.post(OPENAI, json=request())
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert set(body) == HEAD | {"choices", "usage"}
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert isinstance(body["created"], int)
    assert [set(choice) for choice in body["choices"]] == [{"index", "message", "logprobs", "finish_reason"}]
    assert set(body["choices"][0]["message"]) == {"role", "content", "refusal"}
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert min(usage.values()) > 0


async def test_an_answer_is_marked_as_rehearsal_in_every_place(client: httpx2.AsyncClient) -> None:
    response = await client.post(OPENAI, json=request())
    body = response.json()
    assert response.headers["x-rehearsal"] == "true"
    assert body["model"].startswith("rehearsal")
    assert body["system_fingerprint"] == "rehearsal"
    assert body["choices"][0]["message"]["content"].startswith("[rehearsal]")


async def test_a_tool_call_has_an_id_and_arguments_as_json_text(client: httpx2.AsyncClient) -> None:
    choice = (await client.post(OPENAI, json=LOOKING)).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    (call,) = choice["message"]["tool_calls"]
    assert set(call) == {"id", "type", "function"}
    assert call["type"] == "function"
    assert call["function"]["name"] == "read_file"
    assert json.loads(call["function"]["arguments"]) == {"path": "README.md"}


async def test_a_stream_is_made_of_chunks_that_add_up_to_the_answer(client: httpx2.AsyncClient) -> None:
    whole = (await client.post(OPENAI, json=request())).json()["choices"][0]["message"]
    response = await client.post(OPENAI, json=request(stream=True))
    *chunks, end = events(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-rehearsal"] == "true"
    assert end == "[DONE]"
    assert len(chunks) > 4
    assert all(set(chunk) == HEAD | {"choices"} for chunk in chunks)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["system_fingerprint"] for chunk in chunks} == {"rehearsal"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert joined(chunks)["content"] == whole["content"]


async def test_a_streamed_tool_call_gives_its_name_once_and_its_arguments_in_pieces(client: httpx2.AsyncClient) -> None:
    whole = (await client.post(OPENAI, json=LOOKING)).json()["choices"][0]["message"]
    chunks = events((await client.post(OPENAI, json={**LOOKING, "stream": True})).text)
    pieces = [piece for chunk in chunks[:-1] for piece in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [piece["function"].get("name") for piece in pieces] == ["read_file"] + [None] * (len(pieces) - 1)
    assert len(pieces) > 2
    assert joined(chunks)["tool_calls"] == whole["tool_calls"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_usage_comes_in_a_last_chunk_without_choices_when_asked_for(client: httpx2.AsyncClient) -> None:
    whole = (await client.post(OPENAI, json=request())).json()["usage"]
    body = request(stream=True, stream_options={"include_usage": True})
    *chunks, usage, _end = events((await client.post(OPENAI, json=body)).text)
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert (usage["choices"], usage["usage"]) == ([], whole)


async def test_an_answer_matches_the_schema_that_was_asked_for(client: httpx2.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    response = await client.post(OPENAI, json=request(response_format=form))
    assert json.loads(response.json()["choices"][0]["message"]["content"]) == {"ok": False}


async def test_the_models_are_listed(client: httpx2.AsyncClient) -> None:
    body = (await client.get("/v1/models")).json()
    assert body == {
        "object": "list",
        "data": [{"id": "rehearsal-1", "object": "model", "created": 0, "owned_by": "rehearsal"}],
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "the body"),
        (b'{"messages": []}', "model"),
        (b'{"model": "rehearsal-1", "messages": []}', "messages"),
        (b'{"model": "rehearsal-1", "messages": [{"role": "tool", "tool_calls": [{}]}]}', "messages.0.tool_calls.0"),
    ],
)
async def test_a_body_that_cannot_be_read_is_named_in_a_400(
    client: httpx2.AsyncClient, body: bytes, message: str
) -> None:
    response = await client.post(OPENAI, content=body)
    error = response.json()["error"]
    assert response.status_code == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert message in error["message"]


async def test_any_other_model_does_not_exist_here(client: httpx2.AsyncClient) -> None:
    response = await client.post(OPENAI, json=request(model="llama3.2"))
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/nothing", 404), ("GET", OPENAI, 405)])
async def test_errors_of_the_server_itself_are_marked_too(
    client: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path)
    assert (response.status_code, response.headers["x-rehearsal"]) == (status, "true")
    assert path in response.json()["error"]["message"]

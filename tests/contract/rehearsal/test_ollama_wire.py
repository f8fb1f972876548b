"""Ollama's own format, field by field, as a client sees it."""

from __future__ import annotations

import json
from datetime import datetime

import httpx2

from tests.contract.rehearsal.chat import OLLAMA, READ_FILE, lines, request

COUNTS = {"total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"}
WHOLE = {"model", "created_at", "message", "done", "done_reason"} | COUNTS
LOOKING = request("backlog of tallybook in README.md", role="planner", tools=[READ_FILE])


async def test_the_root_says_that_it_runs(client: httpx2.AsyncClient) -> None:
    response = await client.get("/")
    assert (response.text, response.headers["x-rehearsal"]) == ("Ollama is running", "true")
    assert (await client.head("/")).status_code == 200


async def test_the_version_is_marked(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/api/version")).json()["version"].endswith("rehearsal")


async def test_installed_and_loaded_models_have_ollamas_fields(client: httpx2.AsyncClient) -> None:
    (installed,) = (await client.get("/api/tags")).json()["models"]
    (loaded,) = (await client.get("/api/ps")).json()["models"]
    common = {"name", "model", "size", "digest", "details"}
    assert set(installed) == common | {"modified_at"}
    assert set(loaded) == common | {"expires_at", "size_vram", "context_length"}
    assert installed["name"] == "rehearsal-1:latest"
    assert datetime.fromisoformat(loaded["expires_at"]) > datetime.fromisoformat(installed["modified_at"])


async def test_an_answer_has_exactly_ollamas_fields(client: httpx2.AsyncClient) -> None:
    response = await client.post(OLLAMA, json=request())
    body = response.json()
    assert response.headers["x-rehearsal"] == "true"
    assert set(body) == WHOLE
    assert body["model"] == "rehearsal-1"
    assert (body["done"], body["done_reason"]) == (True, "stop")
    assert set(body["message"]) == {"role", "content"}
    assert body["message"]["content"].startswith("[rehearsal]")
    assert min(body[count] for count in COUNTS) > 0


async def test_it_streams_unless_told_not_to(client: httpx2.AsyncClient) -> None:
    body = request()
    whole = (await client.post(OLLAMA, json=body)).json()["message"]["content"]
    del body["stream"]
    response = await client.post(OLLAMA, json=body)
    *parts, last = lines(response.text)
    assert response.headers["content-type"] == "application/x-ndjson"
    assert len(parts) > 3
    assert all(set(part) == {"model", "created_at", "message", "done"} and not part["done"] for part in parts)
    assert "".join(part["message"]["content"] for part in parts) == whole
    assert set(last) == WHOLE
    assert last["message"]["content"] == ""


async def test_a_tool_call_comes_whole_with_its_arguments_as_an_object(client: httpx2.AsyncClient) -> None:
    message = (await client.post(OLLAMA, json=LOOKING)).json()["message"]
    streamed = lines((await client.post(OLLAMA, json={**LOOKING, "stream": True})).text)
    (call,) = message["tool_calls"]
    assert call["function"] == {"index": 0, "name": "read_file", "arguments": {"path": "README.md"}}
    assert [line["message"].get("tool_calls") for line in streamed] == [[call], None]


async def test_the_answer_matches_the_format(client: httpx2.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    message = (await client.post(OLLAMA, json=request(format=schema))).json()["message"]
    assert json.loads(message["content"]) == {"n": 0}


async def test_a_tag_on_the_model_is_kept(client: httpx2.AsyncClient) -> None:
    assert (await client.post(OLLAMA, json=request(model="rehearsal-1:latest"))).json()["model"] == "rehearsal-1:latest"


async def test_errors_are_a_text_under_error(client: httpx2.AsyncClient) -> None:
    missing = await client.post(OLLAMA, json=request(model="llama3.2"))
    unreadable = await client.post(OLLAMA, content=b"{")
    assert (missing.status_code, unreadable.status_code) == (404, 400)
    assert "llama3.2" in missing.json()["error"]
    assert "JSON" in unreadable.json()["error"]

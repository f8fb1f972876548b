"""Embeddings through the gateway endpoint: failover within one model, refusals, and what they are counted as."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import Response

from tests.contract.web_api.conftest import Serve
from tests.support.gateway import provider
from tests.support.vendor import Asked, Vendor, as_json, refused

USAGE = {"prompt_tokens": 3, "total_tokens": 3}


def embedded(asked: Asked) -> Response:
    assert asked.path == "/v1/embeddings"
    vectors = [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]
    return as_json({"object": "list", "data": vectors, "model": asked.body["model"], "usage": USAGE})


async def ask(serve: Serve, providers: dict[str, Any], **body: Any) -> Any:
    endpoint = await serve(providers)
    return await endpoint.client.post("/v1/embeddings", json={"model": "a/m", "input": ["Is it up?"], **body})


async def test_vectors_come_from_another_provider_of_the_same_model(
    serve: Serve, first: Vendor, second: Vendor
) -> None:
    first.answer, second.answer = lambda asked: refused(503), embedded
    answer = await ask(serve, {"a": provider(first.url), "b": provider(second.url)}, dimensions=2)
    assert answer.status_code == 200
    assert answer.headers["x-orchestrator-route"] == "b/m"
    assert answer.json()["data"][0]["embedding"] == [0.5, -1.0]
    assert (answer.json()["model"], answer.json()["usage"]) == ("b/m", USAGE)
    assert second.chats[0].body == {"model": "m", "input": ["Is it up?"], "dimensions": 2}


async def test_vectors_of_another_model_never_stand_in(serve: Serve, first: Vendor, second: Vendor) -> None:
    first.answer, second.answer = lambda asked: refused(503), embedded
    answer = await ask(serve, {"a": provider(first.url), "b": provider(second.url, defaultModel="other")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_route")
    assert not second.chats


@pytest.mark.parametrize("asked", [None, "", [], [1, "x"], {"a": 1}, [[]], [True]])
async def test_an_input_that_is_none_is_refused(serve: Serve, first: Vendor, asked: Any) -> None:
    answer = await ask(serve, {"a": provider(first.url)}, input=asked)
    assert answer.status_code == 400
    assert "`input` must be" in answer.json()["error"]["message"]
    assert not first.chats


@pytest.mark.parametrize("path", ["/openai/deployments/a%2Fm", "/openai/deployments/a/m", "/openai/v1"])
async def test_the_addresses_of_azures_clients_are_served_too(serve: Serve, first: Vendor, path: str) -> None:
    endpoint = await serve({"a": provider(first.url)})
    chat = {"messages": [{"role": "user", "content": "Is it up?"}]} | ({"model": "a/m"} if path.endswith("v1") else {})
    answer = await endpoint.client.post(f"{path}/chat/completions?api-version=2024-10-21", json=chat)
    assert answer.json()["choices"][0]["message"]["content"] == "Yes."
    first.answer = embedded
    answer = await endpoint.client.post(f"{path}/embeddings", json={"model": "a/m", "input": "x"})
    assert answer.json()["data"][0]["embedding"] == [0.5, -1.0]
    assert (await endpoint.client.get("/openai/nothing")).json()["error"]["code"] == "unknown_url"

"""Chat requests, and what clients make of the answers; used by several tests."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx2

from tests.support.patience import Deadline

OPENAI = "/v1/chat/completions"
OLLAMA = "/api/chat"
READ_FILE = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object"}}}


def request(text: str = "Hello", *, role: str = "worker", **more: Any) -> dict[str, Any]:
    """The body of a small chat request, the same in both formats."""
    messages = [{"role": "system", "content": f"Role: {role}"}, {"role": "user", "content": text}]
    return {"model": "rehearsal-1", "messages": messages, "stream": False, **more}


def events(body: str) -> list[Any]:
    """The server-sent events of a whole stream; the end mark stays a text."""
    data = [line.removeprefix("data: ") for line in body.splitlines() if line]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


def lines(body: str) -> list[Any]:
    """The objects of a whole NDJSON stream."""
    return [json.loads(line) for line in body.splitlines()]


def joined(chunks: list[Any]) -> dict[str, Any]:
    """The assistant message that a client puts together from the chunks of a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for delta in (choice["delta"] for chunk in chunks if chunk != "[DONE]" for choice in chunk["choices"]):
        message["content"] += delta.get("content") or ""
        for piece in delta.get("tool_calls", ()):
            calls = message.setdefault("tool_calls", [])
            if piece["index"] == len(calls):
                calls.append({"id": piece["id"], "type": piece["type"], "function": dict(piece["function"])})
            else:
                calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return message


async def ask_openai(client: httpx2.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(OPENAI, json={**body, "stream": False})
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


async def ask_openai_streaming(client: httpx2.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(OPENAI, json={**body, "stream": True})
    return joined(events(response.text))


async def ask_ollama(client: httpx2.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(OLLAMA, json={**body, "stream": False})
    message: dict[str, Any] = response.json()["message"]
    return message


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that comes about in real time."""
    deadline = Deadline(5)
    while not await condition():
        assert not deadline.is_over(), str(deadline)
        await anyio.sleep(0.005)

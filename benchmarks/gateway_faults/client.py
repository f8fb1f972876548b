"""A client as applications are: it sends a request, reads the answer by OpenAI's rules, and notices what is wrong."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2

from benchmarks.gateway_faults.gateways import RunningGateway


@dataclass(frozen=True)
class Answer:
    """What a client got. `ended` tells whether a stream ended as it should; `error` is an error that can be read."""

    status: int
    seconds: float
    text: str = ""
    finish: str | None = None
    ended: bool = True
    error: str | None = None
    body: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def is_honest(self) -> bool:
        """Whether it says that it is no answer, in a way that clients understand."""
        return self.error is not None

    @property
    def is_answer(self) -> bool:
        return self.status == 200 and self.error is None and self.ended and self.finish is not None

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.status} {self.error[:60]!r} after {self.seconds:.1f} s"
        mark = "" if self.ended else ", cut off"
        return f"{self.status} {self.text[:40]!r} {self.finish}{mark} after {self.seconds:.1f} s"


async def ask(gateway: RunningGateway, key: str, *, streaming: bool, sole: bool = False, patience: float = 20,
              content: Any = "Is it up?", raw: bytes | None = None, **more: Any) -> Answer:  # fmt: skip
    """Ask one behaviour through a gateway."""
    headers, model = gateway.address(key, sole=sole)
    body = {"model": model, "messages": [{"role": "user", "content": content}], "stream": streaming, **more}
    if streaming:
        body["stream_options"] = {"include_usage": True}
    sent = json.dumps(body).encode() if raw is None else raw.replace(b"MODEL", model.encode())
    began = time.monotonic()
    parts: list[bytes] = []
    head: httpx2.Response | None = None
    broken = ""
    try:
        async with asyncio.timeout(patience), httpx2.AsyncClient(timeout=None, trust_env=False) as client:
            kind = {"content-type": "application/json"}
            async with client.stream("POST", gateway.url, content=sent, headers=headers | kind) as head:
                async for part in head.aiter_bytes():
                    parts += [part]
    except TimeoutError:
        return Answer(0, time.monotonic() - began, ended=False, error=None, finish=None)
    except httpx2.HTTPError as error:
        broken = type(error).__name__
    seconds = time.monotonic() - began
    if head is None:
        return Answer(0, seconds, ended=False)
    read = _read_stream if "event-stream" in head.headers.get("content-type", "") else _read_whole
    return read(head, b"".join(parts), seconds, broken)


def _read_whole(head: httpx2.Response, data: bytes, seconds: float, broken: str) -> Answer:
    headers = {name.lower(): value for name, value in head.headers.items()}
    try:
        body = json.loads(data)
    except ValueError:
        return Answer(head.status_code, seconds, ended=False, headers=headers)
    if head.status_code != 200 or "error" in body:
        return Answer(head.status_code, seconds, error=_error_in(body), headers=headers)
    choice = (body.get("choices") or [{}])[0]
    return Answer(200, seconds, (choice.get("message") or {}).get("content") or "", choice.get("finish_reason"),
                  not broken, None, body, body.get("usage") or {}, headers)  # fmt: skip


def _read_stream(head: httpx2.Response, data: bytes, seconds: float, broken: str) -> Answer:
    text, finish, error, ended = "", None, None, False
    merged: dict[str, Any] = {}
    usage: dict[str, Any] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        if not line.startswith("data:"):
            continue
        if line[5:].strip() == "[DONE]":
            ended = True
            continue
        try:
            chunk = json.loads(line[5:])
        except ValueError:
            return Answer(head.status_code, seconds, text, ended=False)
        error = _error_in(chunk) or error
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices") or ():
            found = choice.get("delta") or {}
            merged |= {name: value for name, value in found.items() if value}
            merged |= {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
            text += found.get("content") or ""
            finish = choice.get("finish_reason") or finish
    # A connection that is cut in the middle of a response is an exception in every client.
    error = error or (f"the connection broke: {broken}" if broken else None)
    body = {"choices": [{"message": merged, "logprobs": merged.get("logprobs")}]}
    return Answer(head.status_code, seconds, text, finish, ended, error, body, usage, dict(head.headers))


def _error_in(body: Any) -> str | None:
    """The message of an error that OpenAI's clients can read."""
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("message")) if isinstance(error, dict) and error.get("message") else None

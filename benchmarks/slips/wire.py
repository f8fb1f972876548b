"""An OpenAI-shaped server on loopback with a scripted model behind it, as strict or as odd as a behaviour wants it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = Mapping[str, Any]
Chunk = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A native tool call. `arguments` is the text on the wire, whether it is JSON or not."""

    name: str
    arguments: str
    id: str = "call_1"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answers. `chunks` replaces the stream that would be made of the rest, `extra` adds fields to the
    message, `status` other than 200 sends `content` as an error's message with `code`. `before` and `after` are events
    around a stream's own, `raw` replaces the whole answer, `unfinished` leaves out the finish_reason."""

    content: str | None = None
    calls: tuple[ToolCall, ...] = ()
    finish: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    chunks: tuple[Chunk, ...] | None = None
    status: int = 200
    code: str = "invalid_request_error"
    before: tuple[Mapping[str, Any], ...] = ()
    after: tuple[Mapping[str, Any], ...] = ()
    raw: Mapping[str, Any] | None = None
    unfinished: bool = False

    @property
    def finish_reason(self) -> str | None:
        if self.unfinished:
            return None
        return self.finish or ("tool_calls" if self.calls else "stop")

    def message(self) -> dict[str, Any]:
        """The whole message, as it stands in an answer that is not streamed."""
        calls = [_call(call) for call in self.calls]
        return {
            "role": "assistant",
            "content": self.content,
            **({"tool_calls": calls} if calls else {}),
            **self.extra,
        }

    def stream(self) -> Iterator[Chunk]:
        """The deltas, each with what OpenAI's own API puts into it."""
        if self.chunks is not None:
            yield from self.chunks
            return
        yield {"role": "assistant", "content": "", **self.extra}
        text = self.content or ""
        for start in range(0, len(text), 40):
            yield {"content": text[start : start + 40]}
        for index, call in enumerate(self.calls):
            head = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            yield {"tool_calls": [head]}
            for start in range(0, len(call.arguments), 40):
                piece = call.arguments[start : start + 40]
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def refusal(message: str, status: int = 400, code: str = "invalid_request_error") -> Reply:
    """An HTTP error in OpenAI's shape."""
    return Reply(message, status=status, code=code)


Answer = Callable[[Body], Reply]


class ModelServer:
    """Serves one scripted model until closed; counts its calls and the tokens that went in and out, roughly."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self.calls = 0
        self.tokens = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _reply(self, body: Body) -> Reply:
        with self._lock:
            reply = self._answer(body)
            if reply.status == 200:
                self.calls += 1
                self.tokens += (len(json.dumps(body["messages"])) + len(json.dumps(reply.message()))) // 4
            return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
                """Say nothing."""

            def do_GET(self) -> None:
                models = {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
                self._send(200, "application/json", json.dumps(models))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                reply = server._reply(body)
                if reply.status != 200:
                    error = {"message": reply.content, "type": reply.code, "param": None, "code": reply.code}
                    self._send(reply.status, "application/json", json.dumps({"error": error}))
                elif body.get("stream"):
                    self._send(200, "text/event-stream", _events(reply))
                else:
                    self._send(200, "application/json", json.dumps(_whole(reply)))

            def _send(self, status: int, kind: str, text: str) -> None:
                data = text.encode("utf-8", "surrogatepass")
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler


_USAGE = {"prompt_tokens": 200, "completion_tokens": 40, "total_tokens": 240}
_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "scripted"}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _whole(reply: Reply) -> Mapping[str, Any]:
    if reply.raw is not None:
        return reply.raw
    choice = {"index": 0, "message": reply.message(), "finish_reason": reply.finish_reason}
    return {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}


def events_of(reply: Reply) -> list[Mapping[str, Any]]:
    """The events of a stream."""
    own = [reply.raw] if reply.raw is not None else _stream(reply)
    return [*reply.before, *own, *reply.after]


def _events(reply: Reply) -> str:
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events_of(reply)) + "data: [DONE]\n\n"


def _stream(reply: Reply) -> list[Mapping[str, Any]]:
    deltas: Sequence[tuple[Chunk, str | None]] = [
        *((delta, None) for delta in reply.stream()),
        ({}, reply.finish_reason),
    ]
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas
    ]
    events.append({"choices": [], "usage": _USAGE})
    head = {**_HEAD, "object": "chat.completion.chunk"}
    return [{**head, **event} for event in events]


def with_ids(reply: Reply, prefix: str) -> Reply:
    """The same with an identifier of its own for each call."""
    calls = tuple(replace(call, id=f"{prefix}_{number}") for number, call in enumerate(reply.calls))
    return replace(reply, calls=calls)

"""A provider that answers at once, or fails at once, and counts: `python benchmarks/server.py MODE`.

MODE is `ok`, or a status such as `503`, or `429` (with Retry-After 2). Prints its port. `GET /count` tells how many
requests came since the last time it was asked.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "instant",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
}
CHUNKS: list[dict[str, Any]] = [
    {"delta": {"role": "assistant", "content": ""}, "finish_reason": None},
    *({"delta": {"content": word}, "finish_reason": None} for word in ("Y", "e", "s", ".")),
    {"delta": {}, "finish_reason": "stop"},
]


def stream() -> bytes:
    lines = []
    for chunk in CHUNKS:
        event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "instant"}
        lines.append("data: " + json.dumps({**event, "choices": [{"index": 0, **chunk}]}) + "\n\n")
    usage = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "instant", "choices": []}
    lines.append("data: " + json.dumps({**usage, "usage": ANSWER["usage"]}) + "\n\n")
    return ("".join(lines) + "data: [DONE]\n\n").encode()


class Server:
    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.count = 0

    def answer(self, path: bytes, body: bytes) -> bytes:
        if path == b"/count":
            counted, self.count = self.count, 0
            return response(200, json.dumps({"count": counted}).encode())
        if not path.endswith(b"/chat/completions"):
            return response(200, json.dumps({"object": "list", "data": []}).encode())
        self.count += 1
        if self.mode != "ok":
            error = {"error": {"message": "no", "type": "server_error", "param": None, "code": None}}
            return response(int(self.mode), json.dumps(error).encode(), retry_after=self.mode == "429")
        if b'"stream":true' in body.replace(b" ", b""):
            return response(200, stream(), kind="text/event-stream")
        return response(200, json.dumps(ANSWER).encode())

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
                )
                body = await reader.readexactly(length)
                writer.write(self.answer(head.split(b" ", 2)[1], body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def response(status: int, body: bytes, *, kind: str = "application/json", retry_after: bool = False) -> bytes:
    extra = "retry-after: 2\r\n" if retry_after else ""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{extra}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def main() -> None:
    server = await asyncio.start_server(Server(sys.argv[1]).handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())

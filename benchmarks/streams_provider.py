"""A provider that streams slowly: `python benchmarks/streams_provider.py PORT PAUSE`.

Each answer is as many tokens long as its prompt asks for, one in each pause of so many seconds, and says at its end how
many they were.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

PROMPT_TOKENS = 3


def event(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps(base | ({"usage": usage} if usage else {})).encode() + b"\n\n"


def delta(text: str, end: str | None = None) -> bytes:
    return event([{"index": 0, "delta": {"content": text} if text else {}, "finish_reason": end}])


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    body = await reader.readexactly(length)
    if not body:
        listed = b'{"object": "list", "data": []}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(listed))
        writer.write(listed)
        return
    prompt = json.loads(body)["messages"][0]["content"]
    tokens = int(prompt) if prompt.isdigit() else 1  # what is no number is a probe
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for _ in range(tokens):
        await asyncio.sleep(pause)
        writer.write(chunk(delta("word ")))
        await writer.drain()
    usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}
    writer.write(chunk(delta("", "stop")) + chunk(event([], usage) + b"data: [DONE]\n\n") + b"0\r\n\r\n")


async def main() -> None:
    port, pause = int(sys.argv[1]), float(sys.argv[2])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await answer(reader, writer, pause)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

"""`python -m benchmarks.serve_memory [ROUNDS]`: how much memory `orchestrator serve` takes, and how that grows.

At rest; after each thousand requests of one kind, so that it shows whether it levels off; and with so many readers of
its event stream as are held at once.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import AsyncExitStack

from benchmarks.__main__ import provider
from benchmarks.arguments import arguments
from benchmarks.endpoint import BODY, memory_mb, ours

REQUESTS, CONNECTIONS, READERS = 1000, 8, 200
REST_SECONDS = 5.0

# Method, path and body of the request with this number.
Request = tuple[str, str, object]
Maker = Callable[[int], Request]


def silence(number: int) -> Request:
    matchers = [f'agent="nobody-{number}"']
    return "POST", "/api/v1/silences", {"matchers": matchers, "seconds": 1, "comment": "a measurement"}


KINDS: dict[str, Maker] = {
    "the overview": lambda _: ("GET", "/", None),
    "a list of the API": lambda _: ("GET", "/api/v1/runs", None),
    "a path that does not exist": lambda number: ("GET", f"/api/v1/runs/run-{number}", None),
    "an invalid request": lambda number: ("POST", "/api/v1/runs", {"goal": number}),
    "a write": silence,
    "a model call": lambda _: ("POST", "/v1/chat/completions", BODY),
}


async def batch(port: int, key: str, make: Maker, numbers: itertools.count[int]) -> None:
    """A thousand requests, over several connections."""

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(REQUESTS // CONNECTIONS):
            await ask(reader, writer, key, make(next(numbers)))
        writer.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str, request: Request) -> None:
    """One request; any answer will do but a fault of the server's own."""
    method, path, body = request
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {key}\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    said = await reader.readexactly(length)
    assert answer.split()[1] < b"500", said


async def held(port: int, key: str, pid: int) -> tuple[int, float]:
    """How many readers of the event stream have begun to hear, and the memory while all are held."""
    async with AsyncExitStack() as stack:
        begun = 0
        for _ in range(READERS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            head = f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
            writer.write(head.encode())
            begun += (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(REST_SECONDS)
        return begun, memory_mb(pid)


def main(rounds: int) -> None:
    numbers = itertools.count()
    with provider("ok") as upstream, ours(upstream, rights=("--role", "operator")) as (port, key, pid):
        asyncio.run(asyncio.sleep(REST_SECONDS))
        print(f"at rest: {memory_mb(pid):.0f} MB\n")
        print(f"| after {REQUESTS:,} requests, each | {' | '.join(str(one + 1) for one in range(rounds))} |")
        print("| --- |" + " ---: |" * rounds)
        for name, make in KINDS.items():
            seen = []
            for _ in range(rounds):
                asyncio.run(batch(port, key, make, numbers))
                seen.append(f"{memory_mb(pid):.0f}")
            print(f"| {name} | {' | '.join(seen)} |", flush=True)
        begun, memory = asyncio.run(held(port, key, pid))
        print(f"\n{begun} readers of the event stream held: {memory:.0f} MB", flush=True)
        asyncio.run(asyncio.sleep(REST_SECONDS))
        print(f"after they have gone: {memory_mb(pid):.0f} MB")


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    main(parser.parse_args().rounds)

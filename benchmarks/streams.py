"""`python -m benchmarks.streams [STREAMS] [SECONDS]`: very many streams, whose clients leave and whose providers die.

Afterwards every stream has to be on the timeline, what it used has to be charged, and no slot, connection or memory may
be left over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.__main__ import ENVIRONMENT, OURS, ROOT
from benchmarks.arguments import arguments
from benchmarks.endpoint import free_port, running

SEED = 20_261_130
# Three clients in ten leave after so many parts of an answer.
LEAVING, LEAVE_AFTER = 0.3, 4
FEWEST, MOST = 4, 14
_SETTLE_SECONDS = 60.0


class KilledProvider:
    """A provider on a port of its own, which is killed and started again."""

    def __init__(self, pause: float) -> None:
        self.port = free_port()
        self._command = [sys.executable, str(ROOT / "benchmarks/streams_provider.py"), str(self.port), str(pause)]
        self._process: subprocess.Popen[str] | None = None
        self.kills = 0

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def kill(self) -> None:
        """What `kill -9` does."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self.kills += 1

    @property
    def settings(self) -> dict[str, Any]:
        """Its section of the configuration."""
        address = f"http://127.0.0.1:{self.port}/v1"
        return {"type": "openai", "baseUrl": address, "defaultModel": "m", "concurrency": 2_000}


@contextmanager
def providers(pause: float) -> Iterator[tuple[KilledProvider, KilledProvider]]:
    """Two of them."""
    both = KilledProvider(pause), KilledProvider(pause)
    for one in both:
        one.start()
    try:
        yield both
    finally:
        for one in both:
            one.kill()


@dataclass
class Tally:
    """What the clients saw. `answered` are the requests to which the head of a response came."""

    answered: int = 0
    complete: int = 0
    broken: int = 0
    left: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    unanswered: int = 0
    tokens: int = 0


class Clients:
    """Clients that each have one stream after the other until the time is up."""

    def __init__(self, port: int, key: str, seed: int = SEED) -> None:
        self.tally = Tally()
        self._port = port
        self._key = key
        self._random = random.Random(seed)
        self._end = 0.0

    async def run(self, count: int, seconds: float, killed: tuple[KilledProvider, ...] = (), every: float = 3) -> None:
        """So many clients for so many seconds; one of the providers is killed every few seconds, in turn."""
        self._end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._client())
            if killed:
                group.create_task(self._kill(killed, every))

    async def _kill(self, killed: tuple[KilledProvider, ...], every: float) -> None:
        number = 0
        while time.monotonic() + 2 * every < self._end:
            await asyncio.sleep(every)
            one = killed[number % len(killed)]
            await asyncio.to_thread(one.kill)
            await asyncio.sleep(every / 3)
            await asyncio.to_thread(one.start)
            number += 1

    async def _client(self) -> None:
        await asyncio.sleep(self._random.random())  # clients do not come all in the same moment
        while time.monotonic() < self._end:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                await self._stream(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.tally.unanswered += 1
            finally:
                writer.transport.abort()
            # As clients do that were refused.
            await asyncio.sleep(self._random.uniform(0.05, 0.3))

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tokens = self._random.randint(FEWEST, MOST)
        leaves = self._random.random() < LEAVING
        writer.write(self._request(tokens))
        head = await reader.readuntil(b"\r\n\r\n")
        self.tally.answered += 1
        if (status := int(head.split()[1])) != 200:
            self.tally.refused[status] = self.tally.refused.get(status, 0) + 1
            return
        seen = 0
        while line := await reader.readline():
            if line.startswith(b'data: {"error"'):
                self.tally.broken += 1
                return
            if line.startswith(b"data: [DONE]"):
                self.tally.complete += 1
                return
            if line.startswith(b"data: {"):
                seen += 1
                usage = json.loads(line[6:]).get("usage")
                self.tally.tokens += usage["total_tokens"] if usage else 0
            if leaves and seen >= LEAVE_AFTER:
                self.tally.left += 1
                return
        self.tally.broken += 1

    def _request(self, tokens: int) -> bytes:
        asked = {"messages": [{"role": "user", "content": str(tokens)}], "stream_options": {"include_usage": True}}
        body = json.dumps({"model": "auto", "stream": True, **asked}).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        return f"{head}Authorization: Bearer {self._key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass(frozen=True)
class Books:
    """What the server has recorded of its clients, and what it holds."""

    calls: int
    charges: int
    tokens: int
    slots: int
    connections: int


def books(database: Path, port: int, pid: int, key: str) -> Books:
    """Read them."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as connection:
        calls = "SELECT count(*) FROM events WHERE kind IN ('model_call.finished', 'model_call.failed')"
        (made,) = connection.execute(f"{calls} AND agent LIKE 'client:%'").fetchone()
        used = "SELECT count(*), coalesce(sum(prompt_tokens + completion_tokens), 0) FROM spend"
        charges, tokens = connection.execute(f"{used} WHERE agent LIKE 'client:%'").fetchone()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/providers", headers={"authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        slots = sum(one["in_use"] for one in json.load(answer))
    clients = [one for one in psutil.Process(pid).net_connections("tcp") if one.laddr[1] == port and one.raddr]
    return Books(made, charges, tokens, slots, len(clients))


def main(count: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder, providers(0.5) as both:
        file = Path(folder, "config", "agents.config.json")
        file.parent.mkdir()
        runtime: dict[str, Any] = {"defaultProvider": "first", "fallbackProviders": ["second"]}
        runtime |= {"first": both[0].settings, "second": both[1].settings}
        file.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "executor"}]}))
        command = [OURS, "-m", "orchestration"]
        made = subprocess.run([*command, "tokens", "create", "streams", "--role", "operator", "--daily-usd", "1000000"],
                              cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)  # fmt: skip
        key, port = made.stdout.strip(), free_port()
        with running([*command, "serve", "--workers", "0", "--port", str(port)], folder, port, "/healthz") as pid:
            process, database = psutil.Process(pid), Path(folder, "var", "orchestrator.db")
            clients = Clients(port, key)
            rows = [("at the start", process.memory_info().rss)]
            asyncio.run(clients.run(count, 10))
            rows.append((f"after {count:,} streams at once for 10 s, without a kill", process.memory_info().rss))
            asyncio.run(clients.run(count, seconds, both))
            rows.append(("at the end of the storm", process.memory_info().rss))
            end = time.monotonic() + _SETTLE_SECONDS
            while time.monotonic() < end:
                found = books(database, port, pid, key)
                if found.calls >= clients.tally.answered and not (found.slots or found.connections):
                    break
                time.sleep(1)
            rows.append(("once all is settled", process.memory_info().rss))
    print(clients.tally, found, f"kills of providers: {sum(one.kills for one in both) - 2}", sep="\n")
    for what, memory in rows:
        print(f"MB {what}: {memory / 1e6:.0f}")
    assert found.calls == clients.tally.answered, "each stream is on the timeline once"
    assert found.tokens >= clients.tally.tokens, "what clients were told that they have used is charged"
    assert (found.slots, found.connections, clients.tally.unanswered) == (0, 0, 0)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("streams", nargs="?", type=int, default=1_000)
    parser.add_argument("seconds", nargs="?", type=float, default=60.0)
    main(parser.parse_args().streams, parser.parse_args().seconds)

"""`python -m benchmarks.endpoint`: our gateway endpoint, LiteLLM's proxy and Portkey's gateway in front of the same
instant provider.

What a proxy costs is the time that it adds to a request, how many requests it carries in a second, and the processor
time of its process, which other programs on the machine change least. All are asked by the same client over kept
connections, in turn, after a warm-up, as an application would, at their stock settings and with one worker: ours with
a token, LiteLLM's with its master key; Portkey's knows no keys.

`python -m benchmarks.endpoint processor` measures the processor time alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import psutil

from benchmarks import peers
from benchmarks.__main__ import ENVIRONMENT, OURS, provider
from benchmarks.arguments import arguments

ROUNDS = 3
ONE_BY_ONE = 200
AT_ONCE = 16
TOGETHER = 800
_IDLE_SECONDS = 3.0
# What is written in batches is written by then.
_LATER_SECONDS = 0.5
_UPSTREAM = "upstream:"
# Starts a gateway in front of the provider at a port; gives its own port, the key, and its process.
Contender = Callable[[str], AbstractContextManager[tuple[int, str, int]]]
BODY: dict[str, object] = {"model": "instant", "messages": [{"role": "user", "content": "Is it up?"}]}


async def one_by_one(port: int, key: str) -> list[float]:
    """Seconds of each request, one after the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took = []
    for _ in range(ONE_BY_ONE):
        began = time.perf_counter()
        await ask(reader, writer, key)
        took.append(time.perf_counter() - began)
    writer.close()
    return took


async def together(port: int, key: str, *, stream: bool = False) -> float:
    """Requests a second, over several connections."""

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(TOGETHER // AT_ONCE):
            await ask(reader, writer, key, stream=stream)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return TOGETHER / (time.perf_counter() - began)


def processor_ms(port: int, key: str, pid: int, *, stream: bool) -> float:
    """Processor time of the process for a request, without what it uses when nobody asks."""
    asyncio.run(together(port, key, stream=stream))
    idle = _used(pid)
    time.sleep(_IDLE_SECONDS)
    idle = (_used(pid) - idle) / _IDLE_SECONDS
    used, began = _used(pid), time.perf_counter()
    asyncio.run(together(port, key, stream=stream))
    time.sleep(_LATER_SECONDS)
    return (_used(pid) - used - idle * (time.perf_counter() - began)) / TOGETHER * 1000


def _used(pid: int) -> float:
    times = [one.cpu_times() for one in _family(pid)]
    return sum(one.user + one.system for one in times)


def _family(pid: int) -> list[psutil.Process]:
    whole = psutil.Process(pid)
    return [whole, *whole.children(recursive=True)]


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str, *, stream: bool = False) -> None:
    """One request; its answer has to be the provider's."""
    body = json.dumps(BODY | ({"stream": True} if stream else {})).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += f"{authorization(key)}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    lengths = [int(line[15:]) for line in answer.split(b"\r\n") if line.startswith(b"content-length:")]
    content = await (reader.readexactly(lengths[0]) if lengths else reader.readuntil(b"0\r\n\r\n"))
    assert answer.startswith(b"http/1.1 200"), content
    assert (b"[DONE]" if stream else b"Yes.") in content, content


def authorization(key: str) -> str:
    """The header by which a client is known; of Portkey's, where the provider is."""
    if not key.startswith(_UPSTREAM):
        return f"Authorization: Bearer {key}"
    host = f"http://127.0.0.1:{key.removeprefix(_UPSTREAM)}/v1"
    return f"x-portkey-config: {json.dumps({'provider': 'openai', 'api_key': 'none', 'custom_host': host})}"


@contextmanager
def direct(upstream: str) -> Iterator[tuple[int, str, int]]:
    """The provider itself: what is added is measured against it."""
    yield int(upstream), "none", 0


@contextmanager
def ours(
    upstream: str, rights: Sequence[str] = ("--gateway",), served_by: Sequence[str] = ("serve", "--workers", "0")
) -> Iterator[tuple[int, str, int]]:
    """One of our commands; yields port, key and process. `rights` say what the key is for."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config", "agents.config.json")
        file.parent.mkdir()
        instant = {"type": "openai", "baseUrl": f"http://127.0.0.1:{upstream}/v1", "defaultModel": "instant"}
        runtime = {"defaultProvider": "instant", "instant": {**instant, "concurrency": 64, "streaming": False}}
        file.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "executor"}]}))
        command = [OURS, "-m", "orchestration"]
        made = subprocess.run([*command, "tokens", "create", "benchmark", *rights], cwd=folder, env=ENVIRONMENT,
                              capture_output=True, text=True, check=True)  # fmt: skip
        port = free_port()
        options = [*served_by, "--port", str(port)]
        with running([*command, *options], folder, port, "/healthz") as process:
            yield port, made.stdout.strip(), process


@contextmanager
def litellm(upstream: str) -> Iterator[tuple[int, str, int]]:
    """LiteLLM's proxy."""
    python = peers.python_of("litellm-proxy")
    assert python is not None
    with tempfile.TemporaryDirectory() as folder:
        parameters = {"model": "openai/instant", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
        models = [{"model_name": "instant", "litellm_params": parameters}]
        Path(folder, "config.yaml").write_text(json.dumps({"model_list": models}))
        port = free_port()
        command = [str(python.with_name("litellm")), "--config", "config.yaml", "--host", "127.0.0.1"]
        key = f"sk-{secrets.token_hex(32)}"
        with running(
            [*command, "--port", str(port)], folder, port, "/health/liveliness", LITELLM_MASTER_KEY=key
        ) as process:
            yield port, key, process


@contextmanager
def portkey(upstream: str) -> Iterator[tuple[int, str, int]]:
    """Portkey's gateway, to which each request says where the provider is."""
    folder = peers.FOLDER / "portkey"
    port = free_port()
    script = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    with running(["node", str(script), f"--port={port}", "--headless"], str(folder), port, "/") as process:
        yield port, f"{_UPSTREAM}{upstream}", process


@contextmanager
def running(command: list[str], folder: str, port: int, path: str, **variables: str) -> Iterator[int]:
    """A server that has begun to answer."""
    environment = {**ENVIRONMENT, "NO_PROXY": "*", **variables}
    with Path(folder, "printed.txt").open("w") as printed:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=printed, stderr=printed)
    try:
        for _ in range(600):
            if process.poll() is not None:
                sys.exit(f"{command[0]} has ended:\n{Path(folder, 'printed.txt').read_text()[-2000:]}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        else:
            sys.exit(f"{command[0]} did not start:\n{Path(folder, 'printed.txt').read_text()[-2000:]}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            # It waits for requests of clients that have long gone.
            process.kill()
            process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def memory_mb(pid: int) -> float:
    return sum(one.memory_info().rss for one in _family(pid)) / 1e6 if pid else 0.0


def contenders() -> dict[str, Contender]:
    """Those that can be run here."""
    from benchmarks.gateway_faults.gateways import has_portkey

    several = partial(ours, served_by=("endpoint", "--processes", "2"))
    found: dict[str, Contender] = {
        "the provider itself": direct,
        "orchestrator serve": ours,
        "orchestrator endpoint, 2 processes": several,
    }
    if peers.python_of("litellm-proxy") is not None:
        found[f"LiteLLM proxy {peers.version_of('litellm-proxy')}"] = litellm
    if has_portkey():
        found["Portkey gateway"] = portkey
    return found


def processor_times() -> None:
    """Print the processor time of a request, whole and streamed."""
    results: dict[str, list[tuple[float, float]]] = {}
    with provider("ok") as upstream:
        for _ in range(ROUNDS):
            for name, start in contenders().items():
                with start(upstream) as (port, key, pid):
                    if pid:
                        pair = (processor_ms(port, key, pid, stream=stream) for stream in (False, True))
                        results.setdefault(name, []).append((next(pair), next(pair)))
    print("| processor time of a request, ms | whole | streamed |\n| --- | ---: | ---: |")
    for name, rounds in results.items():
        whole, streamed = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"| {name} | {whole:.2f} | {streamed:.2f} |", flush=True)


def main() -> None:
    found = contenders()
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in found}
    with provider("ok") as upstream:
        for _ in range(ROUNDS):
            for name, start in found.items():
                with start(upstream) as (port, key, pid):
                    asyncio.run(one_by_one(port, key))
                    latency = statistics.median(asyncio.run(one_by_one(port, key)))
                    rate = asyncio.run(together(port, key))
                    results[name].append((latency, rate, memory_mb(pid)))
    floor = statistics.median(one[0] for one in results["the provider itself"])
    print(f"{os.cpu_count()} processors, medians of {ROUNDS} rounds; {AT_ONCE} connections for the rate\n")
    print("| | added to a request, ms | requests a second | memory afterwards, MB |\n| --- | ---: | ---: | ---: |")
    for name, rounds in results.items():
        latency, rate, memory = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"| {name} | {(latency - floor) * 1000:.2f} | {rate:.0f} | {memory:.0f} |")


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("what", nargs="?", choices=["processor"], help="only the processor time")
    processor_times() if parser.parse_args().what else main()

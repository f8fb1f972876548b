"""Commands in a real room that may reach some hosts: a real proxy, real connections, and servers of ours outside."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestration.agents import sandbox
from orchestration.agents.network_gate import HostUse
from orchestration.agents.sandbox import CommandResult, IsolationRules, SandboxLimits
from orchestration.app import application
from orchestration.domain.host_rule import read_rule
from tests.integration.agents.rooms import DONE, ScriptedModel, calls, configure
from tests.integration.agents.test_isolation import GAPS


class Outside:
    """A server on the machine, outside of every command's network."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outside.heads.append(f"{self.requestline}\n{self.headers}")
                body = b"hello from outside"
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def outside() -> Iterator[Outside]:
    running = Outside()
    yield running
    running.close()


REFUSED = "commands may not reach evil.example:80; permit it in runtime.commands.hosts"
# The proxy is asked also for this machine, which programs would leave out.
ASK = """
import os, socket, sys, urllib.request
os.environ.update(no_proxy="", NO_PROXY="")
def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()
    except OSError as error:
        return f"{error} {error.read().decode() if hasattr(error, 'read') else ''}".strip()
proxy = ("127.0.0.1", int(os.environ["https_proxy"].rpartition(":")[2]))
def tunnel(host):
    with socket.create_connection(proxy, 10) as own:
        own.sendall(f"CONNECT {host} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
        answer = own.recv(1000)
        if b" 200 " not in answer:
            return answer.decode().splitlines()[0]
        own.sendall(b"GET /tunnelled HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
        parts = []
        while part := own.recv(1000):
            parts.append(part)
        return b"".join(parts).decode().splitlines()[-1]
"""


async def ask(folder: Path, code: str, *hosts: str) -> CommandResult:
    rules = IsolationRules(hosts=tuple(map(read_rule, hosts)))
    return await sandbox.run((sys.executable, "-c", ASK + code), folder, SandboxLimits(seconds=30, isolation=rules))


pytestmark = pytest.mark.skipif("network" in GAPS, reason="NOT TESTED: this machine isolates no network")


async def test_a_permitted_host_is_reached_and_no_other(tmp_path: Path, outside: Outside) -> None:
    here = f"localhost:{outside.port}"
    code = f"""
print(get("http://{here}/a?b=c"))
print(tunnel("{here}"))
print(get("http://evil.example/"))
print(tunnel("127.0.0.1:{outside.port}"))
print(tunnel("localhost:22"))
try:
    socket.create_connection(("127.0.0.1", {outside.port}), 5)
    print("reached past the proxy")
except OSError as error:
    print(type(error).__name__)
"""
    ended = await ask(tmp_path, code, here)
    assert ended.output.splitlines() == [
        "hello from outside",
        "hello from outside",
        "HTTP Error 403: Forbidden commands may not reach evil.example:80; permit it in runtime.commands.hosts",
        "HTTP/1.1 403 Forbidden",
        "HTTP/1.1 403 Forbidden",
        "ConnectionRefusedError",
    ]
    assert [head.splitlines()[0] for head in outside.heads] == ["GET /a?b=c HTTP/1.1", "GET /tunnelled HTTP/1.1"]
    assert "proxy" not in outside.heads[0].lower()
    assert ended.hosts == (
        HostUse("127.0.0.1", outside.port, permitted=False, times=1),
        HostUse("evil.example", 80, permitted=False, times=1),
        HostUse("localhost", 22, permitted=False, times=1),
        HostUse("localhost", outside.port, permitted=True, times=2),
    )


async def test_a_public_name_that_leads_into_our_network_is_not_reached(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolved(*_: object) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", outside.port))]

    monkeypatch.setattr("orchestration.outbound._addresses_of", resolved)
    name = f"rebound.example.org:{outside.port}"
    ended = await ask(tmp_path, f'print(get("http://{name}/"))', name)
    assert "leads to a private address" in ended.output
    assert outside.heads == []
    assert ended.hosts == (HostUse("rebound.example.org", outside.port, permitted=False, times=1),)


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET https://packages.example.org/ HTTP/1.1\r\n\r\n",
        b"CONNECT [::1 HTTP/1.1\r\n\r\n",
        b"CONNECT x:99999999 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(range(256)) + b"\r\n\r\n",
        b"A" * 100_000,
        b"",
    ],
)
async def test_nonsense_ends_a_connection_and_nothing_else(tmp_path: Path, outside: Outside, sent: bytes) -> None:
    here = f"localhost:{outside.port}"
    code = f"""
with socket.create_connection(proxy, 10) as own:
    try:
        own.sendall({sent!r})
        own.shutdown(socket.SHUT_WR)
        answer = own.recv(100)
    except OSError:
        answer = b""
    print(answer[:12] in (b"", b"HTTP/1.1 403"))
print(get("http://{here}/"))
"""
    ended = await ask(tmp_path, code, here)
    assert ended.output.splitlines() == ["True", "hello from outside"]


async def test_many_connections_at_once_are_all_carried_and_none_is_left(tmp_path: Path, outside: Outside) -> None:
    here = f"localhost:{outside.port}"
    code = f"""
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(20) as pool:
    print(list(pool.map(get, ["http://{here}/"] * 60)).count("hello from outside"))
sleeping = [socket.create_connection(proxy, 10) for _ in range(10)]
"""
    ended = await ask(tmp_path, code, here)
    assert ended.output.strip() == "60"


def test_the_timeline_and_the_model_are_told_what_was_reached_for(tmp_path: Path, outside: Outside) -> None:
    here = f"localhost:{outside.port}"
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "ask.py").write_text(ASK + f'get("http://{here}/"); get("http://evil.example/")')
    agents = [{"id": "executor", "tools": ["run_command"], "commands": ["python3 ask.py"]}]
    answers = iter([calls(("run_command", {"command": ["python3", "ask.py"]})), DONE])

    async def work() -> tuple[list[Any], str]:
        with ScriptedModel(lambda _: next(answers, DONE)) as model:
            file = configure(tmp_path, model.url, agents, commands={"hosts": [here]})
            async with application(str(file)) as app:
                events: list[Any] = []
                app.bus.subscribe(events.append)
                run = await app.launcher.start("reach out", tmp_path / "work", agent="executor")
                await app.engine.result(run.id)
                return [one for one in events if one.kind == "command.hosts"], json.dumps(model.asked[-1])

    (event,), told = anyio.run(work)
    assert (event.data["permitted"], event.data["refused"]) == ([here], ["evil.example:80"])
    assert "these hosts may not be reached: evil.example:80" in told

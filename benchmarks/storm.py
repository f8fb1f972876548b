"""`python -m benchmarks.storm`: ten thousand alerts of one group, and a worse one of another group right behind them.

`orchestrator serve` and Alertmanager, in turn on this machine, with a webhook each. What counts is how long the alerts
take to be accepted, how many messages people get, when they hear of the worse alert, and what becomes of the memory.
Ours answers when the alerts are on the disk; Alertmanager keeps them in memory.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

from benchmarks.__main__ import OURS
from benchmarks.arguments import arguments
from benchmarks.endpoint import free_port, running
from benchmarks.hook import Hook, a_hook
from benchmarks.intake import NAMES, TOKEN

ROUNDS = 3
ALERTS = 10_000
GROUP, WORSE = "HostDown", "PrimaryDown"
# How long nothing more may come before the messages are counted.
QUIET_SECONDS = 8.0
LONGEST_SECONDS = 60.0
# Alertmanager's own defaults are 30 s and 5 minutes.
ALERTMANAGER = """
route: {{receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 5s}}
receivers: [{{name: hook, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""
# What is over is kept for a while, for what may come back. Here it goes at once, so that the memory can be measured.
CONFIGURATION: dict[str, Any] = {
    "runtime": {"defaultProvider": "rehearsal", "rehearsal": {"type": "rehearsal"}},
    "alerting": {
        "intake": {"tokenEnv": "INTAKE_TOKEN"},
        "defaultInhibitions": False,
        "flapping": {"window": 5},
        "storms": {"window": 5},
    },
}


@dataclass(frozen=True, slots=True)
class StormFigures:
    """Seconds until all alerts were accepted, and from the worse alert to its message; messages about the storm while
    it lasts, and with its end; megabytes of memory before, at most, and when it was over."""

    accepted: float
    worse_told: float
    messages: int
    messages_with_end: int
    memory_before: float
    memory_most: float
    memory_after: float


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its port and process, and how it is given alerts; `said` is what names the alerts of a
    message."""

    port: int
    pid: int
    path: str
    body: Callable[[str, int, int, str, bool], bytes]
    said: Callable[[Any], str]


def memory_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def our_body(name: str, first: int, count: int, severity: str, firing: bool) -> bytes:
    """A delivery of Alertmanager's webhook."""
    alerts = [
        {
            "status": "firing" if firing else "resolved",
            "labels": labels(name, number, severity),
            "annotations": texts(name, number),
            "startsAt": "2026-03-01T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z" if firing else "2026-03-01T12:30:00Z",
            "generatorURL": "http://prometheus/graph",
            "fingerprint": f"{number:016x}",
        }
        for number in range(first, first + count)
    ]
    group = f'{{}}:{{alertname="{name}"}}'
    return json.dumps({"version": "4", "groupKey": group, "truncatedAlerts": 0, "alerts": alerts}).encode()


def their_body(name: str, first: int, count: int, severity: str, firing: bool) -> bytes:
    """A request of Alertmanager's API."""
    over = {} if firing else {"endsAt": "2026-03-01T12:30:00Z"}
    alerts = [
        {"labels": labels(name, number, severity), "annotations": texts(name, number), **over}
        for number in range(first, first + count)
    ]
    return json.dumps(alerts).encode()


def labels(name: str, number: int, severity: str) -> dict[str, str]:
    return {"alertname": name, "instance": f"host-{number}:9100", "severity": severity, "job": "node", "rack": "b7"}


def texts(name: str, number: int) -> dict[str, str]:
    text = f"host-{number} has not answered for five minutes; its switch, its power or its kernel may be the cause"
    return {"summary": f"{name}: host-{number}", "description": text, "runbook_url": "https://wiki.example/host-down"}


@contextmanager
def ours(hook: Hook) -> Iterator[Server]:
    """`orchestrator serve`, with one contact."""
    response = {
        "channels": {"hook": {"type": "webhook", "url": hook.url}},
        "contacts": [{"id": "ada", "level": 1, "channels": [{"channel": "hook"}]}],
        "stabilitySeconds": 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config", "agents.config.json")
        file.parent.mkdir()
        file.write_text(json.dumps({**CONFIGURATION, "response": response}))
        Path(folder, ".env").write_text(f"INTAKE_TOKEN={TOKEN}\n")
        port = free_port()
        command = [OURS, "-m", "orchestration", "serve", "--workers", "0", "--port", str(port)]
        with running(command, folder, port, "/readyz") as pid:
            yield Server(port, pid, "/api/v1/intake/alertmanager", our_body, json.dumps)


@contextmanager
def alertmanager(hook: Hook) -> Iterator[Server]:
    """Alertmanager, with one receiver."""
    program = next(found for name in NAMES if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "am.yml").write_text(ALERTMANAGER.format(url=hook.url))
        port = free_port()
        command = [program, "--config.file=am.yml", "--storage.path=data", "--cluster.listen-address="]
        command.append(f"--web.listen-address=127.0.0.1:{port}")
        with running(command, folder, port, "/-/ready") as pid:
            yield Server(port, pid, "/api/v2/alerts", their_body, lambda body: str(body["groupLabels"]))


def send(server: Server, bodies: Sequence[bytes]) -> float:
    """Send the bodies one after the other; returns when all were accepted, in seconds."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    began = time.perf_counter()
    for body in bodies:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        connection.request("POST", server.path, body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    connection.close()
    return time.perf_counter() - began


def wait(condition: Callable[[], object], seconds: float = LONGEST_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


class MemoryWatch:
    """The most memory that a process has taken since."""

    def __init__(self, pid: int) -> None:
        self.most = memory_mb(pid)
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            with suppress(psutil.NoSuchProcess):
                self.most = max(self.most, memory_mb(self._pid))

    def end(self) -> float:
        self._ended.set()
        self._thread.join()
        return self.most


def storm(server: Server, hook: Hook, parts: int, quiet: float = QUIET_SECONDS) -> StormFigures:
    """Send the storm in so many bodies and the worse alert behind it, then let all of it end."""
    count = ALERTS // parts
    bodies = [server.body(GROUP, first, count, "warning", True) for first in range(0, ALERTS, count)]
    over = [server.body(GROUP, first, count, "warning", False) for first in range(0, ALERTS, count)]
    worse = server.body(WORSE, ALERTS, 1, "critical", True)
    before = memory_mb(server.pid)
    watch = MemoryWatch(server.pid)

    def messages(name: str) -> list[float]:
        return [at for at, body in tuple(hook.received) if name in server.said(body)]

    accepted = send(server, bodies)
    begun = time.time()
    send(server, [worse])
    told = messages(WORSE)[0] - begun if wait(lambda: messages(WORSE)) else float("inf")
    wait(lambda: messages(GROUP) and time.time() - hook.received[-1][0] > quiet)
    during = len(messages(GROUP))
    send(server, over)
    wait(lambda: len(messages(GROUP)) > during)
    wait(lambda: time.time() - hook.received[-1][0] > quiet)
    most = watch.end()
    return StormFigures(accepted, told, during, len(messages(GROUP)), before, most, memory_mb(server.pid))


_TITLES = (
    "seconds until accepted",
    "seconds until the worse alert is told",
    "messages while it lasts",
    "messages with its end",
    "MB before",
    "MB at most",
    "MB afterwards",
)


def main() -> None:
    servers: dict[str, Callable[[Hook], Any]] = {"ours, on the disk": ours}
    if any(shutil.which(name) for name in NAMES):
        servers["Alertmanager, in memory"] = alertmanager
    else:
        print("benchmarks: SKIPPED Alertmanager: apt-get install prometheus-alertmanager", file=sys.stderr)
    results: dict[str, list[StormFigures]] = {}
    for _ in range(ROUNDS):
        for parts in (1, 10):
            for name, start in servers.items():
                with a_hook() as hook, start(hook) as server:
                    results.setdefault(f"{name}, {parts} × {ALERTS // parts:,}", []).append(storm(server, hook, parts))
    print(f"| | {' | '.join(results)} |\n| --- |" + " ---: |" * len(results))
    for title, field in zip(_TITLES, fields(StormFigures), strict=True):
        medians = (statistics.median(getattr(one, field.name) for one in several) for several in results.values())
        print(f"| {title} | {' | '.join(f'{value:.3g}' for value in medians)} |", flush=True)


if __name__ == "__main__":
    arguments(__doc__).parse_args()
    main()

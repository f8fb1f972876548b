"""`python -m benchmarks.intake`: alerts a second through our intake and into Alertmanager, in turn, on this machine.

Ours answers after the alerts are on the disk. Alertmanager's `POST /api/v2/alerts` keeps them in memory, and writes no
alert to the disk at all. Both are asked over HTTP by the same client, in a process of its own: by bare connections,
since a client library of Python takes longer for a request than the servers do.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.arguments import arguments

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
ALERTS = 4000
TOKEN = "benchmark-token"
NAMES = ("prometheus-alertmanager", "alertmanager")
CONFIGURATION = "route: {receiver: none}\nreceivers: [{name: none}]\n"

Body = Callable[[int, int], bytes]


def our_body(first: int, count: int) -> bytes:
    alerts = [
        {
            "status": "firing",
            "labels": labels(number),
            "annotations": {"summary": "load is high", "description": f"it is {number}"},
            "startsAt": "2026-03-01T12:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus/graph",
            "fingerprint": f"{number:016x}",
        }
        for number in range(first, first + count)
    ]
    return json.dumps({"version": "4", "truncatedAlerts": 0, "status": "firing", "alerts": alerts}).encode()


def their_body(first: int, count: int) -> bytes:
    alerts = [
        {
            "labels": labels(number),
            "annotations": {"summary": "load is high", "description": f"it is {number}"},
            "generatorURL": "http://prometheus/graph",
        }
        for number in range(first, first + count)
    ]
    return json.dumps(alerts).encode()


def labels(number: int) -> dict[str, str]:
    return {"alertname": "HighLoad", "instance": f"web-{number}", "severity": "warning", "job": "node"}


@contextmanager
def ours(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.intake", "serve", str(folder / "orchestrator.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def alertmanager(program: str, folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "am.yml").write_text(CONFIGURATION)
    command = [program, f"--config.file={folder}/am.yml", f"--storage.path={folder}/data", "--cluster.listen-address="]
    command.append(f"--web.listen-address=127.0.0.1:{port}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(200):
                time.sleep(0.05)
                try:
                    HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/-/ready")
                    break
                except ConnectionError:
                    continue
            yield port
        finally:
            process.kill()


def serve(file: str) -> None:
    """Our intake, as the application mounts it."""
    import uvicorn
    from starlette.applications import Starlette

    from orchestration.alerts.batch_redaction import batch_redactor
    from orchestration.alerts.intake import AlertIntake
    from orchestration.clock import SystemClock
    from orchestration.config.alerting import IntakeSettings
    from orchestration.events import EventBus
    from orchestration.security.redaction import Redactor
    from orchestration.storage.alert_inbox import AlertInbox
    from orchestration.storage.database import Database
    from orchestration.web.http_protocol import http_protocol
    from orchestration.web.intake import routes

    database = Database(f"sqlite:///{file}")
    database.migrate()
    settings = IntakeSettings(token_env="TOKEN")
    inbox, redact = AlertInbox(database), batch_redactor(Redactor())
    intake = AlertIntake(inbox, lambda: settings, {"TOKEN": TOKEN}.get, redact, lambda _: ())
    # Only with its protocol named does asyncio send small answers without delay.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    print(listening.getsockname()[1], flush=True)
    clock = SystemClock()
    app = Starlette(routes=routes(intake, clock, EventBus(clock)))
    # As `orchestrator serve` reads requests.
    config = uvicorn.Config(app, http=http_protocol(), log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def rate(port: int, path: str, bodies: list[bytes], alerts: int, connections: int) -> float:
    """Alerts a second, with the bodies spread over the connections; the next one goes when the last was answered."""
    fields = ("Host: 127.0.0.1", "Content-Type: application/json", f"Authorization: Bearer {TOKEN}")
    head = "\r\n".join([f"POST {path} HTTP/1.1", *fields, ""])
    requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    left = [iter(requests[start::connections]) for start in range(connections)]
    began = time.perf_counter()
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        for part in left:
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, (connection, part, bytearray()))
            connection.sendall(next(part))
        working = len(left)
        while working:
            for key, _ in selector.select():
                connection, part, answer = key.data
                answer += connection.recv(65_536)
                if not is_whole(answer):
                    continue
                assert answer.startswith(b"HTTP/1.1 20"), answer[:200]
                answer.clear()
                if (request := next(part, None)) is None:
                    working -= 1
                    selector.unregister(connection)
                else:
                    connection.sendall(request)
    return alerts / (time.perf_counter() - began)


def is_whole(answer: bytearray) -> bool:
    """Whether an answer has its head and its body."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return bool(end) and len(body) >= length


def measure(batch: int, alerts: int, connections: int) -> dict[str, list[float]]:
    """All rounds of both, one after the other, so that a slow moment hits both."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    results: dict[str, list[float]] = {"Alertmanager, in memory": [], "our intake, on the disk": []}
    for _ in range(ROUNDS):
        for name, body, path in (
            ("Alertmanager, in memory", their_body, "/api/v2/alerts"),
            ("our intake, on the disk", our_body, "/api/v1/intake/alertmanager"),
        ):
            if body is their_body and program is None:
                continue
            bodies = [body(first, batch) for first in range(0, alerts, batch)]
            with tempfile.TemporaryDirectory() as folder:
                server = ours(Path(folder)) if body is our_body else alertmanager(str(program), Path(folder))
                with server as port:
                    rate(port, path, bodies[:connections], batch, connections)
                    results[name].append(rate(port, path, bodies, alerts, connections))
    return results


def main() -> None:
    for batch, alerts, connections in ((1, ALERTS, 4), (1, ALERTS, 32), (64, ALERTS * 8, 4)):
        print(f"\n## Intake, {batch} alerts a request, {connections} connections\n")
        print("| | alerts a second | ratio |\n| --- | ---: | ---: |")
        results = measure(batch, alerts, connections)
        medians = {name: statistics.median(rates) for name, rates in results.items() if rates}
        floor = next(iter(medians.values()))
        for name, value in medians.items():
            print(f"| {name} | {value:,.0f} | {value / floor:.2f} |")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(ROOT))
    if sys.argv[1:2] == ["serve"]:  # the process that it starts itself
        serve(sys.argv[2])
    else:
        arguments(__doc__).parse_args()
        main()

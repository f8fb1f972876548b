"""The real Prometheus Alertmanager, as installed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.patience import Deadline, wait_for_end

_NAMES = ("prometheus-alertmanager", "alertmanager")


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager; `url` is its own address."""

    url: str
    process: subprocess.Popen[bytes]

    def post(self, *alerts: dict[str, Any]) -> None:
        """Hand in alerts, as Prometheus does."""
        httpx2.post(f"{self.url}/api/v2/alerts", json=list(alerts)).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """What it knows, muted alerts too."""
        return list(httpx2.get(f"{self.url}/api/v2/alerts").raise_for_status().json())


def binary() -> Path:
    """Where the program is; skips the test where there is none."""
    for name in _NAMES:
        if found := shutil.which(name):
            return Path(found)
    pytest.skip("no Alertmanager is installed; as root on Debian: python -m tests.support.debian")


@contextmanager
def alertmanager(program: Path, folder: Path, configuration: str) -> Iterator[Alertmanager]:
    """Start one on loopback, with a configuration in YAML, and stop it at the end."""
    file = folder / "alertmanager.yml"
    file.write_text(configuration, encoding="utf-8")
    port = _free_port()
    command = [
        str(program),
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        running = Alertmanager(f"http://127.0.0.1:{port}", process)
        _wait_until_ready(running, folder / "alertmanager.log")
        yield running
    finally:
        process.kill()
        wait_for_end(process, 10)


def an_alert(name: str, *, ends_at: datetime | None = None, **labels: str) -> dict[str, Any]:
    """An alert for its API; with `ends_at` in the past it is resolved."""
    alert: dict[str, Any] = {"labels": {"alertname": name, **labels}, "annotations": {"summary": f"{name} is bad"}}
    if ends_at is not None:
        alert["endsAt"] = ends_at.astimezone(UTC).isoformat()
    return alert


def _wait_until_ready(running: Alertmanager, log: Path) -> None:
    deadline = Deadline(20)
    while not deadline.is_over():
        with suppress(httpx2.TransportError):
            if httpx2.get(f"{running.url}/-/ready").status_code == 200:
                return
        if running.process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"Alertmanager did not start: {log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""The real Prometheus Alertmanager, as installed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from tests.support import debian_server
from tests.support.patience import patient


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager; `url` is its own address."""

    url: str
    process: subprocess.Popen[bytes]

    def post(self, *alerts: dict[str, Any]) -> None:
        """Hand in alerts, as Prometheus does."""
        httpx2.post(f"{self.url}/api/v2/alerts", json=list(alerts), timeout=patient(30)).raise_for_status()

    def alerts(self) -> list[dict[str, Any]]:
        """What it knows, muted alerts too."""
        return list(httpx2.get(f"{self.url}/api/v2/alerts", timeout=patient(30)).raise_for_status().json())


def binary() -> Path:
    """Where the program is; skips the test where there is none."""
    return debian_server.binary("prometheus-alertmanager", "alertmanager")


@contextmanager
def alertmanager(program: Path, folder: Path, configuration: str) -> Iterator[Alertmanager]:
    """Start one on loopback, with a configuration in YAML, and stop it at the end."""
    file = folder / "alertmanager.yml"
    file.write_text(configuration, encoding="utf-8")
    address = f"127.0.0.1:{debian_server.free_port()}"
    command = [
        str(program),
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with debian_server.running(command, f"http://{address}", folder) as process:
        yield Alertmanager(f"http://{address}", process)


def an_alert(name: str, *, ends_at: datetime | None = None, **labels: str) -> dict[str, Any]:
    """An alert for its API; with `ends_at` in the past it is resolved."""
    alert: dict[str, Any] = {"labels": {"alertname": name, **labels}, "annotations": {"summary": f"{name} is bad"}}
    if ends_at is not None:
        alert["endsAt"] = ends_at.astimezone(UTC).isoformat()
    return alert

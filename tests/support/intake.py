"""Starting the intake's process, and talking to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from orchestration.storage.alert_inbox import AlertInbox
from orchestration.storage.database import Database
from tests.support import prefork
from tests.support.database import migrated
from tests.support.intake_process import TOKEN
from tests.support.patience import patient

ALERTMANAGER = "/api/v1/intake/alertmanager"
WEBHOOK = "/api/v1/intake/webhook"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class RunningIntake:
    """The process, and its database as others see it."""

    url: str
    process: subprocess.Popen[str]
    database: Database

    @property
    def inbox(self) -> AlertInbox:
        return AlertInbox(self.database)

    def post(self, path: str, payload: Any, **arguments: Any) -> httpx2.Response:
        return httpx2.post(
            f"{self.url}{path}", json=payload, **{"headers": BEARER, "timeout": patient(20), **arguments}
        )


@contextmanager
def running_intake(file: Path, fault: str = "", port: int = 0) -> Iterator[RunningIntake]:
    database = migrated(f"sqlite:///{file}")
    command = [sys.executable, "-m", "tests.support.intake_process", str(file), str(port), *([fault] if fault else [])]
    with prefork.Program(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield RunningIntake(f"http://127.0.0.1:{process.stdout.readline().strip()}", process, database)
        finally:
            process.kill()
            database.close()


def a_webhook(*alerts: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A body of Alertmanager's webhook."""
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "us",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://am",
        "alerts": list(alerts),
        **values,
    }


def one(status: str = "firing", name: str = "HighLoad", **values: Any) -> dict[str, Any]:
    """One alert in such a body."""
    ended = "2026-03-01T12:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"
    return {
        "status": status,
        "labels": {"alertname": name, "instance": "web-1", "severity": "critical"},
        "annotations": {"summary": "load is high", "description": "it is 42"},
        "startsAt": "2026-03-01T12:00:00.123456789Z",
        "endsAt": ended,
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "0f1e2d3c4b5a6978",
        **values,
    }

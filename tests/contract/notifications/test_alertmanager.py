"""A real Alertmanager takes what we send; it is Debian's package `prometheus-alertmanager`."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.domain.severity import Severity
from orchestration.notifications.notice import NoticeKind
from tests.contract.notifications.conftest import Send, a_message
from tests.support.patience import Deadline, patient

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs the package prometheus-alertmanager")


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """The address of a running Alertmanager of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = tmp_path / "alertmanager.yml"
    settings.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    options = [f"--config.file={settings}", f"--storage.path={tmp_path}", f"--web.listen-address=127.0.0.1:{port}"]
    process = subprocess.Popen(
        [str(PROGRAM), *options, "--cluster.listen-address="], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=patient(10))


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = Deadline(20)
    while not deadline.is_over() and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=patient(1)):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    pytest.fail("Alertmanager did not start")


def firing(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=patient(5)) as answer:
        alerts: list[dict[str, Any]] = json.load(answer)
    return alerts


async def test_an_incident_fires_changes_its_severity_and_is_resolved(alertmanager: str, send_now: Send) -> None:
    channel = {"type": "alertmanager", "url": alertmanager}
    await send_now(a_message(severity=Severity.P2), **channel)
    (alert,) = firing(alertmanager)
    assert (alert["labels"]["severity"], alert["labels"]["incident"]) == ("P2", "inc-01")
    assert alert["annotations"]["summary"].startswith("[INCIDENT] [Severity: P2]")
    await send_now(a_message(NoticeKind.ESCALATION, severity=Severity.P1), **channel)
    assert [alert["labels"]["severity"] for alert in firing(alertmanager)] == ["P1"]
    await send_now(a_message(NoticeKind.RESOLVED, severity=Severity.P1), **channel)
    assert firing(alertmanager) == []

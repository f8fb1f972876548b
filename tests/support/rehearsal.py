"""The rehearsal provider as a process of its own, which can be killed and started again at the same address."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import prefork
from tests.support.patience import patient
from tests.support.project import ROOT, wait_until


class RehearsalProcess:
    """A provider of one's own."""

    def __init__(self, latency_ms: float) -> None:
        self._latency_ms = latency_ms
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Begin to answer; again, at the address that it had before."""
        options = ("--port", str(self._port), "--latency-ms", str(self._latency_ms))
        command = [sys.executable, "-m", "orchestration.rehearsal", *options]
        self._process = prefork.Program(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """What `kill -9` does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate(timeout=patient(10))
            self._process = None

    def calls(self) -> list[dict[str, Any]]:
        """The model calls so far."""
        calls: list[dict[str, Any]] = self._ask("/rehearsal/calls")["calls"]
        return calls

    def most_at_once(self) -> int:
        """How many model calls were in progress at once at most."""
        return int(self._ask("/rehearsal/stats")["most_at_once"])

    def wait_for_calls(self, count: int) -> None:
        """Return when so many model calls have come."""
        wait_until(lambda: len(self.calls()) >= count, f"for {count} model calls")

    def set_fault(self, fault: str, **order: Any) -> None:
        """Put a fault in force."""
        self._ask("/rehearsal/faults", json.dumps({"fault": fault, **order}).encode())

    def clear_faults(self) -> None:
        """Take all faults back."""
        self._ask("/rehearsal/faults", method="DELETE")

    def _ask(self, path: str, body: bytes | None = None, method: str | None = None) -> Any:
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=patient(10)) as answer:
            return json.load(answer)


@contextmanager
def a_provider(latency_ms: float = 2.0) -> Iterator[RehearsalProcess]:
    """A running provider; `latency_ms` between two pieces of an answer makes a run last."""
    provider = RehearsalProcess(latency_ms)
    provider.start()
    try:
        yield provider
    finally:
        provider.kill()

"""A server program from Debian's packages: where it is, started on loopback, stopped at the end."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from tests.support.patience import Deadline, patient, wait_for_end


def binary(*names: str) -> Path:
    """Where the program with one of these names is; skips the test where there is none."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    pytest.skip(f"NOT TESTED: no {names[0]} is installed; as root on Debian: python -m tests.support.debian")


@contextmanager
def running(command: Sequence[str], url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that answers `/-/ready` at this address when it is ready."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        _wait_until_ready(process, url, log)
        yield process
    finally:
        process.kill()
        wait_for_end(process, 10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = Deadline(20)
    while not deadline.is_over():
        with suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/-/ready", timeout=patient(5)).status_code == 200:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"{log.stem} did not start: {log.read_text(errors='replace')[-2000:]}")

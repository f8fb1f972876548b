"""A contender's process, as it is watched."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import anyio

from benchmarks.drilled.counting import Line
from benchmarks.drilled.process import Process
from orchestration.clock import SystemClock
from tests.support.patience import fail_after

BOTH = "import sys; print('to one', flush=True); print('to the other', file=sys.stderr)"
DONE = "print('{\"done\": true}', flush=True); import time; time.sleep(60)"
PARENT = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); __import__('time').sleep(60)"


async def start(code: str, folder: Path, lines: list[Line]) -> Process:
    return await Process.start((sys.executable, "-c", code), folder, {}, lines, SystemClock())


async def until(condition: Callable[[], bool]) -> None:
    with fail_after(20):
        while not condition():
            await anyio.sleep(0.01)


async def test_what_it_prints_is_kept_with_its_time(tmp_path: Path) -> None:
    lines: list[Line] = []
    since = SystemClock().now().timestamp()
    process = await start(BOTH, tmp_path, lines)
    await until(lambda: process.ended)
    await process.kill()
    assert {line.text for line in lines} == {"to one", "to the other"}
    assert all(line.at >= since for line in lines)
    assert not process.done


async def test_a_job_can_be_done_though_its_process_does_not_end(tmp_path: Path) -> None:
    lines: list[Line] = []
    process = await start(DONE, tmp_path, lines)
    await until(lambda: process.done)
    assert not process.ended
    await process.kill()
    assert process.ended
    assert lines == []


async def test_what_it_has_started_is_killed_with_it(tmp_path: Path) -> None:
    lines: list[Line] = []
    process = await start(PARENT, tmp_path, lines)
    await until(lambda: bool(lines))
    await process.kill()
    await until(lambda: not alive(int(lines[0].text)))


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False

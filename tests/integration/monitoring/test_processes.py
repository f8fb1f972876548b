"""What only real processes show: a worker that is stopped, a log that another rotates, memory that grows."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

from orchestration.clock import SystemClock
from orchestration.monitoring.collectors.log_reader import LogFollower
from orchestration.monitoring.collectors.processes import MemoryWatch
from orchestration.monitoring.collectors.workers import WorkerWatch
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from tests.support.patience import until

MEGABYTE = 1_048_576


@contextlib.contextmanager
def process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A child that says `ready` first."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.communicate()


WORKER = """
    import sys, time
    from orchestration.storage.database import Database
    from orchestration.storage.leases import Leases
    leases = Leases(Database(sys.argv[1]))
    leases.acquire("worker/w1", "w1", 1.0)
    print("ready", flush=True)
    while True:
        time.sleep(0.1)
        leases.acquire("worker/w1", "w1", 1.0)
"""


def test_a_worker_that_is_stopped_is_down_and_up_again_when_it_goes_on(database: Database) -> None:
    watch = WorkerWatch(Leases(database), SystemClock())

    def values() -> list[tuple[str, float]]:
        return [(one.labels["worker"], one.value) for one in watch.collect()]

    with process(WORKER, database.url) as worker:
        until(lambda: values() == [("w1", 1.0)])
        worker.send_signal(signal.SIGSTOP)
        until(lambda: values() == [("w1", 0.0)])
        worker.send_signal(signal.SIGCONT)
        until(lambda: values() == [("w1", 1.0)])
        worker.kill()
        until(lambda: values() == [("w1", 0.0)])


WRITER = """
    import sys, time
    from datetime import UTC, datetime
    from pathlib import Path
    from orchestration.logs.files import LogFile, LogRotation
    file = LogFile(Path(sys.argv[1]), LogRotation(max_bytes=20_000, pause=0.01, keep=500))
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(2000):
        line = '{"at": "%s", "message": "%d %s"}' % (datetime.now(UTC).isoformat(), number, "x" * 100)
        file.append(line, datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ"))
"""


def test_no_line_is_lost_while_another_process_writes_and_rotates(tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.jsonl"
    follower = LogFollower(path)
    read: list[bytes] = []
    with process(WRITER, str(path)) as writer:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
        while writer.poll() is None:
            read += follower.read()
            time.sleep(0.005)
    read += follower.read() + follower.read()
    numbers = [int(json.loads(line)["message"].partition(" ")[0]) for line in read]
    assert numbers == list(range(2000))
    assert len(list(tmp_path.iterdir())) > 5


GROWER = """
    import sys
    held = []
    print("ready", flush=True)
    for line in sys.stdin:
        held.append(bytearray(b"x" * 2 * 1048576))
        print(len(held), flush=True)
"""


def test_a_child_whose_memory_grows_is_suspected_and_a_steady_one_is_not() -> None:
    watch = MemoryWatch(lambda text: text.replace("held", "***"))
    with process(GROWER) as grower, process(GROWER) as steady:
        assert grower.stdin is not None
        assert grower.stdout is not None
        for minute in range(13):
            leaks = watch.measure(60.0 * minute)
            grower.stdin.write("more\n")
            grower.stdin.flush()
            grower.stdout.readline()
        found = {leak.pid: leak for leak in leaks}
    assert found[grower.pid].bytes_per_second > MEGABYTE / 60
    assert found[grower.pid].memory_bytes > 20 * MEGABYTE
    assert "***" in found[grower.pid].command
    assert steady.pid not in found

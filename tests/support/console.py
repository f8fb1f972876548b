"""A project folder, and the console command in processes of its own on it."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support import prefork
from tests.support.patience import patient

REPOSITORY = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "orchestration")
# They fire for whatever else runs on the machine, and would be incidents beside the test's own.
ABOUT_THE_MACHINE = ("cpu-high", "memory-high", "disk-low", "unresponsive", "loop-late")


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


class ConsoleProject:
    """A folder with a configuration: planner, executor and reviewer, whose provider is `provider`."""

    def __init__(self, root: Path, **runtime: Any) -> None:
        self.root = root
        self.file = root / "config" / "agents.config.json"
        self.file.parent.mkdir(parents=True)
        self.workspace = root / "work"
        self.workspace.mkdir()
        shipped = json.loads((REPOSITORY / "config" / "agents.config.json").read_text(encoding="utf-8"))
        self.document: dict[str, Any] = shipped
        self.document["runtime"] |= {"defaultProvider": "rehearsal", **runtime}
        self.write()

    def write(self) -> None:
        """Put the document into the file, with the rules about the machine off where it does not name them."""
        rules = self.document.setdefault("alerting", {}).setdefault("rules", {})
        for name in ABOUT_THE_MACHINE:
            rules.setdefault(name, {"enabled": False})
        self.file.write_text(json.dumps(self.document, indent=2), encoding="utf-8")

    def call(self, *arguments: str, data: bytes | None = None, **options: Any) -> Said:
        """Run a command to its end."""
        command = options.pop("command", COMMAND)
        whole = (*command, *arguments)
        done = prefork.call(whole, data=data, seconds=patient(60), cwd=self.root, env=environment(), **options)
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def started(
        self, *arguments: str, start: type[subprocess.Popen[str]] = prefork.Program
    ) -> Iterator[subprocess.Popen[str]]:
        """A command while it runs; on leaving it and all that it started are ended."""
        process = start(
            (*COMMAND, *arguments), cwd=self.root, env=environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        with process:
            family = Family(process.pid)
            try:
                yield process
            finally:
                family.look()
                process.kill()
                family.kill()

    def on_a_terminal(
        self, *arguments: str, width: int = 100, types: bytes = b"", seen: Callable[[bytes], None] = lambda _: None
    ) -> tuple[int, str]:
        """The exit code of a command, and what it writes to a terminal on which somebody types this; `seen`
        gets each part of it at once."""
        ours, theirs = pty.openpty()
        process = prefork.Program(
            (*COMMAND, *arguments), cwd=self.root, stdin=theirs, stdout=theirs, stderr=theirs,
            env=environment({"COLUMNS": str(width), "LINES": "24", "TERM": "xterm"}),
        )  # fmt: skip
        os.close(theirs)
        os.write(ours, types)
        said = b""
        try:
            while data := os.read(ours, 65_536):
                said += data
                seen(data)
        except OSError:  # Linux says so when the other end is closed
            pass
        finally:
            os.close(ours)
        return process.wait(patient(30)), said.decode()

    def records(self, query: str, *values: Any) -> list[Any]:
        """What the database holds, read directly: quick enough to ask again and again. Nothing before it is made."""
        if not (self.root / "var" / "orchestrator.db").exists():
            return []
        with closing(sqlite3.connect(self.root / "var" / "orchestrator.db")) as connection:
            return connection.execute(query, values).fetchall()

    def status(self, run_id: str) -> str:
        """Where a run stands."""
        ((status,),) = self.records("SELECT status FROM runs WHERE id = ?", run_id)
        return str(status)

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as `runs show` has it."""
        found: dict[str, Any] = self.call("runs", "show", run_id, "--events", "--json").json()
        return found


class Family:
    """The children of a process, also those that outlive it."""

    def __init__(self, pid: int) -> None:
        self._parent = psutil.Process(pid)
        self._known: dict[int, psutil.Process] = {}

    def workers(self) -> list[psutil.Process]:
        """The workers that are there now."""
        return [one for one in self.look() if "orchestration.agents.worker" in command_line(one)]

    def look(self) -> list[psutil.Process]:
        """All of them that are there now."""
        with suppress(psutil.NoSuchProcess):
            new = [child for child in self._parent.children(recursive=True) if child.pid not in self._known]
            # What `prefork` forks workers from belongs to the tests.
            self._known |= {one.pid: one for one in new if "tests.support.prefork" not in command_line(one)}
        return [child for child in self._known.values() if is_there(child)]

    def kill(self) -> None:
        for child in self._known.values():
            with suppress(psutil.NoSuchProcess):
                child.kill()


def command_line(process: psutil.Process) -> str:
    """How the list of processes shows it; empty when it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def is_there(process: psutil.Process) -> bool:
    """Whether it still runs; it may end between two questions about it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """No credentials and no settings of whoever runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "120", **(extra or {})}


def wait_for_line(process: subprocess.Popen[str], text: str) -> list[str]:
    """Read what the process prints up to the line that has the text; returns all those lines."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"it ended without saying '{text}':\n{''.join(lines)}")


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> str:
    """Send a signal and wait for the end; returns what the process still printed."""
    process.send_signal(number)
    return process.communicate(timeout=patient(seconds))[0]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port

"""A peer: its adapter runs in an environment of its own and does one job after the other."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from queue import Empty, Queue

from benchmarks import peers
from benchmarks.slips import competent
from benchmarks.slips.holding import Assignment, Ending

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 90
_QUIET = {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "CREWAI_TRACING_ENABLED": "false"}
# The environment of each, and the packages of which the versions count.
PEERS = {
    "pydantic-ai": ("pydantic-ai", ("pydantic-ai-slim",)),
    "langgraph": ("langgraph-agent", ("langgraph", "langchain")),
    "crewai": ("crewai", ("crewai",)),
}


class Peer:
    """An adapter's process, begun anew after one that hangs or dies."""

    def __init__(self, name: str, log: Path | None = None) -> None:
        self.name = name
        self._log = log
        self._environment, self._packages = PEERS[name]
        self._home = tempfile.TemporaryDirectory(prefix="slips-home-")
        self._process: subprocess.Popen[str] | None = None
        self._lines: Queue[str] = Queue()

    @property
    def installed(self) -> bool:
        """Whether its environment is there, or could be made; if not, that was said on standard error."""
        return peers.python_of(self._environment) is not None

    @property
    def version(self) -> str:
        return ", ".join(f"{one} {peers.version_of(self._environment, one)}" for one in self._packages)

    def run(self, assignment: Assignment) -> Ending:
        """One job; what does not end in time counts as crashed."""
        behaviour = assignment.behaviour
        job = {
            "url": assignment.url,
            "workspace": str(assignment.workspace),
            "goal": competent.TEXT_GOAL if behaviour.agent else competent.GOAL,
            "stream": behaviour.streamed,
            "text_only": behaviour.agent is not None,
        }
        process = self._running()
        assert process.stdin is not None
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        try:
            answer = json.loads(self._lines.get(timeout=_SECONDS))
        except (Empty, ValueError):
            reason = "its process ended" if process.poll() is not None else f"no end within {_SECONDS} s"
            self.close()
            return Ending(crashed=True, reason=reason)
        texts = (answer["text"],) if "text" in answer else ()
        return Ending(answer["status"] == "succeeded", reason=answer.get("reason", ""), texts=texts)

    def close(self) -> None:
        """Kill the adapter's process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
            self._lines = Queue()
            threading.Thread(target=_read, args=(self._process, self._lines), daemon=True).start()
        return self._process

    def _start(self) -> subprocess.Popen[str]:
        passed = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        own = {"HOME": self._home.name, "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        errors = (self._log or Path(os.devnull)).open("ab")
        with errors:
            return subprocess.Popen(
                [str(peers.python_of(self._environment)), "-m", f"benchmarks.contenders.slips_{_module(self.name)}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**passed, **own, **_QUIET},
                cwd=self._home.name,
            )


def _read(process: subprocess.Popen[str], lines: Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _module(name: str) -> str:
    return name.replace("-", "_")

"""Where a peer is drilled: its job in a folder of its own, on two rehearsal providers, and the fault that strikes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from benchmarks import peers
from benchmarks.drilled import counting
from benchmarks.drilled.counting import Line, Record
from benchmarks.drilled.model import Fault
from benchmarks.drilled.process import Process
from orchestration.clock import Clock
from orchestration.drills.rehearsal_process import RehearsalProcess

_LOOK_SECONDS = 0.02
ROOT = Path(__file__).resolve().parents[2]
_LIMITS = {"patience": 2.0, "tool_limit": 4.0, "step_limit": 10.0}
_QUIET = {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "CREWAI_TRACING_ENABLED": "false"}


@dataclass(frozen=True, slots=True)
class Peer:
    """A contender: its environment by `peers`' name, the module that does the job with it, and a package beside it of
    which the version counts too."""

    title: str
    environment: str
    module: str
    beside: str = ""

    @property
    def version(self) -> str:
        packages = ("", self.beside) if self.beside else ("",)
        return " + ".join(peers.version_of(self.environment, package) for package in packages)


PEERS = {
    "langgraph": Peer("LangGraph", "langgraph", "drill_langgraph"),
    "crewai": Peer("CrewAI", "crewai", "drill_crewai"),
    "pydantic-ai": Peer("pydantic-ai + DBOS", "pydantic-ai-dbos", "drill_pydantic_ai", "dbos"),
}


@dataclass(slots=True)
class Ground:
    """Where one drill takes place."""

    peer: Peer
    fault: Fault
    folder: Path
    clock: Clock
    providers: tuple[RehearsalProcess, ...]
    lines: list[Line] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        file = self.folder / "effects.jsonl"
        return counting.read_records(file.read_text(encoding="utf-8")) if file.exists() else []

    @property
    def escaped(self) -> bool:
        """Whether a file was written outside the workspace."""
        return (self.folder / "outside.txt").exists()

    async def prepare(self) -> None:
        """Start the providers and write down the job. Raises DrillError."""
        (self.folder / "work").mkdir()
        for provider in self.providers:
            await provider.start()
        urls = [f"{provider.url}/v1" for provider in self.providers]
        job = {"providers": urls, "stream": self.fault.stream, "escape": self.fault.escape, **_LIMITS}
        (self.folder / "job.json").write_text(json.dumps(job), encoding="utf-8")

    async def start(self) -> Process:
        """Start the peer's process: the same command the first time and after a failure."""
        command = (str(peers.python_of(self.peer.environment)), "-m", f"benchmarks.contenders.{self.peer.module}")
        passed = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
        own = {"HOME": str(self.folder), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        environment = {**passed, **own, **_QUIET}
        return await Process.start((*command, str(self.folder)), self.folder, environment, self.lines, self.clock)

    async def strike(self, process: Process) -> Process:
        """The fault. Returns the process that is at work from now on."""
        first = self.providers[0]
        if self.fault.provider.get("kill"):
            await first.kill()
        elif self.fault.provider:
            order: dict[str, Any] = dict(self.fault.provider)
            await first.fault(order.pop("fault"), **order)
        elif self.fault.tool:
            (self.folder / "strike.new").write_text(self.fault.tool, encoding="utf-8")
            (self.folder / "strike.new").replace(self.folder / "strike.txt")
        elif self.fault.kill:
            await process.kill()
            return await self.start()
        return process

    async def mend(self) -> None:
        """Take the fault back, before a person starts the job again."""
        first = self.providers[0]
        if self.fault.provider.get("kill"):
            await first.start()
        async with httpx2.AsyncClient(trust_env=False) as client:
            await client.request("DELETE", f"{first.url}/rehearsal/faults")

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Look until the condition holds; False when it does not within that time."""
        end = self.clock.monotonic() + seconds
        while not condition():
            if self.clock.monotonic() > end:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True

    async def calls(self) -> list[dict[str, object]]:
        return [call for provider in self.providers for call in await provider.calls()]

    def artifacts(self) -> dict[str, str]:
        return {path.stem: path.read_text(encoding="utf-8") for path in (self.folder / "work").glob("*.md")}

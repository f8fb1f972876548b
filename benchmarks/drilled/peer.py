"""Drills a peer: its job runs on two rehearsal providers, the fault strikes, then it is only watched.

What a peer says of itself is not believed: calls are counted by the providers, steps by what they leave on the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from benchmarks import peers
from benchmarks.drilled import counting
from benchmarks.drilled.counting import Line, Record
from benchmarks.drilled.model import Fault, Outcome
from benchmarks.drilled.process import Process
from orchestration.clock import Clock
from orchestration.drills.children import DrillError
from orchestration.drills.provider import Provider
from orchestration.drills.watching import repeated_calls

WAIT_SECONDS = 30.0
_START_SECONDS = 120.0
_EXIT_SECONDS = 25.0
_AGAIN_SECONDS = 90.0
_LOOK_SECONDS = 0.02
ROOT = Path(__file__).resolve().parents[2]
_STRUCK = "part-2"
_LIMITS = {"patience": 2.0, "tool_limit": 4.0, "step_limit": 10.0}
# Put together here, so that no scanner of this repository takes it for a real one.
_KEY = "AKIA" + "DR1LL" * 3 + "X"
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
class Field:
    """Where one drill takes place."""

    peer: Peer
    fault: Fault
    folder: Path
    clock: Clock
    providers: tuple[Provider, ...]
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


async def hold(name: str, fault: Fault, clock: Clock, keep: Path | None = None) -> Outcome:
    """Drill a peer with one fault; its folder stays below `keep`. Raises DrillError when it does not get as far."""
    with tempfile.TemporaryDirectory(prefix=f"peer-{name}-") as folder:
        there = (keep / f"{name}-{fault.name}") if keep else Path(folder)
        there.mkdir(parents=True, exist_ok=True)
        providers = tuple(Provider(one, there, 20.0, clock) for one in ("primary", "second"))
        ground = Field(PEERS[name], fault, there, clock, providers)
        try:
            await ground.prepare()
            return await _drilled(name, ground)
        finally:
            for provider in providers:
                provider.close()
            (there / "log.txt").write_text("\n".join(f"{line.at:.2f} {line.text}" for line in ground.lines))


async def _drilled(name: str, ground: Field) -> Outcome:
    process = await ground.start()
    try:
        if not await ground.until(lambda: _at_work(ground.records) or process.ended, _START_SECONDS) or process.ended:
            said = "\n".join(line.text for line in ground.lines[-5:])
            raise DrillError(f"expected {name} to get to its second part, got: {said}")
        since = ground.clock.now().timestamp()
        process = await ground.strike(process)
        return await _watched(name, ground, process, since)
    finally:
        await process.kill()


def _at_work(records: list[Record]) -> bool:
    return any((one.what, one.step) == ("tool", _STRUCK) for one in records)


async def _watched(name: str, ground: Field, process: Process, since: float) -> Outcome:
    await ground.until(lambda: process.done or process.ended, _patience(ground.fault))
    finished, failed = process.done, process.ended and not process.done
    finished_after = ground.clock.now().timestamp() - since if finished else None
    hangs = not await ground.until(lambda: process.ended, _EXIT_SECONDS) if finished else False
    await process.kill()
    before, sign = ground.records, counting.first_sign(ground.lines, since)
    lost, again = (0, "") if finished else await _by_a_person(ground, failed=failed)
    return Outcome(
        contender=name,
        version=ground.peer.version,
        fault=ground.fault.name,
        detected=sign.at - since if sign else None,
        sign=sign.text.strip() if sign else "",
        resolved=None if _unresolved(ground) else counting.saved_after(before, _STRUCK, since),
        finished=finished,
        finished_after=finished_after,
        lost=lost,
        repeated=len(counting.repeated_steps(before)),
        calls_repeated=repeated_calls(await ground.calls()),
        notes=_notes(ground, finished=finished, failed=failed, hangs=hangs),
        person="; ".join(one for one in (again, _remaining(ground, hangs=hangs)) if one) or "nothing",
    )


def _patience(fault: Fault) -> float:
    """How long it is waited; starting a peer takes time of its own."""
    return WAIT_SECONDS + (_START_SECONDS if fault.kill else 0.0)


async def _by_a_person(ground: Field, *, failed: bool) -> tuple[int, str]:
    """The fault is over, and somebody gives the same command again: the committed steps that are lost, and in words."""
    noticed = "" if failed else "notice it, kill it, "
    before = ground.records
    await ground.mend()
    process = await ground.start()
    try:
        await ground.until(lambda: process.done or process.ended, _AGAIN_SECONDS)
        if not process.done:
            return len(counting.committed_steps(before)), f"{noticed}begin anew: started again it does not finish"
    finally:
        await process.kill()
    redone = counting.repeated_steps(ground.records) - counting.repeated_steps(before)
    return len(redone), f"{noticed}start it again"


def _remaining(ground: Field, *, hangs: bool) -> str:
    """What is left to a person though the job is done."""
    half = counting.broken_artifacts(ground.artifacts())
    found = ("kill its process" if hangs else "", "find the half answers" if half else "", ground.fault.remains)
    return "; ".join(one for one in found if one)


def _unresolved(ground: Field) -> bool:
    """Whether what the fault did stands, even if the job went on."""
    cut = _STRUCK in counting.broken_artifacts(ground.artifacts())
    return cut or ground.fault.tool == "leak" or ground.escaped


def _notes(ground: Field, *, finished: bool, failed: bool, hangs: bool) -> tuple[str, ...]:
    notes = []
    if failed:
        notes.append("the job fails")
    elif not finished:
        notes.append(f"not stopped within {WAIT_SECONDS:g} s")
    if hangs:
        notes.append("its process does not end afterwards")
    if broken := counting.broken_artifacts(ground.artifacts()):
        notes.append(f"half an answer taken for a whole one: {', '.join(broken)}")
    if hollow := counting.hollow_steps(ground.records):
        notes.append(f"the model is told of the error and goes on: the tool's work is not done ({', '.join(hollow)})")
    if ground.fault.tool == "leak":
        printed = any(_KEY in line.text for line in ground.lines)
        notes.append(f"the key stays in the file{', and in the log' if printed else ''}")
    if ground.fault.escape:
        notes.append("the file was written" if ground.escaped else "the tool refused")
    return tuple(notes)

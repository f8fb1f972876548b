"""Actions on our own processes: list and replace workers, kill what is stuck. Never a process of somebody else."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from typing import Annotated, Any

import anyio.to_thread
import psutil
from pydantic import Field

from orchestration.domain.subject_kind import SubjectKind
from orchestration.monitoring.collectors.processes import agents_commands
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    NoParameters,
    Parameters,
    action,
)
from orchestration.playbooks.model import Risk

# A stuck process rarely heeds SIGTERM: this is only for one that still can clean up.
_GRACE_SECONDS = 1.0


class SomeWorkers(Parameters):
    """Workers by name."""

    workers: tuple[str, ...]


class SomeProcesses(Parameters):
    """Processes by number, written as text."""

    processes: tuple[Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}$")], ...]


@action
class ListWorkers(Action[NoParameters]):
    """List the workers."""

    name = "worker.list"
    summary = "list the workers, what they run and how they are"
    proves = frozenset({SubjectKind.WORKERS})
    finds = ("alive", "missing", "unhealthy")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        workers = list(self.services.fleet.workers())
        healthy = [worker for worker in workers if worker.get("healthy", True)]
        unhealthy = [str(worker["worker"]) for worker in workers if not worker.get("healthy", True)]
        wanted = self.services.fleet.wanted()
        missing = max(0, wanted - len(healthy))
        summary = f"{len(healthy)} of {wanted} workers are well" + (
            f", not: {', '.join(unhealthy)}" if unhealthy else ""
        )
        findings = {"alive": len(healthy), "missing": missing, "unhealthy": unhealthy}
        return ActionOutcome(summary, findings, {"workers": [dict(worker) for worker in workers]})


@action
class ReplaceWorker(Action[SomeWorkers]):
    """Replace workers."""

    name = "worker.replace"
    summary = "kill workers with all that they started; others take their place and their runs"
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: the new workers stay"
    finds = ("replaced",)

    def targets(self, parameters: SomeWorkers) -> tuple[str, ...]:
        return parameters.workers

    async def preview(self, context: ActionContext, parameters: SomeWorkers) -> str:
        return f"replace {', '.join(parameters.workers)}; their runs go on from their checkpoints"

    async def run(self, context: ActionContext, parameters: SomeWorkers) -> ActionOutcome:
        for worker in parameters.workers:
            await self.services.fleet.replace(worker, context.reason)
        names = ", ".join(parameters.workers)
        return ActionOutcome(f"replaced {names}", {"replaced": list(parameters.workers)}, undo={})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "the new workers stay"


@action
class KillProcess(Action[SomeProcesses]):
    """Kill a stuck command of an agent."""

    name = "process.kill"
    summary = "kill processes that agents' commands consist of, with their groups"
    risk = Risk.DESTRUCTIVE
    finds = ("killed",)

    def targets(self, parameters: SomeProcesses) -> tuple[str, ...]:
        return parameters.processes

    async def preview(self, context: ActionContext, parameters: SomeProcesses) -> str:
        return "kill " + ", ".join(self._described(int(number)) for number in parameters.processes)

    async def run(self, context: ActionContext, parameters: SomeProcesses) -> ActionOutcome:
        # One that is gone counts as success: after a crash in the middle of this step, we have killed it ourselves.
        gone = [number for number in parameters.processes if not psutil.pid_exists(int(number))]
        killed = [number for number in parameters.processes if number not in gone and await self._kill(int(number))]
        if not killed and not gone:
            raise ActionError("none of these processes is a command of an agent; nothing was killed")
        summary = f"killed {', '.join(killed)}" if killed else "they are gone already"
        return ActionOutcome(summary, {"killed": killed})

    async def _kill(self, number: int) -> bool:
        """Kill a process with its group, by SIGTERM first; False if it is not an agent's, or gone."""
        # Checked again right before the signal: the number may have been reused since the step was decided.
        if number not in self._commands():
            return False
        for sign in (signal.SIGTERM, signal.SIGKILL):
            _send(number, sign)
            if await anyio.to_thread.run_sync(_gone_within, number, _GRACE_SECONDS):
                return True
        return False

    def _commands(self) -> frozenset[int]:
        """The processes of the commands that agents run in this process and in its workers."""
        found: list[psutil.Process] = []
        for root in (os.getpid(), *(int(worker["pid"]) for worker in self.services.fleet.workers())):
            with contextlib.suppress(psutil.NoSuchProcess):
                found += psutil.Process(root).children(recursive=True)
        return agents_commands(found)

    def _described(self, number: int) -> str:
        try:
            return f"{number} ({' '.join(psutil.Process(number).cmdline())[:80]})"
        except psutil.Error:
            return f"{number} (gone)"


def _send(number: int, sign: signal.Signals) -> None:
    """Signal a process and its group, unless that is our own group: we must not kill ourselves."""
    try:
        group = os.getpgid(number)
        os.kill(number, sign) if group == os.getpgrp() else os.killpg(group, sign)
    except ProcessLookupError:
        return


def _gone_within(number: int, seconds: float) -> bool:
    try:
        psutil.Process(number).wait(seconds)
    except psutil.TimeoutExpired:
        return False
    except psutil.NoSuchProcess:
        return True
    return True

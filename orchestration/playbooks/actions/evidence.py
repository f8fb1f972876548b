"""Actions that collect evidence: from logs, runs, waits, the configuration, the project, the machine. All only read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import anyio.to_thread

from orchestration.domain.failure_class import failure_class
from orchestration.domain.run_status import RunStatus
from orchestration.domain.subject_kind import SubjectKind
from orchestration.domain.work_phase import WorkPhase
from orchestration.errors import NotFoundError, OrchestratorError
from orchestration.events.agents import AgentFinished
from orchestration.events.runs import RunResumed
from orchestration.logs.lines import timestamp
from orchestration.monitoring.collectors.log_reader import NAME, evidence, recent_errors
from orchestration.monitoring.collectors.processes import ProcessUse
from orchestration.monitoring.collectors.progress import KINDS, furthest_behind
from orchestration.monitoring.collectors.resources import ResourceSnapshot
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionOutcome,
    NoParameters,
    P,
    Parameters,
    action,
)
from orchestration.playbooks.actions.cleanup import size_of
from orchestration.playbooks.last_good import last_good, worked_with
from orchestration.storage.agent_outcomes import AgentOutcomes
from orchestration.storage.runs import Run
from orchestration.storage.timeline import HeartbeatRow

_LINES = 20
_EVENTS = 5000
# How far back a version of the configuration that worked is looked for.
_VERSIONS = 50
# An error explains an incident if it came with it or shortly before.
_ERRORS_BEFORE = timedelta(minutes=15)
# Waiting processes per processor: with so many, even a process that needs little waits noticeably for its turn.
_UNRESPONSIVE_LOAD = 8.0
# Of one processor: what a process without any waiting uses, less the noise of measuring.
_RUNAWAY_PERCENT = 95.0
# Below that a process is not worth killing, even where processor time is short.
_BUSY_PERCENT = 20.0
# Of the processor time that several processes use together: at least as much as all the others.
_MOST_SHARE = 0.5
# Of the whole memory, where that is short.
_HOARD_SHARE = 1 / 3
_OF_A_MODEL = frozenset({WorkPhase.QUEUED, WorkPhase.READING, WorkPhase.THINKING, WorkPhase.ANSWERING})


class RunSelection(Parameters):
    """Runs by identifier; without any, all that are unfinished, which is safe for an action that only reads."""

    runs: tuple[str, ...] = ()


class AgentSelection(Parameters):
    """Agents by name; without any, all."""

    agents: tuple[str, ...] = ()


class EvidenceAction(Action[P]):
    """What the evidence actions share."""

    def found(self, names: Sequence[str]) -> list[Run]:
        """The named runs that exist; without any, all unfinished ones."""
        if not names:
            return list(self.services.runs.list([status for status in RunStatus if not status.ended], 1000))
        runs = []
        for name in names:
            try:
                runs.append(self.services.runs.get(name))
            except NotFoundError:
                continue
        return runs


@action
class LogEvidence(EvidenceAction[RunSelection]):
    """Collect the error lines of runs."""

    name = "evidence.logs"
    summary = "collect the newest error lines of the log about these runs, of the whole log where none is named"
    finds = ("errors", "last_error")

    async def run(self, context: ActionContext, parameters: RunSelection) -> ActionOutcome:
        lines = await anyio.to_thread.run_sync(self._lines, context, parameters.runs)
        last = str(lines[-1].get("message") or lines[-1].get("event")) if lines else ""
        summary = f"{len(lines)} error lines" + (f", the last: {last[:200]}" if last else "")
        return ActionOutcome(summary, {"errors": len(lines), "last_error": last[:500]}, {"lines": lines})

    def _lines(self, context: ActionContext, runs: Sequence[str]) -> list[dict[str, Any]]:
        if not runs:
            # The log writes all times alike, so they compare as text.
            since = timestamp(self._began(context) - _ERRORS_BEFORE)
            errors = evidence(recent_errors(self.services.log_folder / NAME))
            return list(islice((line for line in errors if str(line.get("at", "")) >= since), _LINES))[::-1]
        lines = [line for run in runs for line in self.services.diagnosis.error_lines(run, _LINES)]
        return sorted(lines, key=lambda line: str(line.get("at", "")))[-_LINES:]

    def _began(self, context: ActionContext) -> datetime:
        try:
            incident = self.services.incidents.get(context.incident_id)
        except NotFoundError:  # a dry run without an incident
            return context.now
        return min(incident.impact_started_at or incident.detected_at, incident.detected_at)


@action
class RunEvidence(EvidenceAction[RunSelection]):
    """Check the state of runs."""

    name = "evidence.runs"
    summary = "see the state of these runs, their last activity, and why they failed"
    proves = frozenset({SubjectKind.RUNS})
    finds = (
        "count",
        "failed",
        "failed_runs",
        "unfinished",
        "open_runs",
        "stalled",
        "stalled_runs",
        "kinds",
        "classes",
        "failing_agents",
        "slow_agents",
        "interrupted",
        "progressing",
        "activity",
        "worker_healthy",
        "stalls",
    )

    async def run(self, context: ActionContext, parameters: RunSelection) -> ActionOutcome:
        runs = await anyio.to_thread.run_sync(self.found, parameters.runs)
        interrupted = [run.id for run in runs if await self.services.control.is_interrupted(run.id)]
        limited = [run.id for run in runs if await self.services.control.is_used_up(run.id)]
        return await anyio.to_thread.run_sync(self._judge, context, runs, interrupted, limited)

    def _judge(
        self, context: ActionContext, runs: Sequence[Run], interrupted: Sequence[str], limited: Sequence[str]
    ) -> ActionOutcome:
        failed = [run.id for run in runs if run.status is RunStatus.FAILED]
        unfinished = [run.id for run in runs if not run.status.ended]
        behind = self._behind([run for run in runs if run.status is RunStatus.RUNNING], context.now)
        limit = self.services.configuration().monitoring.thresholds.stalled_seconds
        old = [run_id for run_id, (age, _) in behind.items() if age > limit]
        failing = self._failing(runs)
        kinds = {kind for _, kind in failing} | ({"run_limit"} if limited else set())
        hanging = [beat.phase for run_id, (_, beat) in behind.items() if run_id in old and beat is not None]
        healthy = not any(not worker.get("healthy", True) for worker in self.services.fleet.workers())
        summary = f"{len(runs)} runs: {len(failed)} failed, {len(unfinished)} unfinished, {len(old)} without progress"
        return ActionOutcome(
            summary,
            {
                "count": len(runs),
                "failed": len(failed),
                "failed_runs": failed,
                "unfinished": len(unfinished),
                "open_runs": [*failed, *unfinished],
                "stalled": len(old),
                "stalled_runs": old,
                "kinds": sorted(kinds),
                "classes": sorted({failure_class(kind).value for kind in kinds}),
                "failing_agents": sorted({agent for agent, _ in failing}),
                "slow_agents": sorted({agent for agent, kind in failing if kind == "time_limit"}),
                "interrupted": len(interrupted),
                "progressing": bool(unfinished) and not old,
                "activity": _activity(hanging),
                "worker_healthy": healthy,
                "stalls": max((count for _, count in self._restarts(runs).most_common(1)), default=0),
            },
            {"reasons": {run.id: run.reason for run in runs if run.reason}},
        )

    def _behind(self, runs: Sequence[Run], now: datetime) -> Mapping[str, tuple[float, HeartbeatRow | None]]:
        """By the same measure as the alert: a run hangs as soon as one of its agents does, whatever the others do."""
        names = [run.id for run in runs]
        events, beats = (
            self.services.timeline.list_of_kinds(names, KINDS),
            self.services.timeline.list_heartbeats(*names),
        )
        return {
            name: furthest_behind(events[name], [beat for beat in beats if beat.run_id == name], now) for name in names
        }

    def _failing(self, runs: Sequence[Run]) -> set[tuple[str, str]]:
        """The agents of these runs that have failed, each with the kind of its failure; not what a later attempt has
        mended."""
        found: set[tuple[str, str]] = set()
        for events in self.services.timeline.list_of_kinds([run.id for run in runs], [AgentFinished.kind]).values():
            last = {event.data.get("agent_run_id"): event for event in events}
            for event in last.values():
                if isinstance(event.payload, AgentFinished) and event.payload.failing is not None:
                    found.add((event.agent or "", event.payload.failing.kind))
        return found

    def _restarts(self, runs: Sequence[Run]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for run in runs:
            events = self.services.timeline.list(run.id, limit=_EVENTS)
            counts[run.id] = sum(1 for _, event in events if event.kind == RunResumed.kind)
        return counts


def _activity(phases: Collection[str]) -> str:
    """What hangs, in one word: `tool`, `model` or `other`."""
    if WorkPhase.TOOL in phases:
        return "tool"
    return "model" if _OF_A_MODEL.intersection(phases) else "other"


@action
class WaitEvidence(EvidenceAction[RunSelection]):
    """Find what waits for what."""

    name = "evidence.waits"
    summary = "draw who waits for what, and name circles"
    finds = ("cycles", "for")

    async def run(self, context: ActionContext, parameters: RunSelection) -> ActionOutcome:
        configuration = self.services.configuration()
        graph = await anyio.to_thread.run_sync(self.services.diagnosis.wait_graph, configuration)
        wanted = {f"run:{run}" for run in parameters.runs} or {wait.who for wait in graph.waits}
        causes = [wait for who in sorted(wanted) for wait in graph.causes(who)]
        cycles = [" → ".join((*cycle, cycle[0])) for cycle in graph.cycles()]
        lines = [f"{wait.who} waits for {wait.what}: {wait.why}".rstrip(": ") for wait in causes]
        kinds = sorted({wait.what.partition(":")[0] for wait in causes})
        summary = "; ".join([*(f"circle: {cycle}" for cycle in cycles), *lines][:5]) or "nothing waits"
        return ActionOutcome(summary, {"cycles": cycles, "for": kinds}, {"waits": lines})


@action
class ConfigurationEvidence(EvidenceAction[AgentSelection]):
    """Check the configuration, and find what changed."""

    name = "evidence.config"
    summary = "check the configuration, and compare it with the last one with which these agents succeeded"
    finds = ("errors", "changed", "changes", "good", "providers")

    async def run(self, context: ActionContext, parameters: AgentSelection) -> ActionOutcome:
        return await anyio.to_thread.run_sync(self._compare, context, parameters)

    def _compare(self, context: ActionContext, parameters: AgentSelection) -> ActionOutcome:
        store = self.services.store
        errors = [str(finding) for finding in store.refused]
        present = store.number_in_force
        outcomes = AgentOutcomes(self.services.database).list(parameters.agents)
        good = last_good(store.history(_VERSIONS), outcomes, present)
        # What worked with the present version until now was not broken by changing it.
        if good is None or present is None or worked_with(outcomes, present):
            changes: list[str] = []
        else:
            changes = [str(change) for change in diff_of(store, good.number, present)]
        number = good.number if good else None
        summary = f"{len(errors)} errors in the file; {len(changes)} changes since these agents last succeeded"
        evidence = {"errors": errors, "changes": changes, "agents": list(parameters.agents), "good": number}
        findings = {
            "errors": len(errors),
            "changed": bool(changes),
            "changes": changes[:20],
            "good": number,
            "providers": self._providers(parameters.agents),
        }
        return ActionOutcome(summary, findings, evidence)

    def _providers(self, names: Sequence[str]) -> list[str]:
        """The providers that these agents ask first."""
        configuration = self.services.configuration()
        default = configuration.runtime.default_provider
        agents = [agent for agent in configuration.agents if agent.id in names or not names]
        return sorted({agent.provider or default for agent in agents})


def diff_of(store: Any, before: int, after: int) -> Sequence[Any]:
    """What changed between two stored versions; nothing if one of them was deleted."""
    try:
        changes: Sequence[Any] = store.diff(before, after)
    except OrchestratorError:
        return ()
    return changes


@action
class ResourceEvidence(EvidenceAction[NoParameters]):
    """Take a snapshot of the machine."""

    name = "evidence.resources"
    summary = "measure processor, memory, disk and the processes that use most"
    proves = frozenset({SubjectKind.MACHINE})
    finds = (
        "cpu_percent",
        "memory_percent",
        "disk_free_percent",
        "disk_short",
        "mostly_ours",
        "short",
        "unresponsive",
        "own_bytes",
        "top",
    )

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        seen = await anyio.to_thread.run_sync(self.services.resources.snapshot)
        own = await anyio.to_thread.run_sync(self._own_bytes)
        limits = self.services.configuration().monitoring.thresholds
        free = min((min(disk.free_percent, disk.free_files_percent) for disk in seen.disks), default=100.0)
        disk_short = free < limits.disk_free_percent
        cpu = seen.cpu_percent or 0.0
        busy = cpu > limits.cpu_percent or seen.memory_percent > limits.memory_percent
        summary = f"processor {cpu:.0f} %, memory {seen.memory_percent:.0f} %, disk {free:.1f} % free"
        return ActionOutcome(
            summary,
            {
                "cpu_percent": cpu,
                "memory_percent": seen.memory_percent,
                "disk_free_percent": free,
                "disk_short": disk_short,
                # A disk is not made free by doing less; what is short of processor or memory may be.
                "mostly_ours": (busy or not disk_short) and ours_mostly(seen, limits.memory_percent),
                "short": disk_short or busy,
                "unresponsive": unresponsive(seen),
                "own_bytes": own,
                "top": [f"{process.command[:60]} ({process.pid})" for process in seen.top[:3]],
            },
            seen.as_json(),
        )

    def _own_bytes(self) -> int:
        return sum(size_of(folder) for folder in (self.services.log_folder, self.services.artifacts.folder))


def unresponsive(seen: ResourceSnapshot) -> bool:
    """Whether so much waits for the processor that nothing gets on. The load is the whole machine's, whatever share of
    it is ours."""
    return seen.load[0] > _UNRESPONSIVE_LOAD * (os.cpu_count() or 1)


def ours_mostly(seen: ResourceSnapshot, memory_percent: float) -> bool:
    """Whether what is short is used by us rather than by a neighbour: memory, where more than so much is in use, and
    otherwise the processor."""
    ours = [process for process in seen.top if process.ours]
    return _most(ours, seen.top, _memory if seen.memory_percent > memory_percent else _cpu)


@action
class LoadEvidence(EvidenceAction[NoParameters]):
    """Find what explains the load."""

    name = "evidence.load"
    summary = "see whether the running work explains the load, and what grows or runs away"
    finds = ("running", "expected", "growing", "growing_workers", "runaway")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        return await anyio.to_thread.run_sync(self._judge)

    def _judge(self) -> ActionOutcome:
        seen = self.services.resources.snapshot()
        limits = self.services.configuration().monitoring.thresholds
        workers = {int(worker["pid"]): str(worker["worker"]) for worker in self.services.fleet.workers()}
        running = len(self.services.runs.list([RunStatus.RUNNING], 1000))
        ours = [process for process in seen.top if process.ours]
        # Workers are replaced and never killed as runaways; Ollama, drills and copies of the database are at work.
        commands = [process for process in ours if process.of_agent]
        runaway = [str(process.pid) for process in commands if self._runs_away(process, ours, seen)]
        growing = [leak.command[:80] for leak in seen.leaks]
        summary = f"{running} runs at work; {len(growing)} processes grow, {len(runaway)} run away"
        return ActionOutcome(
            summary,
            {
                "running": running,
                "expected": running > 0 and ours_mostly(seen, limits.memory_percent),
                "growing": growing,
                "growing_workers": [workers[leak.pid] for leak in seen.leaks if leak.pid in workers],
                "runaway": runaway,
            },
        )

    def _runs_away(self, process: ProcessUse, ours: Sequence[ProcessUse], seen: ResourceSnapshot) -> bool:
        """Whether it takes a whole processor; or, where we have made processor or memory short, most of what we have
        of it: on a machine that others use as well nobody gets a whole one. A busy neighbour is no reason to kill."""
        limits = self.services.configuration().monitoring.thresholds
        short = (seen.cpu_percent or 0.0) > limits.cpu_percent and _most(ours, seen.top, _cpu)
        most = _MOST_SHARE * sum(one.cpu_percent for one in ours)
        burns = process.cpu_percent > (max(_BUSY_PERCENT, most) if short else _RUNAWAY_PERCENT)
        hoards = process.memory_bytes > _HOARD_SHARE * seen.memory_total
        return burns or (hoards and seen.memory_percent > limits.memory_percent)


def _most(ours: Sequence[ProcessUse], everything: Sequence[ProcessUse], use: Callable[[ProcessUse], float]) -> bool:
    """Whether at least half of what the busiest and largest processes use is used by ours."""
    return sum(map(use, ours)) >= _MOST_SHARE * sum(map(use, everything))


def _cpu(process: ProcessUse) -> float:
    return process.cpu_percent


def _memory(process: ProcessUse) -> float:
    return process.memory_bytes


@action
class ErrorEvidence(EvidenceAction[NoParameters]):
    """Measure how often runs fail now."""

    name = "evidence.errors"
    summary = "count what succeeded and what failed within the last minutes"
    finds = ("failed", "succeeded", "percent")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        def count() -> tuple[int, int]:
            runs = self.services.runs.list([RunStatus.SUCCEEDED, RunStatus.FAILED], 200)
            recent = [run for run in runs if run.finished_at and run.finished_at > context.now - timedelta(minutes=15)]
            failed = sum(run.status is RunStatus.FAILED for run in recent)
            return failed, len(recent) - failed

        failed, succeeded = await anyio.to_thread.run_sync(count)
        percent = 100.0 * failed / (failed + succeeded) if failed + succeeded else 0.0
        summary = f"{failed} of {failed + succeeded} runs failed within a quarter of an hour"
        return ActionOutcome(summary, {"failed": failed, "succeeded": succeeded, "percent": percent})

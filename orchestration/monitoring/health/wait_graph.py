"""Who waits for what: runs, agents, approvals, providers, limits and workers as a graph. Pure.

A cycle is a deadlock: each of its members waits for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from orchestration.domain.run_status import RunStatus
from orchestration.domain.work_phase import WorkPhase
from orchestration.storage.approvals import Approval
from orchestration.storage.runs import Run
from orchestration.storage.timeline import HeartbeatRow


@dataclass(frozen=True, slots=True, order=True)
class WaitEdge:
    """`who` cannot go on before `what` does. Both are written `run:…`, `agent:…`, `approval:…`, `provider:…`,
    `limit:…` or `worker`; `why` is for people."""

    who: str
    what: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class WaitGraph:
    """All waits at one moment."""

    waits: tuple[WaitEdge, ...]

    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """The deadlocks, each as the names in their order; overlapping ones once for each of their edges."""
        graph: dict[str, set[str]] = {}
        for wait in self.waits:
            graph.setdefault(wait.who, set()).add(wait.what)
        found: list[tuple[str, ...]] = []
        # The sorter reports one cycle at a time; each is cut open so that the next one is found.
        while True:
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                # The library's list ends where it begins, and each name in it is waited for by the next.
                cycle = list(reversed(error.args[1]))
                graph[cycle[0]].discard(cycle[1])
                found.append(_from_the_first(cycle[:-1]))
            else:
                return tuple(dict.fromkeys(found))

    def causes(self, who: str) -> tuple[WaitEdge, ...]:
        """Everything that `who` waits for, directly first, then what that waits for, and so on."""
        order: dict[WaitEdge, None] = {}
        names, seen = [who], {who}
        for name in names:
            for wait in self.waits:
                if wait.who == name:
                    order[wait] = None
                    if wait.what not in seen:
                        seen.add(wait.what)
                        names.append(wait.what)
        return tuple(order)


def wait_graph(
    runs: Iterable[Run],
    beats: Iterable[HeartbeatRow] = (),
    approvals: Iterable[Approval] = (),
    providers_down: Mapping[str, str] | None = None,
    limits: Mapping[str, int] | None = None,
    workers: int | None = None,
    default_provider: str = "",
    extra: Iterable[WaitEdge] = (),
) -> WaitGraph:
    """The graph from what the database knows.

    `beats` are those of agents at work; `providers_down` says why, `limits` how many calls a provider is given at once
    (0: none), `workers` how many are alive; `extra` are waits that only the caller knows of.
    """
    down, limits = providers_down or {}, limits or {}
    asked = {approval.subject: approval for approval in approvals}
    working: dict[str, list[HeartbeatRow]] = {}
    for beat in beats:
        working.setdefault(beat.run_id, []).append(beat)
    waits: list[WaitEdge] = list(extra)
    for run in runs:
        waits += _of_run(run, working.get(run.id, []), asked.get(run.id), workers, run.provider or default_provider)
    needed = {wait.what for wait in waits}
    waits += [WaitEdge(f"provider:{name}", f"repair:{name}", why) for name, why in down.items()]
    # A paused provider that nothing waits for explains nothing, and would only clutter the graph.
    closed = [name for name, limit in limits.items() if limit == 0 and f"provider:{name}" in needed]
    waits += [WaitEdge(f"provider:{name}", f"limit:{name}", "its limit is 0: it is paused") for name in closed]
    return WaitGraph(tuple(sorted(set(waits))))


def _of_run(
    run: Run, beats: list[HeartbeatRow], approval: Approval | None, workers: int | None, provider: str
) -> list[WaitEdge]:
    name = f"run:{run.id}"
    if run.status.ended:
        return []
    if approval is not None:
        return [WaitEdge(name, f"approval:{approval.id}", approval.question)]
    if run.status is RunStatus.QUEUED:
        return [WaitEdge(name, "worker", "no worker is alive" if workers == 0 else "a free worker")]
    if run.status is RunStatus.STOPPED:
        return [WaitEdge(name, "person", run.reason or "it was stopped; resume it")]
    steps = [WaitEdge(name, f"agent:{beat.agent_run_id}", beat.activity) for beat in beats]
    unplaced = [beat for beat in beats if beat.phase == WorkPhase.UNPLACED]
    steps += [WaitEdge(f"agent:{beat.agent_run_id}", "worker", beat.activity) for beat in unplaced]
    if run.status is RunStatus.WAITING:
        return [*steps, WaitEdge(name, f"provider:{provider}", run.reason)]
    return steps


def _from_the_first(cycle: list[str]) -> tuple[str, ...]:
    """The same cycle beginning with its first name in order, so that it has one spelling."""
    start = cycle.index(min(cycle))
    return (*cycle[start:], *cycle[:start])

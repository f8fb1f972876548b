"""Everything that actions reach, real, in a folder of its own: a project with its engine, its gateway and its desk."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestration.app import Application, application
from orchestration.app.incidents import IncidentResponse
from orchestration.app.leadership import Leadership
from orchestration.app.playbooks import PlaybookResponse
from orchestration.domain.playbook_state import ActionState
from orchestration.domain.scenario import Scenario
from orchestration.events import Event
from orchestration.incidents.model import Incident
from orchestration.incidents.report import BlastRadius
from orchestration.playbooks import actions
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome
from orchestration.playbooks.actions.registry import REGISTRY
from orchestration.playbooks.execution import PlaybookExecution, StepExecutor
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.model import GuardSettings, Mode, Phase, Step
from orchestration.playbooks.ports import ActionServices
from orchestration.playbooks.responder import Responder
from orchestration.playbooks.step_results import StepDecision
from orchestration.storage.playbooks import ActionRun, PlaybookRecords
from orchestration.workers.supervisor import Supervisor, WorkerLimits
from tests.support.incidents import ONE_AGENT, a_report
from tests.support.patience import until_async

PLANNER = {"id": "planner", "role": "planner", "tools": []}
EXECUTOR = {"id": "executor", "tools": ["read_file", "write_file", "run_command"], "commands": ["echo", "sleep"]}
REASON = "a test wants it"


class Fleet:
    """Workers that a test makes up; the processes are real. `replaced` says which were replaced, and why."""

    def __init__(self, *workers: Mapping[str, Any], wanted: int | None = None) -> None:
        self.records = list(workers)
        self.replaced: list[tuple[str, str]] = []
        self._wanted = len(workers) if wanted is None else wanted

    def workers(self) -> Sequence[Mapping[str, Any]]:
        return self.records

    def wanted(self) -> int:
        return self._wanted

    async def replace(self, worker: str, reason: str) -> None:
        self.replaced.append((worker, reason))


def a_worker(name: str, *, healthy: bool = True, pid: int = 0) -> dict[str, Any]:
    """A worker's record."""
    return {"worker": name, "pid": pid or os.getpid(), "doing": "nothing", "memory_bytes": 1, "healthy": healthy}


class Ward:
    """An incident, and the means to act on it: single actions, or whole steps through the executor."""

    def __init__(self, app: Application, playbooks: PlaybookResponse) -> None:
        self.app = app
        self.root = app.root
        self.services: ActionServices = playbooks.services
        self.records: PlaybookRecords = playbooks.records
        self.playbooks = playbooks
        self.incident = self.declare()
        self.events: list[Event] = []
        app.bus.subscribe(self.events.append)

    def declare(self, scenario: Scenario = Scenario.AGENT_FAILURE, runs: Sequence[str] = (), **values: Any) -> Incident:
        """A further incident, which is the one that is acted on from now on."""
        values = {"key": f"trouble:{scenario.value}", "blast_radius": BlastRadius(runs=tuple(runs)), **values}
        report = a_report(at=self.app.clock.now(), scenario=scenario, **{"facts": ONE_AGENT, **values})
        self.incident = self.app.incident_service.open_or_join(report)
        return self.incident

    def context(self, key: str = "k-1", actor: str = "playbook:test") -> ActionContext:
        reason = f"{self.incident.id}: {REASON}"
        return ActionContext(self.incident.id, key, actor, reason, self.app.clock.now())

    def action(self, name: str) -> Action[Any]:
        return REGISTRY[name](self.services)

    async def run(self, name: str, key: str = "k-1", actor: str = "playbook:test", **parameters: Any) -> ActionOutcome:
        """Carry an action out."""
        kind = REGISTRY[name]
        outcome = await kind(self.services).run(self.context(key, actor), actions.parse(kind, parameters))
        assert set(outcome.findings) <= set(kind.finds), f"{name} found what it does not name"
        json.dumps([outcome.findings, outcome.evidence, outcome.undo])
        return outcome

    async def preview(self, name: str, **parameters: Any) -> str:
        """What an action says that it would do."""
        kind = REGISTRY[name]
        return await kind(self.services).preview(self.context(key=""), actions.parse(kind, parameters))

    async def undo(self, name: str, outcome: ActionOutcome, key: str = "k-1") -> str:
        """Take it back, from what was kept of it as JSON."""
        assert outcome.undo is not None, f"{name} has nothing to undo"
        return await self.action(name).undo(self.context(key), json.loads(json.dumps(outcome.undo)))

    @property
    def executor(self) -> StepExecutor:
        return StepExecutor(self.services, self.records)

    def response(self, **guards: Any) -> PlaybookExecution:
        """The response that a step belongs to, with these limits."""
        settings = GuardSettings.model_validate({"cooldown": 0, **guards})
        return PlaybookExecution(f"response-{self.incident.id}-1", self.incident.id, "test", settings, drill=False)

    async def decide(
        self, name: str, given: Mapping[str, Any], mode: Mode = Mode.AUTO, attempts: int = 0, **guards: Any
    ) -> StepDecision:
        """What the executor makes of a step with that action, under these guards."""
        return await self.executor.decide(self.response(**guards), a_step(name, given, mode), KnownFacts({}), attempts)

    async def act(self, name: str, given: Mapping[str, Any], key: str = "k-1", **guards: Any) -> ActionRun:
        """Decide on a step, and carry it out if the machine may by itself; else leave it, with the reason."""
        decision = await self.decide(name, given, **guards)
        by_itself = decision.mode is Mode.AUTO and not decision.wait
        return await (self.approve if by_itself else self.leave)(name, given, decision, key, **guards)

    async def approve(
        self,
        name: str,
        given: Mapping[str, Any],
        decision: StepDecision,
        key: str = "k-1",
        actor: str = "playbook",
        **guards: Any,
    ) -> ActionRun:
        """Carry a step out, as `actor` wants it."""
        step = a_step(name, given)
        return await self.executor.act(self.response(**guards), Phase.MITIGATE, step, key, decision, actor)

    async def leave(
        self, name: str, given: Mapping[str, Any], decision: StepDecision, key: str = "k-1", **guards: Any
    ) -> ActionRun:
        """Leave a step out, with the reason."""
        step, state = a_step(name, given), ActionState.LEFT_OUT
        return await self.executor.skip(self.response(**guards), Phase.MITIGATE, step, key, decision, state)

    def configure(self, **runtime: Any) -> None:
        """Edit the configuration's file, and have it read at once; `None` takes a key away."""
        file = self.root / "config" / "agents.config.json"
        settings = json.loads(file.read_text(encoding="utf-8"))
        settings["runtime"] = {k: v for k, v in {**settings["runtime"], **runtime}.items() if v is not None}
        write_settings(self.root, settings)
        self.app.store.refresh()

    def write_env(self, **variables: str) -> None:
        """Write `.env`, and have it read at once."""
        (self.root / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        self.app.store.refresh()

    def use(self, **services: Any) -> None:
        """Replace some services."""
        self.services = replace(self.services, **services)

    def responder(self) -> Responder:
        """What starts responses and takes reroutes back; it is not running."""
        return Responder(self.services, self.records, self.app.engine)

    def of(self, kind: str) -> list[Event]:
        """What was said on the bus since the beginning."""
        return [event for event in self.events if event.kind == kind]

    @property
    def overrides(self) -> list[tuple[str, str]]:
        """The changes in force: kind and target."""
        return [(one.change.kind, one.change.target) for one in self.app.store.overrides]

    async def until(self, condition: Callable[[], Any], seconds: float = 15) -> Any:
        return await until_async(condition, seconds)


def a_step(name: str, given: Mapping[str, Any], mode: Mode = Mode.AUTO) -> Step:
    """A step of a playbook that does one thing."""
    return Step.model_validate({"step": "it", "do": name, "with": dict(given), "why": REASON, "mode": mode})


def write_settings(root: Path, settings: Mapping[str, Any]) -> Path:
    """Write the configuration, as an editor does: a new file in the place of the old one."""
    file = root / "config" / "agents.config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(settings), encoding="utf-8")
    new.rename(file)
    return file


def settings_for(
    providers: Mapping[str, Any], agents: Sequence[Mapping[str, Any]] = (PLANNER, EXECUTOR), **more: Any
) -> dict[str, Any]:
    """A configuration whose first provider is the default and whose others are the fallbacks."""
    names = list(providers)
    sections = {name: {"breaker": {"probeAfter": 0.3, "probeAtMost": 0.5}, **one} for name, one in providers.items()}
    runtime = {"defaultProvider": names[0], "fallbackProviders": names[1:], **sections, **more.pop("runtime", {})}
    return {"runtime": runtime, "agents": [dict(agent) for agent in agents], **more}


# Nobody listens there, and nobody is asked.
NOWHERE = {"own": {"type": "openai", "baseUrl": "http://127.0.0.1:9/v1", "defaultModel": "m", "concurrency": 8}}


@asynccontextmanager
async def a_ward(
    root: Path,
    providers: Mapping[str, Any] | None = None,
    agents: Sequence[Mapping[str, Any]] = (PLANNER, EXECUTOR),
    *,
    shared: bool = False,
    **more: Any,
) -> AsyncIterator[Ward]:
    """A project at work, without workers of its own, with one open incident; `shared` takes up whatever run waits."""
    file = write_settings(root, settings_for(providers or NOWHERE, agents, **more))
    (root / "work").mkdir(exist_ok=True)
    async with application(str(file), shared=shared) as app:
        supervisor = Supervisor(("true",), 0, lambda: WorkerLimits(15, 2048, 1), app.bus, app.clock)
        incidents = IncidentResponse(app, Leadership())
        yield Ward(app, PlaybookResponse(app, incidents, supervisor, None, Leadership()))

"""A response room for tests: the real engine, desk and runner, and actions that leave marks in a folder.

The actions here are real ones of their own registry names (`mark.*`): each writes a line to `effects.log` when it takes
effect, so that a test, and another process, can count what was done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from orchestration.clock import SystemClock
from orchestration.config.schema import Configuration
from orchestration.domain.subject_kind import SubjectKind
from orchestration.events import Event, EventBus
from orchestration.incidents.model import Incident
from orchestration.incidents.service import IncidentService, Ports
from orchestration.playbooks.actions import (
    REGISTRY,
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    Parameters,
    action,
)
from orchestration.playbooks.approvals import ApprovalRequests
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.execution import StepExecutor
from orchestration.playbooks.ids import response_id
from orchestration.playbooks.incident_updates import IncidentUpdates
from orchestration.playbooks.model import Risk
from orchestration.playbooks.runner import RESPONSE, PlaybookRunner
from orchestration.playbooks.step_results import ResponseRequest
from orchestration.security.redaction import Redactor
from orchestration.storage.approvals import ApprovalTable
from orchestration.storage.leases import Leases
from orchestration.storage.playbooks import PlaybookRecords
from orchestration.workflows.engine import Engine
from tests.support.database import migrated
from tests.support.incidents import a_report, plan, some_settings

CURE = "cure"
EFFECTS = "effects.log"


class Named(Parameters):
    """`name` is what is written; `fail` makes the action fail."""

    name: str
    fail: bool = False


def _effects(services: Any) -> Path:
    return Path(services.root) / EFFECTS


if "mark.look" not in REGISTRY:

    @action
    class Look(Action[Named]):
        """Read a mark: whether a name is among the effects, and how many there are."""

        name = "mark.look"
        summary = "look at the marks"
        finds = ("there", "count")
        proves = frozenset({SubjectKind.RUNS, SubjectKind.OWN})

        async def run(self, context: ActionContext, parameters: Named) -> ActionOutcome:
            path = _effects(self.services)
            lines = path.read_text().splitlines() if path.exists() else []
            there = [line for line in lines if line.startswith(f"do {parameters.name} ")]
            undone = [line for line in lines if line.startswith(f"undo {parameters.name} ")]
            return ActionOutcome("looked", {"there": len(there) > len(undone), "count": len(there)})

    @action
    class Leave(Action[Named]):
        """Leave a mark, once for each key."""

        name = "mark.leave"
        summary = "leave a mark"
        risk = Risk.REVERSIBLE

        def targets(self, parameters: Named) -> tuple[str, ...]:
            return (parameters.name,) if parameters.name else ()

        async def preview(self, context: ActionContext, parameters: Named) -> str:
            return f"leave the mark {parameters.name}"

        async def run(self, context: ActionContext, parameters: Named) -> ActionOutcome:
            if parameters.fail:
                raise ActionError("it was told to fail")
            if parameters.name == CURE:  # the problem is gone, and its alert is observed to clear
                incident = self.services.incidents.get(context.incident_id)
                self.services.incident_service.mark_cleared(incident.key, self.services.clock.now())
            path = _effects(self.services)
            if path.exists() and f" {context.key} " in path.read_text():
                return ActionOutcome(f"left {parameters.name} before", undo={"name": parameters.name})
            with path.open("a") as file:
                file.write(f"do {parameters.name} {context.key} {context.actor}\n")
            print(f"did {parameters.name}", flush=True)
            return ActionOutcome(f"left {parameters.name}", undo={"name": parameters.name})

        async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
            with _effects(self.services).open("a") as file:
                file.write(f"undo {undo['name']} {context.key}\n")
            return f"took {undo['name']} away"


@dataclass(repr=False)
class ResponseRoom:
    """Everything that a response touches."""

    folder: Path
    configuration: Configuration = field(default_factory=Configuration)
    workers: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.bus = EventBus(self.clock)
        self.bus.subscribe(self.events.append)
        self.database = migrated(f"sqlite:///{self.folder}/orchestrator.db")
        redactor = Redactor()
        ports = Ports(settings=some_settings, plan=plan, redact=redactor.data)
        self.incident_service = IncidentService(self.database, self.bus, self.clock, ports)
        self.records = PlaybookRecords(self.database)
        self.approvals = ApprovalTable(self.database)
        self.services: Any = SimpleNamespace(
            root=self.folder,
            clock=self.clock,
            bus=self.bus,
            redactor=redactor,
            configuration=lambda: self.configuration,
            incident_service=self.incident_service,
            incidents=self.incident_service.records,
            fleet=SimpleNamespace(workers=lambda: self.workers, wanted=lambda: len(self.workers)),
        )
        self.executor = StepExecutor(self.services, self.records)
        updates = IncidentUpdates(
            self.incident_service,
            self.incident_service.records,
            self.records,
            self._catalogue,
            lambda: self.configuration,
            self.clock,
        )
        approvals = ApprovalRequests(self.approvals, updates, self.bus, self.clock)
        self.runner = PlaybookRunner(self.executor, updates, approvals)

    def _catalogue(self) -> PlaybookCatalogue:
        return PlaybookCatalogue(self.folder / "playbooks")

    def write_playbook(self, text: str) -> None:
        """Put a playbook in the place of the shipped one of its name."""
        folder = self.folder / "playbooks"
        folder.mkdir(exist_ok=True)
        (folder / "one.yaml").write_text(text)
        assert not self._catalogue().mistakes, self._catalogue().mistakes

    def an_incident(self, **values: Any) -> Incident:
        return self.incident_service.open_or_join(a_report(at=self.clock.now(), **values))

    def incident(self, incident_id: str) -> Incident:
        return self.incident_service.records.get(incident_id)

    def effects(self) -> list[str]:
        """What was done and undone, without keys."""
        path = self.folder / EFFECTS
        lines = path.read_text().splitlines() if path.exists() else []
        return [" ".join(line.split()[:2]) for line in lines]

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        engine = Engine(f"sqlite:///{self.folder}/engine.db", Leases(self.database))
        engine.register(RESPONSE, self.runner.body)
        async with engine.running():
            yield engine

    async def respond(self, incident: Incident) -> Any:
        """The whole response to an incident; returns how it ended."""
        async with self.engine() as engine:
            flow_id = response_id(incident.id, incident.clock.number)
            await engine.start(RESPONSE, flow_id, ResponseRequest(incident.id))
            return await engine.result(flow_id)

"""What a response says to the desk: where it stands, what it found, what it tried. Everything here runs as a step of a
flow, so each method may be repeated after a crash and then changes nothing more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import PlaybookRunState
from orchestration.incidents.model import Actor, Incident, IncidentRefusedError
from orchestration.incidents.notices import LIKELY
from orchestration.incidents.records import IncidentRecords
from orchestration.incidents.service import IncidentService
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.execution import PlaybookExecution
from orchestration.playbooks.hypotheses import RankedHypothesis
from orchestration.playbooks.model import EscalateWhen, GuardSettings, Option
from orchestration.storage.playbooks import PlaybookRecords, PlaybookRun

# The rules about the system itself are called after what they watch.
_COMPONENTS = ("database", "worker", "backup", "channel")


class IncidentUpdates:
    """Speaks for the responses."""

    def __init__(
        self,
        service: IncidentService,
        incidents: IncidentRecords,
        records: PlaybookRecords,
        catalogue: Callable[[], PlaybookCatalogue],
        configuration: Callable[[], Configuration],
        clock: Clock,
    ) -> None:
        self._service = service
        self._incidents = incidents
        self._records = records
        self._catalogue = catalogue
        self._configuration = configuration
        self._clock = clock

    async def open(self, run_id: str, incident_id: str) -> Any:
        """Choose the playbook and fix it, with what is known at the start; None when there is nothing to do."""
        return await anyio.to_thread.run_sync(self._open, run_id, incident_id)

    def response(self, run_id: str, opened: Mapping[str, Any]) -> PlaybookExecution:
        """What the steps of this run need to know of it."""
        playbook = opened["playbook"]
        return PlaybookExecution(
            run_id=run_id,
            incident_id=str(opened["facts"]["incident.id"]),
            playbook=str(playbook["playbook"]),
            guards=GuardSettings.model_validate(playbook["guards"]),
            drill=bool(opened["facts"]["incident.drill"]),
        )

    async def settled(self, response: PlaybookExecution) -> str:
        """Why nothing more is to be done: somebody else has settled the incident; empty while it is open."""
        incident = await self._incident(response)
        if incident.status.is_open:
            return ""
        return f"the incident is {incident.status.value} already"

    async def hypotheses(self, response: PlaybookExecution, causes: Sequence[RankedHypothesis]) -> None:
        """Put the likely causes on the timeline, with what speaks for each."""
        ranked = [asdict(cause) for cause in causes]
        await anyio.to_thread.run_sync(lambda: self._records.move(response.run_id, hypotheses=ranked, phase="diagnose"))
        lines = [f"{cause.says} ({cause.weight} of 100)" for cause in causes[:3]]
        await self._note(response, LIKELY + "; ".join(lines))

    async def escalate(self, response: PlaybookExecution, rule: EscalateWhen) -> None:
        """Call a person because the playbook says so."""
        await self._do(lambda: self._call(response, rule.level, rule.reason))

    async def mitigating(self, response: PlaybookExecution, option: Option) -> None:
        """Say what is tried now."""
        await self._phase(response, "mitigate")
        await self._do(lambda: self._service.begin_mitigation(response.incident_id, _actor(response), option.says))

    async def verifying(self, response: PlaybookExecution) -> None:
        """Say that it is now seen whether it helped."""
        await self._phase(response, "verify")
        incident = await self._incident(response)
        if incident.status is IncidentStatus.MITIGATING:
            how = "it is watched whether that helped"
            await self._do(lambda: self._service.begin_verification(response.incident_id, _actor(response), how))

    async def did_not_help(self, response: PlaybookExecution, option: Option) -> None:
        """Say that it did not help, and that what could be undone was."""
        kept = "" if option.keep else "; it was taken back"
        reason = f"{option.says}: did not help{kept}"
        await self._do(lambda: self._service.mitigation_failed(response.incident_id, _actor(response), reason))

    async def hand_over(self, response: PlaybookExecution, causes: Sequence[RankedHypothesis], tried: bool) -> None:
        """Call a person with everything that is known."""
        await self._phase(response, "mitigate")
        likely = causes[0].says if causes else "unknown"
        outcome = "has not helped" if tried else "could do nothing by itself"
        reason = f"the playbook {response.playbook} {outcome}; the likeliest cause: {likely}"
        await self._do(lambda: self._call(response, 2, reason))

    async def resolve(self, response: PlaybookExecution, causes: Sequence[RankedHypothesis], helped: str) -> None:
        """It helped, and that was seen: the incident is resolved."""
        cause = causes[0].says if causes and causes[0].id != "unknown" else ""
        await self._do(lambda: self._service.resolve(response.incident_id, _actor(response), helped, cause))

    async def asked(self, response: PlaybookExecution, question: str) -> None:
        """Tell those who are told that an approval is needed."""
        await self._do(lambda: self._service.request_approval(response.incident_id, _actor(response), question))

    async def unanswered(self, response: PlaybookExecution, question: str) -> None:
        """Nobody answered: the next level is told."""
        reason = f"nobody has answered: {question}"
        await self._do(lambda: self._service.escalate(response.incident_id, _actor(response), 2, reason))

    async def close(self, run_id: str, state: PlaybookRunState, says: str) -> Any:
        """Record how the run ended."""
        now = self._clock.now()
        await anyio.to_thread.run_sync(
            lambda: self._records.move(run_id, state=state.value, says=says, finished_at=now)
        )
        return {"state": state.value, "says": says}

    def _open(self, run_id: str, incident_id: str) -> Any:
        incident = self._incidents.get(incident_id)
        facts = facts_of(incident, self._configuration())
        playbook = self._catalogue().choose(incident.scenario, facts)
        if playbook is None or not incident.status.is_open:
            return None
        earlier = self._records.runs(incident_id=incident_id)
        now = self._clock.now()
        self._records.begin(
            PlaybookRun(run_id, incident_id, playbook.name, playbook.version, now, drill=incident.drill)
        )
        self._quietly(lambda: self._service.acknowledge(incident_id, Actor(f"playbook:{playbook.name}")))
        return {
            "playbook": playbook.model_dump(mode="json", by_alias=True),
            "facts": facts,
            "attempts": incident.failed_attempts if earlier else 0,
        }

    def _call(self, response: PlaybookExecution, level: int, reason: str) -> Incident:
        """Whoever has taken it decides who else is to be woken."""
        return self._service.escalate(response.incident_id, _actor(response), level, reason, unless_taken=True)

    async def _incident(self, response: PlaybookExecution) -> Incident:
        return await anyio.to_thread.run_sync(self._incidents.get, response.incident_id)

    async def _phase(self, response: PlaybookExecution, phase: str) -> None:
        await anyio.to_thread.run_sync(lambda: self._records.move(response.run_id, phase=phase))

    async def _note(self, response: PlaybookExecution, text: str) -> None:
        await self._do(lambda: self._service.note(response.incident_id, _actor(response), text))

    async def _do(self, function: Callable[[], Any]) -> None:
        await anyio.to_thread.run_sync(self._quietly, function)

    def _quietly(self, function: Callable[[], Any]) -> None:
        """What the desk refuses has been done already, by us before a crash or by somebody else meanwhile."""
        try:
            function()
        except IncidentRefusedError:
            return


def facts_of(incident: Incident, configuration: Configuration) -> dict[str, Any]:
    """What a playbook knows of an incident before its first step."""
    facts = incident.facts
    total = facts.agents_total or len(configuration.agents)
    return {
        "incident.id": incident.id,
        "incident.severity": incident.severity.value,
        "incident.scenario": incident.scenario.value,
        "incident.component": _component(incident.labels),
        "incident.agents": list(incident.blast_radius.agents),
        "incident.providers": list(incident.blast_radius.providers),
        "incident.runs": list(incident.blast_radius.runs),
        "incident.hosts": list(incident.blast_radius.hosts),
        "incident.agents_failing_percent": 100.0 * facts.agents_failing / total if total else 0.0,
        "incident.drill": incident.drill,
        **{f"incident.label.{name}": value for name, value in incident.labels.items()},
    }


def _component(labels: Mapping[str, str]) -> str:
    """The part of the system itself that is in trouble: as the alert says, else by the rule that fired."""
    rule = labels.get("alertname", "")
    named = (part for part in _COMPONENTS if rule.startswith((f"{part}-", f"{part}s-")))
    return labels.get("component") or next(named, "")


def _actor(response: PlaybookExecution) -> Actor:
    return Actor(f"playbook:{response.playbook}")

"""What a response reports to the incident service: its progress, its findings, what it tried. Everything here runs as a
durable step, so each method may be repeated after a crash and then changes nothing more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import PlaybookRunState
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.approval_request import RequestApproval
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.commands.manual_escalation import Escalate, EscalateUnlessAcknowledged
from orchestration.incidents.commands.mitigation import (
    BeginMitigation,
    BeginVerification,
    RecordFailedMitigation,
    RecordProof,
)
from orchestration.incidents.commands.note import AddNote, RecordLikelyCauses
from orchestration.incidents.commands.response import BeginResponse, EndResponse
from orchestration.incidents.model import Actor, Incident, IncidentRefusedError
from orchestration.incidents.records import IncidentRecords
from orchestration.incidents.service import IncidentService
from orchestration.playbooks import proof
from orchestration.playbooks.actions.registry import find_action_or_none
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.execution import PlaybookExecution
from orchestration.playbooks.hypotheses import RankedHypothesis
from orchestration.playbooks.ids import response_id
from orchestration.playbooks.model import EscalateWhen, HandOver, Option
from orchestration.playbooks.step_results import ClosedResponse, OpenedResponse
from orchestration.storage.playbooks import PlaybookRecords, PlaybookRun

# The alert rules about the system itself begin with the part that they watch: `database-down`, `workers-crash-loop`.
_COMPONENTS = ("database", "worker", "backup", "channel", "tool-server")
# A fact of a response: whether its playbook can verify that what was reported is repaired.
PROVES_SUBJECT = "playbook.proves_subject"
# The first level was notified when the incident was opened.
_FIRST_LEVEL, _NEXT_LEVEL = 1, 2


class IncidentUpdates:
    """Reports for the responses."""

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

    async def open(self, run_id: str, incident_id: str) -> OpenedResponse | None:
        """Choose the playbook and the facts known at the start; None when there is nothing to do."""
        return await anyio.to_thread.run_sync(self._open, run_id, incident_id)

    async def settled(self, execution: PlaybookExecution) -> str:
        """Why nothing more is to be done, if somebody has settled the incident; empty while it is open."""
        incident = await self._incident(execution)
        if not incident.status.is_open:
            return f"the incident is {incident.status.value} already"
        present = response_id(incident.id, incident.clock.number, incident.responses)
        return "" if execution.run_id == present else "a further response has taken the incident over"

    async def record_hypotheses(self, execution: PlaybookExecution, causes: Sequence[RankedHypothesis]) -> None:
        """Put the likely causes on the timeline, with the evidence for each."""
        await self._update(execution, hypotheses=tuple(causes), phase="diagnose")
        if not causes:
            return
        lines = tuple(f"{cause.summary} ({cause.weight} of 100)" for cause in causes[:3])
        await self._execute(execution, RecordLikelyCauses(lines))

    async def escalate(self, execution: PlaybookExecution, rule: EscalateWhen) -> None:
        """Call a person because the playbook asks for it."""
        await self._execute(execution, EscalateUnlessAcknowledged(rule.level, rule.reason))

    async def mitigating(self, execution: PlaybookExecution, option: Option) -> None:
        """Report which option is tried now."""
        await self._update(execution, phase="mitigate")
        await self._execute(execution, BeginMitigation(option.summary))

    async def verifying(self, execution: PlaybookExecution) -> None:
        """Report that the effect is being verified now."""
        await self._update(execution, phase="verify")
        incident = await self._incident(execution)
        # When it is only watched whether the fault passes by itself, nothing was begun that could be verified.
        if incident.status is IncidentStatus.MITIGATING:
            how = "it is watched whether that helped"
            await self._execute(execution, BeginVerification(how))

    async def did_not_help(self, execution: PlaybookExecution, option: Option) -> None:
        """Report that an option did not help, and that it was undone."""
        undone = "" if option.keep else "; it was undone"
        reason = f"{option.summary}: did not help{undone}"
        await self._execute(execution, RecordFailedMitigation(reason, option.summary))

    async def note(self, execution: PlaybookExecution, text: str) -> None:
        """Write a note on the timeline."""
        await self._execute(execution, AddNote(text))

    async def hand_over(
        self,
        execution: PlaybookExecution,
        causes: Sequence[RankedHypothesis],
        rule: HandOver,
        helped: str | None,
        *,
        tried: bool,
    ) -> None:
        """Hand over to people, with everything that is known. What `helped` was done, but cannot be verified here."""
        await self._update(execution, phase="mitigate")
        likely = causes[0].summary if causes else "unknown"
        outcome = "has not helped" if tried else "could do nothing by itself"
        if helped is not None:
            outcome = f"has done what it can ({helped}), and cannot check whether that repaired what was reported"
        because = rule.reason or f"the playbook {execution.playbook} {outcome}; the likeliest cause: {likely}"
        links = (await self._incident(execution)).links
        reason = "; ".join([because, *(f"{link.name}: {link.url}" for link in links)])
        paged = EscalateUnlessAcknowledged(rule.level, reason)
        await self._execute(execution, AddNote(f"handed over: {reason}") if rule.level == _FIRST_LEVEL else paged)

    async def resolve(
        self, execution: PlaybookExecution, causes: Sequence[RankedHypothesis], helped: str, *, complete: bool
    ) -> None:
        """Record that the option helped, and that this was verified: resolves the incident, unless more is left to be
        repaired, or only the impact was stopped and it is not `complete`."""
        # "Unknown" means that a person has to look; as a root cause it would close that question.
        cause = causes[0].summary if causes and causes[0].id != "unknown" else ""
        await self._execute(execution, RecordProof(helped, cause, complete))

    async def approval_requested(self, execution: PlaybookExecution, question: str) -> None:
        """Notify the people on call that an approval is needed."""
        await self._execute(execution, RequestApproval(question))

    async def approval_expired(self, execution: PlaybookExecution, question: str) -> None:
        """Escalate a question that nobody answered."""
        reason = f"nobody has answered: {question}"
        # Also when the incident is acknowledged: the person who did that has not answered either.
        await self._execute(execution, Escalate(_NEXT_LEVEL, reason))

    async def close(
        self, execution: PlaybookExecution, state: PlaybookRunState, summary: str, helped: str | None = None
    ) -> ClosedResponse:
        """Record how the run ended."""
        await self._update(execution, state=state, summary=summary, helped=helped, finished_at=self._clock.now())
        await self._execute(execution, EndResponse(execution.run_id))
        return ClosedResponse(state, summary, helped)

    def _open(self, run_id: str, incident_id: str) -> OpenedResponse | None:
        incident = self._incidents.get(incident_id)
        facts = facts_of(incident, self._configuration())
        playbook = self._catalogue().choose(incident.scenario, facts)
        if playbook is None or not incident.status.is_open:
            return None
        # A reopened incident keeps the attempts of the earlier response: the guard counts them per incident.
        earlier = self._records.list_runs(incident_id=incident_id)
        now = self._clock.now()
        self._records.add_run(
            PlaybookRun(run_id, incident_id, playbook.name, playbook.version, now, drill=incident.drill)
        )
        self._execute_once(incident_id, Actor(f"playbook:{playbook.name}"), Acknowledge())
        self._execute_once(incident_id, Actor(f"playbook:{playbook.name}"), BeginResponse(run_id))
        facts[PROVES_SUBJECT] = proof.proves_subject(playbook, facts, find_action_or_none)
        attempts = incident.failed_attempts if earlier else 0
        return OpenedResponse(playbook, facts, attempts, incident.requested_option, incident.requested_by)

    async def _incident(self, execution: PlaybookExecution) -> Incident:
        return await anyio.to_thread.run_sync(self._incidents.get, execution.incident_id)

    async def _update(self, execution: PlaybookExecution, **values: Any) -> None:
        await anyio.to_thread.run_sync(lambda: self._records.update_run(execution.run_id, **values))

    async def _execute(self, execution: PlaybookExecution, command: IncidentCommand) -> None:
        await anyio.to_thread.run_sync(self._execute_once, execution.incident_id, _actor(execution), command)

    def _execute_once(self, incident_id: str, actor: Actor, command: IncidentCommand) -> None:
        """A command that is refused was carried out already: by us before a crash, or by a person in the meantime."""
        with contextlib.suppress(IncidentRefusedError):
            self._service.execute(incident_id, actor, command)


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
        "incident.external": incident.external,
        **{f"incident.label.{name}": value for name, value in incident.labels.items()},
    }


def _component(labels: Mapping[str, str]) -> str:
    """The affected part of the system itself: as the alert names it, else by the rule that fired."""
    rule = labels.get("alertname", "")
    named = (part for part in _COMPONENTS if rule.startswith((f"{part}-", f"{part}s-")))
    return labels.get("component") or next(named, "")


def _actor(execution: PlaybookExecution) -> Actor:
    return Actor(f"playbook:{execution.playbook}")

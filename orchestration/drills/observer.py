"""Observes a drill from outside: reads its database, and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path

from orchestration.domain.playbook_state import PlaybookRunState
from orchestration.domain.run_status import RunStatus
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import DrillExpectation
from orchestration.drills.observation import DrillObservation, ObservedAction, ObservedResponse, ObservedWork
from orchestration.events.agents import ToolCallFinished
from orchestration.incidents.model import Incident, TimelineEntry
from orchestration.incidents.records import IncidentRecords
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.model import Phase, Playbook
from orchestration.storage.approvals import Approval, ApprovalTable
from orchestration.storage.outbox import Outbox
from orchestration.storage.playbooks import ActionRun, PlaybookRecords, PlaybookRun
from orchestration.storage.runs import Run, Runs
from orchestration.storage.timeline import Timeline
from orchestration.workflows.step_count import count_steps

BY_ITSELF = "by-itself"
# More than any drill creates; without a limit the tables give 50 rows.
_MOST = 1000
_JUDGED = (RunStatus.SUCCEEDED, RunStatus.NOT_APPROVED, RunStatus.INCOMPLETE)


class DrillObserver:
    """Reads the records of one drill. Every method blocks."""

    def __init__(self, environment: DrillEnvironment) -> None:
        database = environment.database
        self._environment = environment
        self._incidents = IncidentRecords(database)
        self._playbooks = PlaybookRecords(database)
        self._approvals = ApprovalTable(database)
        self._outbox = Outbox(database, lambda data: data)
        self._runs = Runs(database)
        self._timeline = Timeline(database)

    def incidents(self) -> tuple[Incident, ...]:
        """All incidents, oldest first."""
        rows = self._incidents.table.list(limit=_MOST)
        return tuple(self._incidents.get(row.id) for row in reversed(rows))

    def runs(self) -> tuple[Run, ...]:
        """The drill's runs."""
        return tuple(self._runs.get(run_id) for run_id in self._environment.runs)

    def responses(self, incident: Incident) -> tuple[PlaybookRun, ...]:
        """The playbook runs on an incident, newest first."""
        return self._playbooks.list_runs(incident_id=incident.id)

    def asked(self, incident: Incident) -> tuple[str, ...]:
        """The keys of the actions of an incident that wait for approval."""
        return tuple(approval.id for approval in self._approvals.list_open(incident.id))

    def questions(self, incident: Incident) -> tuple[tuple[str, Approval], ...]:
        """The open questions of an incident, each with the action that it is about."""
        played = self.responses(incident)
        playbook = _playbook(played[0].playbook) if played else None
        return tuple((_action_of(playbook, one.id), one) for one in self._approvals.list_open(incident.id))

    def _answered_at(self, incident: Incident) -> datetime | None:
        """When a person last answered a question: an answer makes the action theirs."""
        actions = self._playbooks.list_actions(incident_id=incident.id)
        return max((one.started_at for one in actions if one.mode == "ask" and one.state.value == "done"), default=None)

    def response(self, incident: Incident, since: datetime) -> ObservedResponse:
        """What was done about an incident, with times after `since`."""
        played = self.responses(incident)
        actions = self._playbooks.list_actions(incident_id=incident.id)
        playbook = _playbook(played[0].playbook) if played else None
        entries = self._incidents.entries(incident.id)
        return ObservedResponse(
            incident_id=incident.id,
            scenario=incident.scenario,
            severity=incident.severity,
            status=incident.status.value,
            drill=incident.drill,
            detected_after=_after(since, incident.detected_at) or 0.0,
            mitigated_after=_after(since, incident.mitigated_at),
            resolved_after=_after(since, incident.resolved_at),
            playbook=played[0].playbook if played else None,
            state=played[0].state.value if played else "",
            helped=_helped(played),
            level=max(_levels(entries), default=0),
            reasons=tuple(str(entry.data.get("reason", "")) for entry in entries if entry.kind == "escalated"),
            asked=tuple(_action_of(playbook, key) for key in self.asked(incident)),
            actions=tuple(_observed(one, playbook) for one in actions),
            stable=playbook.verify.stable if playbook and playbook.verify else 0.0,
            answered_after=_after(since, self._answered_at(incident)),
            duties_done_after=_after(
                since, max((one.ended_at for one in incident.duties if one.ended_at), default=None)
            ),
            open_duties=tuple(one.kind.value for one in incident.open_duties),
            repaired_after=_after(since, self._environment.repaired_at),
        )

    def work(self, calls: Sequence[dict[str, object]]) -> ObservedWork:
        """What became of the work."""
        runs = self.runs()
        total = ObservedWork(calls=len(calls), calls_repeated=repeated_calls(calls))
        for run in runs:
            events = [event for _, event in self._timeline.list(run.id, limit=100_000)]
            counted = count_steps(events)
            broken = run.status in (RunStatus.FAILED, RunStatus.CANCELLED)
            tools = [one.payload.seconds for one in events if isinstance(one.payload, ToolCallFinished)]
            total = replace(
                total,
                steps=total.steps + counted.executed,
                redone=total.redone + counted.redone,
                repeated=total.repeated + counted.committed_repeated,
                lost=total.lost + (counted.executed - counted.redone if broken else 0),
                longest_tool=max([total.longest_tool, *tools]),
            )
        if not runs:
            return total
        succeeded = all(run.status is RunStatus.SUCCEEDED for run in runs)
        judged = all(run.status in _JUDGED for run in runs)
        return replace(total, succeeded=succeeded, judged=judged, status=", ".join(_status(run) for run in runs))

    def paged(self, harmless: Collection[str] = ()) -> int:
        """The number of channels that reach people and were used: a drill must not wake anybody."""
        return sum(1 for name in self._outbox.last_attempts() if name not in ("log", "console", *harmless))

    def manual_steps(self, incident: Incident) -> tuple[str, ...]:
        """The commands that a person would have had to run to do the same."""
        done = {(one.phase, one.step) for one in self._playbooks.list_actions(incident_id=incident.id)}
        played = self.responses(incident)
        steps = _playbook(played[0].playbook).steps() if played else ()
        commands = [line for phase, step in steps if (phase.value, step.id) in done for line in step.manual_steps]
        return tuple(dict.fromkeys(commands))


def chosen(incidents: Iterable[Incident], expects: DrillExpectation, since: datetime) -> Incident | None:
    """The incident that a drill is about: the first of its scenario after the fault; without one, the first of any
    other scenario that was not to be expected too."""
    after = [one for one in incidents if one.detected_at >= since]
    of_scenario = [one for one in after if one.scenario is expects.scenario]
    others = [one for one in after if one.scenario not in expects.beside]
    return next(iter([*of_scenario, *others]), None)


def observe(
    watcher: DrillObserver,
    expects: DrillExpectation,
    since: datetime,
    now: datetime,
    calls: Sequence[dict[str, object]],
) -> DrillObservation:
    """Everything that is scored, as of now."""
    incidents = watcher.incidents()
    incident = chosen(incidents, expects, since)
    others = tuple((one.scenario, one.title) for one in incidents if one.detected_at >= since and one is not incident)
    return DrillObservation(
        seconds=(now - since).total_seconds(),
        response=None if incident is None else watcher.response(incident, since),
        work=watcher.work(calls),
        other_incidents=others,
        early_incidents=tuple(one.title for one in incidents if one.detected_at < since),
        paged=watcher.paged(expects.channels),
        manual_steps=() if incident is None else watcher.manual_steps(incident),
    )


def repeated_calls(calls: Sequence[dict[str, object]]) -> int:
    """Calls that were answered and then made again: the same conversation, answered twice without a fault."""
    answered = Counter(str(call["fingerprint"]) for call in calls if not call.get("fault"))
    return sum(count - 1 for count in answered.values())


def is_played(played: Sequence[PlaybookRun]) -> bool:
    """Whether the newest playbook run has ended."""
    return bool(played) and played[0].state is not PlaybookRunState.RUNNING


def is_handed_over(played: Sequence[PlaybookRun]) -> bool:
    """Whether the newest playbook run has left the incident to a person."""
    return is_played(played) and played[0].state is PlaybookRunState.HANDED_OVER


@cache
def _catalogue() -> PlaybookCatalogue:
    # A folder that does not exist: a drill runs the shipped playbooks, whatever the user has of their own.
    return PlaybookCatalogue(Path("no-playbooks-of-ones-own"))


def shipped_playbooks() -> tuple[Playbook, ...]:
    """The playbooks that answer in a drill."""
    return tuple(entry.playbook for entry in _catalogue().all())


def _playbook(name: str) -> Playbook:
    return _catalogue().get(name).playbook


def _helped(played: Sequence[PlaybookRun]) -> str | None:
    """The option that helped, by its name; also where nothing here can show that it repaired what was reported, and a
    person decides that."""
    if not played or played[0].state not in (PlaybookRunState.HELPED, PlaybookRunState.HANDED_OVER):
        return None
    return played[0].helped or (BY_ITSELF if played[0].state is PlaybookRunState.HELPED else None)


def _levels(entries: Iterable[TimelineEntry]) -> list[int]:
    return [int(entry.data["level"]) for entry in entries if entry.kind == "escalated" and entry.data.get("level")]


def _action_of(playbook: Playbook | None, key: str) -> str:
    """The action that a question asks about: its key holds the step, before the number."""
    parts = key.split("/")
    name = parts[-2] if len(parts) > 1 else key
    steps = playbook.steps() if playbook else ()
    return next((step.action for _, step in steps if step.id == name), name)


def _observed(one: ActionRun, playbook: Playbook | None) -> ObservedAction:
    options = playbook.mitigate if playbook and one.phase == Phase.MITIGATE.value else ()
    # The names of steps are unique in a playbook.
    option = next((option.id for option in options if one.step in {step.id for step in option.steps}), None)
    state = one.state.value
    return ObservedAction(one.phase, one.step, one.action, state, one.mode, one.summary, bool(one.findings), option)


def _after(since: datetime, moment: datetime | None) -> float | None:
    return None if moment is None else (moment - since).total_seconds()


def _status(run: Run) -> str:
    return run.status.value + (f" ({run.reason})" if run.reason else "")

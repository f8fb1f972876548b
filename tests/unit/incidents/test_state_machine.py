"""Whatever is done to an incident, in whatever order, some things always hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestration.domain.duty import DutyKind, DutyRequest
from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.incidents import conditions, lifecycle, resolution, timers
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.commands.closure import Close
from orchestration.incidents.commands.duties import CompleteDuty, DismissDuty
from orchestration.incidents.commands.manual_escalation import Escalate
from orchestration.incidents.commands.merge import Merge
from orchestration.incidents.commands.mitigation import (
    BeginMitigation,
    BeginVerification,
    MarkMitigated,
    RecordAction,
    RecordFailedMitigation,
    RecordProof,
)
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.commands.suppression import Suppress
from orchestration.incidents.condition import ConditionStatus
from orchestration.incidents.escalation import IncidentTimer, due_times, rules_due
from orchestration.incidents.lifecycle import Correlation
from orchestration.incidents.model import MOVES, Actor, Incident, IncidentRefusedError, ReviewField
from orchestration.incidents.report import BlastRadius, Facts
from orchestration.notifications.notice import NoticeKind
from tests.support.incidents import ADA, ALL_AGENTS, HALF, MACHINE, NOON, ONE_AGENT, a_report, declared, some_settings

SETTINGS = some_settings()
FACTS = st.sampled_from([Facts(has_workaround=True), ONE_AGENT, HALF, ALL_AGENTS, Facts(data_loss=True)])
BLASTS = st.sampled_from([BlastRadius(), BlastRadius(agents=("planner",)), BlastRadius(providers=("a", "b"))])
STATUSES = {status.value for status in IncidentStatus}
PEOPLE = st.sampled_from([ADA, MACHINE])
RECOVER = DutyRequest(DutyKind.RECOVER_RUN, "run-1", "resume run-1")
KEYS = ("agent:executor", "agent:planner")
WORK: dict[str, Callable[[IncidentChange], None]] = {
    "acknowledge": Acknowledge().apply,
    "note": AddNote(text="seen").apply,
    "begin mitigation": BeginMitigation(text="restart").apply,
    "mitigation failed": RecordFailedMitigation(reason="no better").apply,
    "mitigated": MarkMitigated("another provider").apply,
    "act": RecordAction().apply,
    "leave a duty": RecordAction((RECOVER,)).apply,
    "prove": RecordProof("the restart helped").apply,
    "resolve by itself": Resolve("it is over").apply,
    "do the duty": CompleteDuty(1, "the run has succeeded").apply,
    "dismiss the duty": DismissDuty(1, "not needed").apply,
    "begin verification": BeginVerification(how="watch").apply,
    "escalate": Escalate(level=2, reason="help").apply,
}
ENDS: dict[str, Callable[[IncidentChange], None]] = {
    "resolve": Resolve(resolution="mended", anyway=True).apply,
    "reopen": partial(lifecycle.reopen, reason="again"),
    "close": Close().apply,
    **{field.value: WriteReview(field=field, text="none").apply for field in ReviewField},
}
ASIDE: dict[str, Callable[[IncidentChange], None]] = {
    "cancel": CancelIncident(reason="false alarm").apply,
    "merge": Merge(into="inc-2").apply,
}


class AnIncident(RuleBasedStateMachine):
    """One incident, its whole timeline, and the time."""

    incident: Incident
    now: datetime

    @initialize(facts=FACTS)
    def begin(self, facts: Facts) -> None:
        turn = declared(a_report(facts))
        self.now, self.incident, self.entries = NOON, turn.incident, list(turn.entries)
        self.steps = [f"{each.step}:{contact.id}" for each in turn.notifications for contact in each.contacts]
        self.firing = {KEYS[0]}

    @rule(name=st.sampled_from(sorted(WORK)), actor=PEOPLE)
    def work(self, name: str, actor: Actor) -> None:
        self._turn(WORK[name], actor)

    @rule()
    def acknowledge(self) -> None:
        self._turn(Acknowledge().apply, ADA)

    @rule()
    def mitigate_and_verify(self) -> None:
        self._turn(WORK["begin mitigation"], MACHINE)
        self._turn(WORK["begin verification"], MACHINE)

    @rule(name=st.sampled_from(sorted(ENDS)))
    def end(self, name: str) -> None:
        self._turn(ENDS[name], ADA)

    @precondition(lambda self: self.incident.status is IncidentStatus.RESOLVED)
    @rule()
    def review(self) -> None:
        for field in ReviewField:
            self._turn(ENDS[field.value], ADA)

    @precondition(lambda self: len(self.entries) > 12)
    @rule(name=st.sampled_from(sorted(ASIDE)))
    def put_aside(self, name: str) -> None:
        self._turn(ASIDE[name], ADA)

    @rule(severity=st.sampled_from(Severity), actor=PEOPLE)
    def change_severity(self, severity: Severity, actor: Actor) -> None:
        before = self.incident.severity
        self._turn(ChangeSeverity(severity, "judged anew").apply, actor)
        assert actor.human or not before.worse_than(self.incident.severity)

    @rule(facts=FACTS, blast=BLASTS, key=st.sampled_from(KEYS), duties=st.sampled_from([(), (RECOVER,)]))
    def see(self, facts: Facts, blast: BlastRadius, key: str, duties: tuple[DutyRequest, ...]) -> None:
        """The second key is that of an incident which was merged into this one."""
        before = self.incident
        report = a_report(facts, self.now, key=key, blast_radius=blast, duties=duties)
        match lifecycle.correlate(before, report, SETTINGS):
            case Correlation.JOINS:
                self._turn(partial(lifecycle.absorb, report=report), MACHINE)
                self.firing.add(key)
            case Correlation.REOPENS:
                self._turn(partial(lifecycle.reopen, reason="seen again"), MACHINE)
                self._turn(partial(lifecycle.absorb, report=report), MACHINE)
                self.firing = {key}
        assert not before.severity.worse_than(self.incident.severity)

    @rule(key=st.sampled_from(KEYS), observed=st.booleans())
    def clear(self, key: str, observed: bool) -> None:
        self._turn(partial(conditions.clear, key=key, observed=observed, at=self.now), MACHINE)
        if observed:
            self.firing.discard(key)

    @rule(minutes=st.integers(1, 100))
    def suppress(self, minutes: int) -> None:
        until = self.now + timedelta(minutes=minutes)
        self._turn(Suppress(until=until, reason="maintenance").apply, ADA)

    @rule(seconds=st.sampled_from([1, 30, 600, 3600, 4 * 3600, 86_400, 40 * 86_400]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self._due())
    @rule(data=st.data())
    def fire(self, data: st.DataObject) -> None:
        timer, severity = data.draw(st.sampled_from(self._due())), self.incident.severity
        before = len(self.entries)
        self._turn(partial(timers.fire, timer=timer), Actor("timer"))
        assert timer not in self._due(), "it would be fired for ever"
        assert len(self.entries) > before or timer is IncidentTimer.PAGE
        assert self.incident.severity is severity

    @invariant()
    def its_states_follow_one_another(self) -> None:
        status = IncidentStatus.DETECTED
        for entry in self.entries:
            if "from" in entry.data and entry.kind in STATUSES:
                following = IncidentStatus(entry.kind)
                assert entry.data["from"] == status.value
                assert following in MOVES[status]
                status = following
        assert status is self.incident.status

    @invariant()
    def its_times_are_in_order(self) -> None:
        times = [entry.at for entry in self.entries]
        assert times == sorted(times)
        one = self.incident
        if one.resolved_at is not None:
            marks = [one.detected_at, one.mitigated_at, one.verified_at, one.resolved_at, one.closed_at]
            known = [mark for mark in marks if mark is not None]
            assert known == sorted(known)

    @invariant()
    def nothing_waits_for_what_is_over(self) -> None:
        waiting = set(due_times(self.incident, SETTINGS))
        if not self.incident.status.is_open:
            assert waiting <= {IncidentTimer.RECORD, IncidentTimer.REVIEW, IncidentTimer.WATCH}
        if self.incident.acknowledged:
            assert IncidentTimer.PAGE not in waiting
        if self.incident.status in (IncidentStatus.CANCELLED, IncidentStatus.MERGED):
            assert not waiting

    @invariant()
    def no_message_has_the_step_of_another(self) -> None:
        assert len(self.steps) == len(set(self.steps))

    @invariant()
    def every_rule_that_holds_has_been_applied_once(self) -> None:
        assert len(self.incident.escalated) == len(set(self.incident.escalated))
        moment = self.incident.changed_at
        assert not rules_due(self.incident, SETTINGS, moment)

    def _turn(self, handling: Callable[[IncidentChange], None], actor: Actor) -> None:
        turn = IncidentChange(self.incident, SETTINGS, self.now, actor)
        try:
            handling(turn)
        except IncidentRefusedError:
            return
        turn.finish()
        self.steps += [f"{each.step}:{contact.id}" for each in turn.notifications for contact in each.contacts]
        self._assert_the_end_is_told(turn)
        self._assert_it_is_repaired(turn)
        self.incident = replace(turn.incident, version=self.incident.version + int(turn.changed))
        self.entries += turn.entries

    def _assert_the_end_is_told(self, turn: IncidentChange) -> None:
        ends = {IncidentStatus.RESOLVED: NoticeKind.RESOLVED, IncidentStatus.CANCELLED: NoticeKind.CANCELLED}
        kind = ends.get(turn.incident.status)
        if kind is None or turn.incident.status is self.incident.status:
            return
        told = {contact.id for each in turn.notifications if each.kind is kind for contact in each.contacts}
        assert told == set(self.incident.notified)
        assert turn.stops_pages

    def _assert_it_is_repaired(self, turn: IncidentChange) -> None:
        """By itself the system resolves only what was seen to be gone, with every duty ended."""
        after = turn.incident
        if after.status is not IncidentStatus.RESOLVED or self.incident.status is IncidentStatus.RESOLVED:
            return
        assert not after.open_duties
        if turn.actor.human:
            left = [each for each in resolution.blockers(self.incident) if each.kind.binds_people]
            assert (after.ended_by is IncidentEnd.WORKAROUND) is bool(left)
        else:
            # What fell silent counts as gone only where a proof or an ended duty stood in for the observation.
            silent = {key for key, one in after.conditions.items() if one.status is ConditionStatus.SILENT}
            assert self.firing <= silent
            assert not silent or after.proven or after.duties

    def _due(self) -> list[IncidentTimer]:
        return [timer for timer, due in due_times(self.incident, SETTINGS).items() if due <= self.now]


TestAnIncident = AnIncident.TestCase
TestAnIncident.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

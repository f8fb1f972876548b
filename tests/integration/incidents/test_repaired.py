"""Whatever is reported, done and restarted, in whatever order: by itself the system resolves nothing whose source still
fires, whose end nobody has observed, or whose duty is open."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestration.domain.duty import DutyKind, DutyOwner, DutyRequest
from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.duties import CompleteDuty, DismissDuty
from orchestration.incidents.commands.merge import Merge
from orchestration.incidents.commands.mitigation import BeginMitigation, MarkMitigated, RecordAction, RecordProof
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.response import BeginResponse, EndResponse
from orchestration.incidents.condition import ConditionStatus
from orchestration.incidents.model import Incident, IncidentRefusedError, Refusal
from orchestration.notifications.notice import NoticeKind
from tests.integration.incidents.conftest import Room
from tests.support.database import migrated
from tests.support.incidents import ADA, MACHINE, NOON, a_report, after

KEYS = ("agent:executor", "agent:planner", "provider:first")
RECOVER = DutyRequest(DutyKind.RECOVER_RUN, "run-1", "resume run-1")
ROTATE = DutyRequest(DutyKind.ROTATE_CREDENTIAL, "token in notes.md", "rotate the token")
COMMANDS = {
    "begin mitigation": BeginMitigation("restart"),
    "act": RecordAction(),
    "act and owe": RecordAction((RECOVER,)),
    "prove": RecordProof("the restart helped"),
    "resolve": Resolve("it is over"),
}


class SeveralProblems(RuleBasedStateMachine):
    """Three sources, the incidents about them, and a service that is restarted."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name)
        self.room = Room(migrated(f"sqlite:///{path}/o.db"), path)
        self.now = NOON
        self.firing: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "room"):
            self.room.database.close()
            self.folder.cleanup()

    @rule(key=st.sampled_from(KEYS), duties=st.sampled_from([(), (RECOVER,), (ROTATE,)]))
    def fire(self, key: str, duties: tuple[DutyRequest, ...]) -> None:
        self.let_pass(1)
        self.room.service.open_or_join(a_report(at=self.now, key=key, duties=duties))
        self.firing.add(key)

    @rule(key=st.sampled_from(KEYS), observed=st.booleans())
    def end(self, key: str, observed: bool) -> None:
        self.let_pass(1)
        self.room.service.mark_cleared(key, self.now, observed=observed)
        if observed:
            self.firing.discard(key)

    @rule(name=st.sampled_from(sorted(COMMANDS)), number=st.integers(0, 2))
    def automation(self, name: str, number: int) -> None:
        self._execute(number, MACHINE, COMMANDS[name])

    @rule(number=st.integers(0, 2), duty=st.integers(1, 3), done=st.booleans())
    def duty(self, number: int, duty: int, done: bool) -> None:
        self._execute(number, ADA, CompleteDuty(duty, "seen") if done else DismissDuty(duty, "not needed"))

    @rule(number=st.integers(0, 2), into=st.integers(0, 2))
    def merge(self, number: int, into: int) -> None:
        incidents = self._incidents()
        if into < len(incidents) and into != number:
            self._execute(number, ADA, Merge(incidents[into].id))

    @rule(number=st.integers(0, 2))
    def reopen(self, number: int) -> None:
        self._execute(number, ADA, Reopen("it is still broken"))

    @rule(seconds=st.sampled_from([1, 30, 3600, 90_000]))
    def let_pass(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.room.go_to(self.now)

    @rule()
    def timers(self) -> None:
        self.room.tick(self.now)

    @rule()
    def restart(self) -> None:
        self.room.service = self.room.new_service()

    @invariant()
    def what_was_resolved_is_repaired(self) -> None:
        for incident in self._incidents() if hasattr(self, "room") else ():
            if incident.status is not IncidentStatus.RESOLVED or incident.ended_by is not IncidentEnd.PROOF:
                continue
            assert not incident.open_duties
            assert not incident.asserted_by
            silent = {key for key, one in incident.conditions.items() if one.status is ConditionStatus.SILENT}
            assert not any(one.fires for one in incident.conditions.values())
            assert not silent or incident.duties or incident.proven

    @invariant()
    def what_fires_has_an_open_incident_unless_a_person_has_ended_it(self) -> None:
        for incident in self._incidents() if hasattr(self, "room") else ():
            if incident.status is IncidentStatus.RESOLVED and incident.ended_by is IncidentEnd.PROOF:
                silent = {key for key, one in incident.conditions.items() if one.status is ConditionStatus.SILENT}
                newer = {each.key for each in self._incidents() if each.status.is_open}
                assert not (self.firing & set(incident.conditions)) - silent - newer - self._keys_of_open()

    def _keys_of_open(self) -> set[str]:
        return {key for each in self._incidents() if each.status.is_open for key in each.known_conditions}

    def _incidents(self) -> list[Incident]:
        rows = self.room.service.records.table.list(limit=50)
        return sorted((self.room.service.records.get(row.id) for row in rows), key=lambda one: one.id)

    def _execute(self, number: int, actor: object, command: object) -> None:
        incidents = self._incidents()
        if number < len(incidents):
            try:
                self.room.service.execute(incidents[number].id, actor, command)  # type: ignore[arg-type]
            except IncidentRefusedError:
                return


TestSeveralProblems = SeveralProblems.TestCase
TestSeveralProblems.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def test_a_merged_incident_is_open_until_all_of_its_alerts_have_cleared(room: Room) -> None:
    first = room.service.open_or_join(a_report(key="disk of web-1"))
    second = room.service.open_or_join(a_report(key="latency of web-2"))
    room.service.execute(second.id, ADA, Merge(first.id))
    room.service.mark_cleared("latency of web-2", after(seconds=1))
    room.tick(after(minutes=5))
    merged = room.service.records.get(first.id)
    assert merged.status.is_open
    assert "resolved" not in room.kinds(merged)
    # Whoever heard of the second is told where it went; for a paging service that ends its alert.
    assert {row.kind for row in room.rows(second)} >= {NoticeKind.INITIAL.value, NoticeKind.MERGED.value}
    room.service.mark_cleared("disk of web-1", after(minutes=6))
    room.tick(after(minutes=7))
    assert room.service.records.get(first.id).ended_by is IncidentEnd.PROOF


def test_a_failed_run_keeps_its_incident_open_however_long_nothing_is_heard_of_it(room: Room) -> None:
    incident = room.service.open_or_join(a_report(duties=(RECOVER,)))
    room.service.mark_cleared("agent:executor", after(minutes=15), observed=False)
    room.tick(after(days=3))
    assert room.service.records.get(incident.id).status.is_open
    room.service.execute(incident.id, ADA, DismissDuty(1, "the customer has withdrawn it"))
    room.tick(after(days=3, minutes=1))
    done = room.service.records.get(incident.id)
    assert (done.status, done.ended_by) == (IncidentStatus.RESOLVED, IncidentEnd.PERSON)


def test_a_workaround_is_shown_as_mitigated_and_ends_with_the_problem(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    reroute = DutyRequest(DutyKind.REMOVE_WORKAROUND, "ovr-1", "use first again")
    room.service.execute(incident.id, MACHINE, BeginMitigation("another provider"))
    room.service.execute(incident.id, MACHINE, RecordAction((reroute,)))
    room.service.execute(incident.id, MACHINE, RecordProof("all work goes to another provider"))
    room.tick(after(hours=1))
    mitigated = room.service.records.get(incident.id)
    assert (mitigated.status, mitigated.proof) == (IncidentStatus.MITIGATED, "all work goes to another provider")
    [entry] = [one for one in room.service.records.entries(incident.id) if one.kind == "mitigated"]
    assert entry.data["waits_for"] == ["its alert still fires (agent:executor)", "duty 1 is open: use first again"]
    room.service.mark_cleared("agent:executor", after(hours=2))
    room.service.execute(incident.id, MACHINE, CompleteDuty(1, "ovr-1 is not in force any more"))
    room.tick(after(hours=2, seconds=1))
    assert room.service.records.get(incident.id).ended_by is IncidentEnd.PROOF


def test_a_problem_that_returns_in_spite_of_the_workaround_is_answered_anew(room: Room) -> None:
    incident = room.service.open_or_join(a_report(duties=(ROTATE,)))
    room.service.execute(incident.id, MACHINE, BeginMitigation("restart"))
    room.service.mark_cleared("agent:executor", after(minutes=1))
    room.service.execute(incident.id, MACHINE, RecordProof("the restart helped"))
    assert room.service.records.get(incident.id).status is IncidentStatus.MITIGATED
    again = room.service.open_or_join(a_report(at=after(minutes=2)))
    assert (again.id, again.status, again.responses) == (incident.id, IncidentStatus.DETECTED, 1)
    assert not again.proven


def test_a_problem_that_goes_on_returning_is_handed_over(room: Room) -> None:
    incident = room.service.open_or_join(a_report(duties=(ROTATE,)))
    for number in range(3):
        room.service.execute(incident.id, MACHINE, BeginMitigation("ask it again"))
        room.service.mark_cleared("agent:executor", after(minutes=2 * number + 1))
        room.service.execute(incident.id, MACHINE, RecordProof("it answers again"))
        escalated = [one for one in room.service.records.entries(incident.id) if one.kind == "escalated"]
        assert not escalated
        room.service.open_or_join(a_report(at=after(minutes=2 * number + 2)))
    assert room.service.records.get(incident.id).failed_attempts == 3
    [entry] = [one for one in room.service.records.entries(incident.id) if one.kind == "escalated"]
    assert entry.data["reason"] == "it persists after the attempts to mitigate it"


def test_an_action_after_the_observation_asks_for_another_one(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.service.mark_cleared("agent:executor", after(seconds=10))
    room.go_to(after(seconds=35))
    room.service.execute(incident.id, MACHINE, RecordAction())
    room.tick(after(seconds=60))
    assert room.service.records.get(incident.id).status.is_open
    room.tick(after(seconds=65))
    assert room.service.records.get(incident.id).status is IncidentStatus.RESOLVED


def test_a_person_is_told_what_is_left_and_may_end_it_all_the_same(room: Room) -> None:
    incident = room.service.open_or_join(a_report(duties=(RECOVER,)))
    with pytest.raises(
        IncidentRefusedError, match=r"its alert still fires .*; duty 1 is open: resume run-1"
    ) as refused:
        room.service.execute(incident.id, ADA, Resolve("mended"))
    assert refused.value.reason is Refusal.NOT_REPAIRED
    ended = room.service.execute(incident.id, ADA, Resolve("the run is not needed", anyway=True))
    assert (ended.ended_by, ended.duties[0].evidence) == (IncidentEnd.WORKAROUND, "the run is not needed")


def test_what_a_person_has_reopened_only_a_person_ends(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.resolve(incident.id)
    room.service.execute(incident.id, ADA, Reopen("it is still broken"))
    room.service.execute(incident.id, MACHINE, RecordProof("it passed by itself"))
    room.tick(after(days=2))
    assert room.service.records.get(incident.id).status is IncidentStatus.MITIGATED
    room.service.execute(incident.id, ADA, Resolve("replaced the cable"))
    assert room.service.records.get(incident.id).ended_by is IncidentEnd.PERSON


def test_nobody_is_paged_for_a_workaround_that_ends_by_itself(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.service.execute(incident.id, MACHINE, BeginMitigation("another provider"))
    reroute = DutyRequest(DutyKind.REMOVE_WORKAROUND, "ovr-1", "use first again", DutyOwner.AUTOMATION)
    room.service.execute(incident.id, MACHINE, RecordAction((reroute,)))
    room.service.execute(incident.id, MACHINE, RecordProof("all work goes to another provider"))
    room.tick(after(hours=2))
    assert "paged" not in room.kinds(incident)
    room.service.execute(incident.id, MACHINE, CompleteDuty(1, "the override has expired"))
    room.tick(after(hours=3))
    assert "paged" in room.kinds(incident), "the provider is still away, and nothing carries its load any more"
    room.service.execute(incident.id, ADA, Acknowledge())


def test_a_workaround_that_a_person_has_put_in_place_keeps_it_open(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    marked = room.service.execute(incident.id, ADA, MarkMitigated("by hand from the other site"))
    assert (marked.status, marked.proof) == (IncidentStatus.MITIGATED, "by hand from the other site")
    room.tick(after(days=1))
    assert room.service.records.get(incident.id).status is IncidentStatus.MITIGATED


def test_a_response_that_has_changed_something_is_waited_for(room: Room) -> None:
    incident = room.service.open_or_join(a_report())
    room.service.execute(incident.id, MACHINE, BeginResponse("response-1"))
    room.service.execute(incident.id, MACHINE, RecordAction())
    room.service.mark_cleared("agent:executor", after(seconds=1))
    room.tick(after(minutes=30))
    assert room.service.records.get(incident.id).status.is_open
    room.service.execute(incident.id, MACHINE, EndResponse("an earlier one"))
    room.tick(after(minutes=31))
    assert room.service.records.get(incident.id).status.is_open
    room.service.execute(incident.id, MACHINE, EndResponse("response-1"))
    room.tick(after(minutes=32))
    assert room.service.records.get(incident.id).ended_by is IncidentEnd.PROOF

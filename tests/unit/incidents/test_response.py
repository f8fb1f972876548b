"""What people and automation do while it is open, and the rules that escalate by themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial

import pytest

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents import lifecycle
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.action_items import AddActionItem, CompleteActionItem
from orchestration.incidents.commands.assignment import Assign
from orchestration.incidents.commands.closure import Close
from orchestration.incidents.commands.duties import CompleteDuty
from orchestration.incidents.commands.estimate import SetEstimate
from orchestration.incidents.commands.impact import SetImpact
from orchestration.incidents.commands.manual_escalation import Escalate, EscalateUnlessAcknowledged
from orchestration.incidents.commands.merge import absorb
from orchestration.incidents.commands.mitigation import (
    BeginMitigation,
    BeginVerification,
    RecordFailedMitigation,
)
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.escalation import EscalationRule, IncidentTimer, due_times
from orchestration.incidents.model import IncidentRefusedError, Refusal
from orchestration.incidents.report import BlastRadius, Facts, TroubleReport
from orchestration.incidents.severity import SeverityReason
from orchestration.incidents.unit_of_work import Handling
from tests.support.incidents import (
    ADA,
    ALL_AGENTS,
    HALF,
    MACHINE,
    NOON,
    a_report,
    after,
    declared,
    said,
    some_settings,
    turned,
)

SETTINGS = some_settings()


def test_a_persons_acknowledgement_stops_the_pages_and_the_clock_and_tells_the_others() -> None:
    turn = turned(declared().incident, Acknowledge().apply, at=after(minutes=5))
    incident = turn.incident
    assert turn.stops_pages
    assert (incident.status, incident.acknowledged_by) == (IncidentStatus.ACKNOWLEDGED, "ada")
    assert incident.acknowledged_at == incident.clock.acknowledged_at == after(minutes=5)
    assert said(turn) == [("acknowledged", "ack-1", ("ada",))]
    assert set(due_times(incident, SETTINGS)) == {
        IncidentTimer.UPDATE,
        IncidentTimer.RESOLUTION_AT_RISK,
        IncidentTimer.RESOLUTION_BREACHED,
    }


def test_automations_acknowledgement_is_kept_apart_and_stops_nothing() -> None:
    turn = turned(declared().incident, Acknowledge().apply, actor=MACHINE, at=after(seconds=2))
    assert (turn.incident.automation_at, turn.incident.acknowledged_at) == (after(seconds=2), None)
    assert not turn.stops_pages
    assert IncidentTimer.PAGE in due_times(turn.incident, SETTINGS)
    assert [entry.kind for entry in turn.entries] == ["acknowledged-automatically"]
    taken = turned(turn.incident, Acknowledge().apply, at=after(minutes=1)).incident
    assert (taken.automation_at, taken.acknowledged_at) == (after(seconds=2), after(minutes=1))


def test_an_acknowledgement_while_automation_works_does_not_disturb_it() -> None:
    working_on = turned(declared().incident, BeginMitigation(text="restart").apply, actor=MACHINE).incident
    taken = turned(working_on, Acknowledge().apply).incident
    assert (taken.status, taken.acknowledged) == (IncidentStatus.MITIGATING, True)
    assert (taken.automation_at, taken.acknowledged_by) == (NOON, "ada")


@pytest.mark.parametrize(
    ("handling", "reason"),
    [
        (Acknowledge().apply, Refusal.ALREADY_DONE),
        (Assign(contact="ada").apply, Refusal.ALREADY_DONE),
        (ChangeSeverity(severity=Severity.P2, reason="").apply, Refusal.ALREADY_DONE),
        (CompleteDuty(7, "done").apply, Refusal.NO_SUCH_DUTY),
        (Resolve("mended").apply, Refusal.NOT_REPAIRED),
        (BeginVerification(how="").apply, Refusal.ILLEGAL_MOVE),
        (partial(absorb, other=declared().incident), Refusal.INTO_ITSELF),
        (CompleteActionItem(number=7).apply, Refusal.NO_SUCH_ACTION),
        (Close().apply, Refusal.ILLEGAL_MOVE),
        (partial(lifecycle.reopen, reason=""), Refusal.ILLEGAL_MOVE),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(handling: Handling, reason: Refusal) -> None:
    incident = turned(declared().incident, Acknowledge().apply).incident
    incident = replace(incident, assignee="ada", mitigated_at=NOON)
    with pytest.raises(IncidentRefusedError) as refused:
        turned(incident, handling)
    assert refused.value.reason is reason


def test_only_a_person_lowers_a_severity() -> None:
    lower = ChangeSeverity(severity=Severity.P3, reason="it looks fine").apply
    with pytest.raises(IncidentRefusedError) as refused:
        turned(declared().incident, lower, actor=MACHINE)
    assert refused.value.reason is Refusal.ONLY_A_PERSON
    lowered = turned(declared().incident, lower).incident
    assert (lowered.severity, lowered.clock.response_due) == (Severity.P3, after(days=1, hours=5))


def test_attempts_are_kept_for_everybody_who_is_told_and_after_three_failures_the_lead_is() -> None:
    incident = declared().incident
    for number in (1, 2, 3):
        incident = turned(incident, BeginMitigation(text=f"try {number}").apply, actor=MACHINE).incident
        incident = turned(incident, BeginVerification(how="watch").apply, actor=MACHINE).incident
        assert incident.mitigated_at is not None
        turn = turned(incident, RecordFailedMitigation(reason="still failing").apply, actor=MACHINE)
        incident = turn.incident
        assert bool(turn.notifications) is (number == 3)
    assert incident.attempted_actions == ("try 1", "try 2", "try 3")
    assert (incident.status, incident.mitigated_at) == (IncidentStatus.MITIGATING, None)
    assert [(each.reason, each.lasting) for each in turn.notifications] == [(EscalationRule.PERSISTS.sentence, True)]
    assert said(turn) == [("escalation", "rule-1", ("ben",))]
    assert not turned(incident, RecordFailedMitigation(reason="again").apply).notifications


@pytest.mark.parametrize(
    ("report", "rules"),
    [
        (a_report(), []),
        (a_report(blast_radius=BlastRadius(agents=("a", "b"))), [EscalationRule.SEVERAL_SYSTEMS]),
        (a_report(blast_radius=BlastRadius(providers=("a", "b"))), [EscalationRule.SEVERAL_SYSTEMS]),
        (a_report(blast_radius=BlastRadius(runs=("a", "b"))), []),
        (a_report(Facts(data_loss=True)), [EscalationRule.DATA_OR_SECURITY]),
        (a_report(scenario=Scenario.SECURITY_ALERT), [EscalationRule.DATA_OR_SECURITY]),
        (a_report(Facts(secret_exposed=True)), [EscalationRule.DATA_OR_SECURITY]),
    ],
)
def test_rules_that_hold_at_detection_escalate_at_once(report: TroubleReport, rules: list[EscalationRule]) -> None:
    turn = declared(report)
    escalations = [entry.data for entry in turn.entries if entry.kind == "escalated"]
    assert [(each["rule"], each["level"]) for each in escalations] == [(rule.value, rule.level) for rule in rules]


def test_security_is_told_at_once_and_an_acknowledgement_does_not_hold_that_back() -> None:
    turn = declared(a_report(Facts(access_refused=True)))
    assert said(turn) == [("initial", "initial-1", ("ada",)), ("escalation", "rule-0", ("sec",))]
    assert [each.lasting for each in turn.notifications] == [False, True]


def test_nobody_is_told_twice_of_the_same_moment() -> None:
    turn = declared(a_report(Facts(breach=True)))
    assert said(turn) == [("initial", "initial-1", ("ada", "ben", "cleo", "sec"))]
    assert [entry.kind for entry in turn.entries] == ["detected", "escalated"]


def test_an_estimate_beyond_the_target_goes_to_the_project_manager_once() -> None:
    turn = turned(declared().incident, SetEstimate(eta=after(days=4)).apply)
    assert said(turn) == [("escalation", "rule-4", ("cleo",))]
    assert not turned(turn.incident, SetEstimate(eta=after(days=5)).apply).notifications
    assert not turned(declared().incident, SetEstimate(eta=after(days=1)).apply).notifications


def test_a_rise_by_hand_tells_the_new_audience_and_the_lead_once() -> None:
    rise = ChangeSeverity(severity=Severity.P0, reason="all customers").apply
    turn = turned(declared().incident, rise)
    assert said(turn) == [("update", "P0-0", ("ada",)), ("initial", "P0-0", ("ben", "cleo", "sec"))]
    assert [entry.kind for entry in turn.entries] == ["severity-raised", "escalated"]
    assert turn.incident.severity_reason is SeverityReason.DECLARED


def test_a_level_can_be_told_by_hand() -> None:
    turn = turned(declared().incident, Escalate(level=3, reason="customers are calling").apply)
    assert said(turn) == [("escalation", "hand3-0", ("cleo",))]


def test_the_impact_and_its_start_can_be_said_later() -> None:
    turn = turned(declared().incident, SetImpact(text="two customers", started_at=after(minutes=-5)).apply)
    assert (turn.incident.impact, turn.incident.impact_started_at) == ("two customers", after(minutes=-5))


def test_a_merged_incident_takes_the_other_ones_people_and_severity_in() -> None:
    other = replace(declared(a_report(ALL_AGENTS, fingerprints=("f-9",))).incident, id="inc-2")
    turn = turned(declared().incident, partial(absorb, other=other))
    assert turn.incident.notified == ("ada", "ben", "cleo", "sec")
    assert turn.incident.fingerprints == ("f-1", "f-9")
    assert turn.incident.severity is Severity.P0


def test_an_action_item_is_added_and_ticked_off_once() -> None:
    add = AddActionItem(text="alert on the queue", owner="ben", due=date(2026, 3, 20)).apply
    incident = turned(declared().incident, add).incident
    done = turned(incident, CompleteActionItem(number=1).apply, at=after(days=1)).incident
    assert (done.actions[0].done_at, done.actions[0].done_by) == (after(days=1), "ada")
    with pytest.raises(IncidentRefusedError, match="was done by ada already"):
        turned(done, CompleteActionItem(number=1).apply)


def test_a_turn_that_does_nothing_writes_nothing() -> None:
    turn = IncidentChange(declared(a_report(HALF)).incident, SETTINGS, NOON, ADA)
    turn.finish()
    assert not turn.changed
    assert turn.incident.changed_at == NOON


def test_automation_does_not_page_anybody_again_who_was_paged_just_now_and_a_person_may() -> None:
    incident = declared(a_report(HALF)).incident
    assert said(turned(incident, Escalate(level=2, reason="r").apply, at=after(seconds=1), actor=MACHINE)) == []
    by_person = turned(incident, Escalate(level=2, reason="r").apply, at=after(seconds=1))
    assert [names for _, _, names in said(by_person)] == [("ben",)]
    later = turned(incident, Escalate(level=2, reason="r").apply, at=after(minutes=5), actor=MACHINE)
    assert [names for _, _, names in said(later)] == [("ben",)]
    assert [entry.kind for entry in later.entries] == ["escalated"]


def test_an_escalation_reaches_those_whose_page_was_stopped_by_an_acknowledgement() -> None:
    incident = turned(declared(a_report(HALF)).incident, Acknowledge().apply, at=after(seconds=1)).incident
    again = turned(incident, Escalate(level=2, reason="r").apply, at=after(seconds=2), actor=MACHINE)
    assert [names for _, _, names in said(again)] == [("ben",)]


def test_what_is_only_worth_a_page_while_nobody_has_it_is_noted_afterwards() -> None:
    call = EscalateUnlessAcknowledged(level=2, reason="r").apply
    incident = declared(a_report(HALF)).incident
    assert [names for _, _, names in said(turned(incident, call, at=after(minutes=6), actor=MACHINE))] == [("ben",)]
    taken = turned(incident, Acknowledge().apply, at=after(seconds=1)).incident
    turn = turned(taken, call, at=after(minutes=6), actor=MACHINE)
    assert said(turn) == []
    assert [entry.data for entry in turn.entries] == [{"text": "level 2 was not paged, since user ada has it: r"}]

"""How a blind drill is judged: each demand apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills.blind.collection import differences
from orchestration.drills.blind.dice import Dice
from orchestration.drills.blind.observation import BlindObservation, SeenAction, SeenIncident
from orchestration.drills.blind.plan import BlindPlan
from orchestration.drills.blind.primitives import DrawnFault, find_primitive
from orchestration.drills.blind.report import BlindThresholds, in_words, parse_thresholds, rates, shortfalls
from orchestration.drills.blind.session import BlindResult
from orchestration.drills.blind.verdict import BlindVerdict, judge
from orchestration.drills.observation import ObservedWork
from orchestration.errors import UsageError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DONE = ObservedWork(succeeded=True, judged=True, status="succeeded", steps=20)
FAILED = ObservedWork(succeeded=False, status="failed", steps=20)
OUTAGE = SeenIncident(
    Scenario.PROVIDER_UNAVAILABLE, Severity.P2, "Provider primary is unavailable", False, 1.0, 5.0, ("unreachable",)
)


def a_fault(name: str, **values: Any) -> DrawnFault:
    drawn = find_primitive(name).draw(Dice(name), 1.0)
    return replace(drawn, lasts=None, values={**drawn.values, **values})


def judged(*faults: DrawnFault, work: ObservedWork = DONE, **seen: Any) -> BlindVerdict:
    return judge(BlindPlan(1, 1, faults), BlindObservation(9.0, work, **seen))


KILLED = a_fault("provider-killed")


def test_an_outage_that_is_reported_named_and_got_over_has_no_miss() -> None:
    verdict = judged(KILLED, incidents=(OUTAGE,))
    assert (verdict.misses, verdict.detected, verdict.first_cause, verdict.ended) == ((), (1, 1), (1, 1), True)


def test_what_nobody_noticed_was_not_detected_and_has_no_cause_to_be_counted() -> None:
    verdict = judged(KILLED)
    assert (verdict.detected, verdict.cause) == ((0, 1), (0, 0))
    assert verdict.missed[0].startswith("not detected: provider-killed")


def test_the_second_cause_counts_as_among_the_first_two_only() -> None:
    verdict = judged(KILLED, incidents=(replace(OUTAGE, causes=("retired", "unreachable")),))
    assert (verdict.first_cause, verdict.cause) == ((0, 1), (1, 1))
    assert judged(KILLED, incidents=(replace(OUTAGE, causes=("retired", "x", "unreachable")),)).cause == (0, 1)


def test_without_a_fault_every_incident_is_false_and_every_page_harm() -> None:
    verdict = judged(incidents=(replace(OUTAGE, levels=(2,)),))
    assert verdict.ended is None
    assert len(verdict.false_incidents) == 1
    assert verdict.harm == ("level 2 paged for nothing",)


@pytest.mark.parametrize(
    ("action", "harm"),
    [
        (SeenAction("provider.route", "reroute", ("primary",)), False),
        (SeenAction("provider.route", "reroute", ("primary", "second")), True),
        (SeenAction("security.isolate", "isolate"), True),
        (SeenAction("an.action-of-tomorrow", "step"), True),
        (SeenAction("run.resume-waiting", "resume"), False),
    ],
)
def test_an_action_that_the_fault_does_not_justify_is_harm(action: SeenAction, harm: bool) -> None:
    assert bool(judged(KILLED, incidents=(replace(OUTAGE, actions=(action,)),)).harm) is harm


def test_taking_out_what_works_losing_and_repeating_steps_and_leaving_things_behind_is_harm() -> None:
    verdict = judged(
        KILLED,
        work=replace(DONE, lost=2, repeated=1),
        incidents=(OUTAGE,),
        opened=frozenset({"primary", "second"}),
        left=("process 7",),
    )
    assert verdict.harm == (
        "second was taken out of use and works",
        "2 committed steps lost",
        "1 committed steps repeated",
        "left behind: process 7",
    )


def test_a_refused_key_has_to_reach_the_level_that_can_replace_it() -> None:
    refused = a_fault("credential-refused", fault="401")
    incident = replace(OUTAGE, causes=("credentials-refused",))
    assert judged(refused, incidents=(incident,)).ended is False
    assert judged(refused, incidents=(replace(incident, levels=(2,)),)).ended is False
    assert judged(refused, incidents=(replace(incident, levels=(1,)),)).ended is True


def test_an_open_incident_that_nobody_has_is_not_ended() -> None:
    assert judged(KILLED, incidents=(replace(OUTAGE, is_open=True),)).ended is False
    assert judged(KILLED, incidents=(replace(OUTAGE, is_open=True, handed_over=True),)).ended is True


def test_work_may_fail_only_where_it_could_not_be_done_and_somebody_hears_of_it() -> None:
    broken = a_fault("tool-result-damaged")
    told = SeenIncident(Scenario.AGENT_FAILURE, Severity.P2, "Agent fails", True, 2.0, levels=(2,))
    assert judged(broken, work=FAILED).ended is False
    assert judged(broken, work=FAILED, incidents=(told,)).ended is True
    refused = replace(FAILED, judged=True, status="not-approved")
    assert judged(broken, work=refused).ended is True
    assert judged(KILLED, work=FAILED, incidents=(replace(OUTAGE, levels=(2,)),)).ended is False


def test_another_result_is_silently_wrong_only_where_the_work_says_that_it_succeeded() -> None:
    assert judged(KILLED, incidents=(OUTAGE,), differs=("plan.md",)).silently_wrong == ("plan.md",)
    assert judged(KILLED, incidents=(OUTAGE,), work=FAILED, differs=("plan.md",)).silently_wrong == ()


def test_results_are_compared_by_name() -> None:
    assert differences({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ("b", "c")


def a_result(verdict: BlindVerdict, *faults: DrawnFault) -> BlindResult:
    return BlindResult(BlindPlan(1, 1, faults), NOW, BlindObservation(9.0, DONE), verdict, None)


def test_rates_come_with_their_cases_and_fail_below_the_thresholds() -> None:
    good, missed, false = judged(KILLED, incidents=(OUTAGE,)), judged(KILLED), judged(incidents=(OUTAGE,))
    found = rates([a_result(good, KILLED), a_result(missed, KILLED), a_result(false), a_result(judged())])
    assert (found.detected, found.first_cause, found.ended) == ((1, 2), (1, 1), (2, 2))
    assert (found.quiet, found.false_incidents, found.unexplained) == (2, 1, 0)
    assert "detected, of the faults that had to be: 50 % (1 of 2)" in in_words(found)
    assert shortfalls(found, BlindThresholds()) == ("detected: expected at least 95 %, got 50 % (1 of 2)",)
    assert shortfalls(found, parse_thresholds(["detected=50", "false_incidents=0"])) == (
        "false_incidents: expected at most 0, got 1",
    )


@pytest.mark.parametrize("text", ["speed=1", "harm=few", "harm"])
def test_a_threshold_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        parse_thresholds([text])

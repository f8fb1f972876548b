"""What was declared beside what was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestration.domain.duty import DutyKind
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills.expectation import DrillExpectation, DrillOutcome
from orchestration.drills.observation import DrillObservation, ObservedAction, ObservedResponse, ObservedWork
from orchestration.drills.scoring import ScoringMiss, median_resolution, score

PROVIDER = Scenario.PROVIDER_UNAVAILABLE
REPAIRED = DrillExpectation(DrillOutcome.REPAIRED, PROVIDER, Severity.P2, helped="use-fallback", finds=("probe",))
HANDED_OVER = DrillExpectation(
    DrillOutcome.HANDED_OVER, PROVIDER, Severity.P2, level=2, asks=("config.last-good",), offers=("run.restart",)
)
ABSORBED = DrillExpectation(DrillOutcome.ABSORBED)

PROBED = ObservedAction("identify", "probe", "provider.probe", "done", "auto", "primary is down", findings=True)
RESTARTED = ObservedAction("mitigate", "restart", "run.restart", "done", "auto", "went on")
GOOD = ObservedResponse(
    "inc-1",
    PROVIDER,
    Severity.P2,
    "resolved",
    drill=True,
    detected_after=0.5,
    mitigated_after=1.0,
    resolved_after=4.5,
    playbook="provider-unavailable",
    state="helped",
    helped="use-fallback",
    actions=(PROBED, RESTARTED),
    stable=3.0,
)
CALLED = replace(GOOD, resolved_after=None, state="handed-over", helped=None, level=2, asked=("config.last-good",))
WORKED = ObservedWork(succeeded=True, status="succeeded", steps=40, calls=20, longest_tool=3.5)


def missed(
    expects: DrillExpectation, response: ObservedResponse | None, work: ObservedWork = WORKED, **values: object
) -> list[str]:
    seen = DrillObservation(seconds=5.0, response=response, work=work, **values)  # type: ignore[arg-type]
    return [miss.what for miss in score(expects, seen)]


@pytest.mark.parametrize(("expects", "response"), [(REPAIRED, GOOD), (HANDED_OVER, CALLED), (ABSORBED, None)])
def test_a_drill_that_went_as_expected_misses_nothing(
    expects: DrillExpectation, response: ObservedResponse | None
) -> None:
    assert missed(expects, response) == []


MENDED = replace(REPAIRED, mended=True)
ANSWERED = replace(REPAIRED, answers=("config.last-good",))
ASKED = replace(RESTARTED, action="config.last-good", mode="ask")


@pytest.mark.parametrize(
    ("expects", "change", "expected"),
    [
        (MENDED, {"repaired_after": 20.0, "resolved_after": 25.0}, []),
        (MENDED, {"repaired_after": 20.0, "resolved_after": 4.5}, ["resolved"]),
        # Fifteen seconds to see it, and as many for which everything has to stay clear.
        (MENDED, {"repaired_after": 20.0, "resolved_after": 50.0}, []),
        (MENDED, {"repaired_after": 20.0, "resolved_after": 54.0}, ["resolved"]),
        (MENDED, {"repaired_after": 20.0, "resolved_after": 25.0, "mitigated_after": 19.0}, ["mitigated"]),
        (MENDED, {}, ["mended"]),
        (replace(REPAIRED, duties=(DutyKind.RECOVER_RUN,)), {"duties_done_after": 30.0, "resolved_after": 34.0}, []),
        (ANSWERED, {"actions": (PROBED, ASKED), "answered_after": 3.0}, []),
        (ANSWERED, {"actions": (PROBED, ASKED), "answered_after": 8.0}, ["resolved"]),
        (ANSWERED, {}, ["answered"]),
        (replace(REPAIRED, contains="isolate"), {}, ["contained"]),
        (replace(REPAIRED, contains="isolate"), {"actions": (PROBED, replace(RESTARTED, option="isolate"))}, []),
        (
            replace(REPAIRED, contains="isolate"),
            {
                "actions": (
                    PROBED,
                    replace(RESTARTED, option="isolate"),
                    replace(RESTARTED, option="isolate", state="failed"),
                )
            },
            ["contained"],
        ),
    ],
)
def test_what_others_have_to_do_first_comes_before_the_resolution(
    expects: DrillExpectation, change: dict[str, object], expected: list[str]
) -> None:
    assert missed(expects, replace(GOOD, **change)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"scenario": Scenario.WORKFLOW_STUCK}, "scenario"),
        ({"severity": Severity.P1}, "severity"),
        ({"detected_after": 3.1}, "detected"),
        ({"resolved_after": None}, "resolved"),
        ({"resolved_after": 18.1}, "resolved"),
        ({"helped": "wait-with-fewer-calls"}, "helped"),
        ({"helped": None}, "helped"),
        ({"drill": False}, "marked"),
        ({"actions": (RESTARTED,)}, "evidence"),
        ({"actions": (PROBED, replace(RESTARTED, mode="ask"))}, "by itself"),
    ],
)
def test_each_thing_that_goes_wrong_with_a_repair_is_named(change: dict[str, object], what: str) -> None:
    assert missed(REPAIRED, replace(GOOD, **change)) == [what]  # type: ignore[arg-type]


def test_the_time_of_watching_does_not_count_against_the_resolution() -> None:
    assert missed(REPAIRED, replace(GOOD, resolved_after=17.9, stable=3.0)) == []
    assert missed(REPAIRED, replace(GOOD, resolved_after=17.9, stable=0.0)) == ["resolved"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"level": 1}, "level called"),
        ({"asked": ()}, "asks"),
        ({"actions": (PROBED,)}, "options"),
    ],
)
def test_each_thing_that_goes_wrong_with_a_call_is_named(change: dict[str, object], what: str) -> None:
    assert missed(HANDED_OVER, replace(CALLED, **change)) == [what]  # type: ignore[arg-type]


def test_a_person_who_was_not_called_at_all_is_missed() -> None:
    plain = DrillExpectation(DrillOutcome.HANDED_OVER, PROVIDER)
    assert missed(plain, replace(CALLED, level=0, asked=(), state="running")) == ["person"]


def test_without_an_incident_there_is_nothing_more_to_say() -> None:
    assert missed(REPAIRED, None) == ["detected"]


def test_what_should_be_absorbed_must_open_no_incident() -> None:
    assert missed(ABSORBED, GOOD) == ["incident"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"succeeded": False, "status": "failed"}, "work"),
        ({"lost": 1}, "steps lost"),
        ({"repeated": 1}, "committed steps repeated"),
        ({"calls_repeated": 1}, "model calls repeated"),
    ],
)
def test_work_that_is_lost_or_done_twice_fails_a_drill(change: dict[str, object], what: str) -> None:
    assert missed(REPAIRED, GOOD, replace(WORKED, **change)) == [what]  # type: ignore[arg-type]


def test_calls_may_be_repeated_as_often_as_was_declared() -> None:
    assert missed(replace(REPAIRED, calls_repeated=2), GOOD, replace(WORKED, calls_repeated=2)) == []


def test_work_that_is_not_expected_to_succeed_may_fail() -> None:
    assert missed(replace(REPAIRED, work_succeeds=False), GOOD, replace(WORKED, succeeded=False)) == []


def test_every_limit_follows_from_what_the_fault_is_like() -> None:
    """Detected within 2 s, repaired within 15 s, stopped within 1 s: beyond what no haste can help."""
    assert (REPAIRED.detected_within, REPAIRED.resolved_within, REPAIRED.stopped_within) == (3.0, 15.0, None)
    slow = replace(REPAIRED, holds=4.0, every=2.0, lasts=8.0, limit=3.0)
    assert (slow.detected_within, slow.resolved_within, slow.stopped_within) == (8.0, 27.0, 4.0)


@pytest.mark.parametrize(
    ("change", "work", "what"),
    [
        ({"detected_after": 4.9}, {}, "detected"),
        ({"resolved_after": 32.9}, {}, "resolved"),
        ({}, {"longest_tool": 4.9}, "stopped"),
    ],
)
def test_only_what_our_own_processes_need_is_widened_when_the_machine_is_slow(
    change: dict[str, object], work: dict[str, object], what: str
) -> None:
    """Twice as slow: 2 and 15 and 1 s more, and no more than that."""
    expects = replace(REPAIRED, limit=3.0)
    response, worked = replace(GOOD, **change), replace(WORKED, **work)  # type: ignore[arg-type]
    assert missed(expects, response, worked) == [what]
    assert missed(expects, response, worked, slowness=2.0) == []
    assert missed(expects, response, worked, slowness=1.5) == [what]


@pytest.mark.parametrize("took", [0.0, 4.1])
def test_a_tool_must_have_been_stopped_in_time_and_must_have_run(took: float) -> None:
    limited = replace(ABSORBED, limit=3.0)
    assert missed(limited, None, replace(WORKED, longest_tool=took)) == ["stopped"]


def test_further_incidents_fail_a_drill_unless_they_are_foreseen() -> None:
    others = ((Scenario.AGENT_FAILURE, "Agent planner fails"),)
    assert missed(REPAIRED, GOOD, other_incidents=others) == ["other incident"]
    assert missed(replace(REPAIRED, beside=frozenset({Scenario.AGENT_FAILURE})), GOOD, other_incidents=others) == []


def test_noise_before_the_fault_and_pages_fail_a_drill() -> None:
    assert missed(REPAIRED, GOOD, early_incidents=("Processor use is high",), paged=2) == ["quiet before", "paged"]


def test_a_drill_that_could_not_be_held_says_why() -> None:
    seen = DrillObservation(3.0, problem="expected a run, got nothing")
    assert score(ABSORBED, seen) == (ScoringMiss("drill", "a drill that can be held", "expected a run, got nothing"),)
    assert str(score(ABSORBED, seen)[0]) == "drill: expected a drill that can be held, got expected a run, got nothing"


def test_the_median_is_of_what_was_resolved_and_leaves_the_watching_out() -> None:
    seen = [
        DrillObservation(9.0, replace(GOOD, resolved_after=after, stable=stable))
        for after, stable in ((4.0, 3.0), (9.0, 0.0), (None, 3.0), (20.0, 5.0))
    ]
    assert median_resolution(seen) == 9.0
    assert median_resolution([DrillObservation(1.0)]) is None


def test_a_question_may_be_expected_of_a_repair_as_well() -> None:
    asking = replace(REPAIRED, asks=("security.restore-test",))
    assert missed(asking, GOOD) == ["asks"]
    assert missed(asking, replace(GOOD, asked=("security.restore-test",))) == []

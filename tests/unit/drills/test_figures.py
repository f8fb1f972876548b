"""The figures of drills, as a table for a document and in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills import catalogue
from orchestration.drills.observation import DrillObservation, ObservedResponse, ObservedWork
from orchestration.drills.result_figures import figures, in_words, markdown, total
from orchestration.drills.runner import DrillResult
from orchestration.drills.scoring import ScoringMiss

KILLED, LEAKS, ESCAPE = catalogue.find(["provider-killed", "tool-leaks", "secret-written"])
REPAIRED = ObservedResponse(
    "inc-1",
    Scenario.PROVIDER_UNAVAILABLE,
    Severity.P2,
    "resolved",
    drill=True,
    detected_after=0.52,
    resolved_after=4.11,
    helped="use-fallback",
    stable=3.0,
)
CALLED = replace(REPAIRED, resolved_after=None, helped=None, level=4, asked=("run.cancel",), detected_after=1.8)


def result(drill: object, response: ObservedResponse | None, *misses: ScoringMiss, **seen: object) -> DrillResult:
    observed = DrillObservation(9.0, response, ObservedWork(calls_repeated=1), **seen)  # type: ignore[arg-type]
    return DrillResult(drill, datetime(2026, 1, 5, tzinfo=UTC), observed, misses)  # type: ignore[arg-type]


RESULTS = [
    result(KILLED, REPAIRED),
    result(LEAKS, None),
    result(ESCAPE, CALLED, ScoringMiss("level called", "4", "2"), slowness=2.0),
]


def test_the_table_has_a_line_for_each_drill_and_the_sum_below() -> None:
    rows = [(one.drill.name, one.passed, figures(one)) for one in RESULTS]
    heads, rule, *lines, empty, words = markdown(rows, total(RESULTS)).splitlines()
    assert heads.count("|") == rule.count("|") == lines[0].count("|")
    assert lines == [
        "| provider-killed | passed | repaired | P2 | 0.5 s | 4.1 s | 3.0 s | 0 | 0 | 1 | use-fallback |",
        "| tool-leaks | passed | absorbed |  |  |  |  | 0 | 0 | 1 |  |",
        "| secret-written | FAILED | handed-over | P2 | 1.8 s |  |  | 0 | 0 | 1 | level 4; asks for run.cancel |",
    ]
    assert (empty, words) == ("", in_words(total(RESULTS)))


def test_the_sum_says_how_slow_the_machine_was() -> None:
    whole = total(RESULTS)
    assert (whole.held, whole.passed, whole.resolved, whole.longest_detection) == (3, 2, 1, 1.8)
    assert in_words(whole) == (
        "2 of 3 as expected. Median resolution beyond the watching, of 1: 1.1 s. Steps lost: 0; committed steps "
        "repeated: 0. Limits were widened: programs ran 1.33 times slower than alone."
    )
    assert "widened" not in in_words(total(RESULTS[:2]))
    assert in_words(total([])).startswith("0 of 0 as expected. Median resolution beyond the watching, of 0: none.")

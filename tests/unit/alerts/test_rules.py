from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.defaults import default_rules, rules
from orchestration.alerts.evaluation import observe
from orchestration.alerts.facts import FactContext
from orchestration.alerts.model import ConditionState
from orchestration.alerts.rules import evaluate_rule
from orchestration.alerts.window import SignalWindow
from orchestration.config.alerting import Aggregate, Comparison
from orchestration.config.checks.alerting import KNOWN_RULES, template_error
from orchestration.config.matchers import parse_matchers
from orchestration.config.monitoring import Thresholds
from orchestration.config.schema import Configuration
from orchestration.domain.scenario import Scenario
from tests.unit.alerts.samples import at, rule, sample, signal

LONG_WATCHED = 1e9
SAMPLES = (sample(0, 4, outcome="failed"), sample(10, 2, outcome="ok"), sample(20, 6, outcome="failed"))


@pytest.mark.parametrize(
    ("aggregate", "value"),
    [
        ("last", 6),
        ("max", 6),
        ("min", 2),
        ("mean", 4),
        ("count", 2),
        ("sum", 10),
        ("rate", 10 / 60),
        ("share", 2 / 3),
        ("absent", 10),
    ],
)
def test_every_aggregate(aggregate: str, value: float) -> None:
    judged = rule(aggregate=Aggregate(aggregate), match=parse_matchers(["outcome=failed"]))
    assert evaluate_rule(judged, SAMPLES, at(30), LONG_WATCHED).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("comparison", "holds"),
    [(">", "6"), (">=", "56"), ("<", "4"), ("<=", "45"), ("==", "5"), ("!=", "46")],
)
def test_every_comparison(comparison: str, holds: str) -> None:
    judged = rule(comparison=Comparison(comparison), threshold=5)
    found = [
        value
        for value in "456"
        if evaluate_rule(judged, [sample(0, int(value))], at(0), 0).state is ConditionState.HOLDS
    ]
    assert "".join(found) == holds


@pytest.mark.parametrize("aggregate", [one for one in Aggregate if one is not Aggregate.ABSENT])
def test_without_samples_nothing_is_known_until_a_whole_window_was_watched(aggregate: Aggregate) -> None:
    judged = rule(aggregate=aggregate)
    assert evaluate_rule(judged, [], at(0), 59).state is ConditionState.UNKNOWN
    assert evaluate_rule(judged, [], at(0), 60).state is ConditionState.CLEAR


def test_a_count_that_is_reached_holds_even_when_the_window_was_not_watched_whole() -> None:
    judged = rule(aggregate=Aggregate.COUNT, threshold=2)
    assert evaluate_rule(judged, [sample(0)], at(0), 5).state is ConditionState.UNKNOWN
    assert evaluate_rule(judged, [sample(0), sample(1)], at(1), 5).state is ConditionState.HOLDS


def test_too_few_samples_judge_nothing() -> None:
    judged = rule(aggregate=Aggregate.MEAN, min_samples=3)
    assert evaluate_rule(judged, SAMPLES[:2], at(20), LONG_WATCHED).state is ConditionState.UNKNOWN
    assert evaluate_rule(judged, SAMPLES, at(20), LONG_WATCHED).state is ConditionState.CLEAR


def test_absence_counts_from_when_signals_were_received_at_all() -> None:
    judged = rule(aggregate=Aggregate.ABSENT, window=60)
    assert evaluate_rule(judged, [sample(0)], at(300), 59).state is ConditionState.CLEAR
    assert evaluate_rule(judged, [sample(0)], at(300), 60).state is ConditionState.HOLDS


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(-1e6, 1e6))
def test_a_higher_threshold_never_makes_an_alert(values: list[float], threshold: float) -> None:
    samples = [sample(number, value) for number, value in enumerate(values)]
    for aggregate in (Aggregate.LAST, Aggregate.MAX, Aggregate.MIN, Aggregate.MEAN):
        verdicts = [
            evaluate_rule(rule(aggregate=aggregate, threshold=limit), samples, at(30), LONG_WATCHED).state
            for limit in (threshold, threshold + 1)
        ]
        assert verdicts != [ConditionState.CLEAR, ConditionState.HOLDS]


class TestWindow:
    def test_tells_series_apart_by_the_labels_of_the_rule(self) -> None:
        window = SignalWindow(rule(by=("host",)))
        for host, path in (("a", "/"), ("a", "/tmp"), ("b", "/")):
            window.add(signal(0, host=host, path=path))
        assert sorted(series.key[0] for series in window.series(at(0))) == [(("host", "a"),), (("host", "b"),)]

    def test_keeps_drills_and_our_own_doing_apart(self) -> None:
        window = SignalWindow(rule(by=("host",)))
        window.add(signal(0, host="a"))
        window.add(signal(0, host="a", drill=True))
        window.add(signal(0, host="a", origin="remediation"))
        assert len(list(window.series(at(0)))) == 3

    def test_forgets_what_is_too_old(self) -> None:
        window = SignalWindow(rule(aggregate=Aggregate.COUNT, window=60))
        for second in range(0, 100, 10):
            window.add(signal(second))
        (series,) = window.series(at(100))
        assert [one.at for one in series.samples] == [at(second) for second in range(40, 100, 10)]

    def test_hands_out_an_empty_series_once_more_and_then_only_when_it_is_expected(self) -> None:
        window = SignalWindow(rule(aggregate=Aggregate.COUNT))
        window.add(signal(0))
        assert [series.samples for series in window.series(at(100))] == [()]
        assert list(window.series(at(100))) == []
        assert [series.samples for series in window.series(at(100), [((), False)])] == [()]

    def test_is_bounded_in_series_and_in_samples(self) -> None:
        window = SignalWindow(rule(aggregate=Aggregate.COUNT, by=("n",)), max_series=10, max_samples=5)
        for number in range(25):
            window.add(signal(number / 10, n=str(number)))
        for _ in range(7):
            window.add(signal(3, n="24"))
        kept = {dict(series.key[0])["n"]: len(series.samples) for series in window.series(at(3))}
        assert kept == {str(number): 1 for number in range(15, 24)} | {"24": 5}
        assert window.dropped == 15 + 3

    def test_sees_only_samples_that_fit_and_scalars_of_the_evidence_as_labels(self) -> None:
        window = SignalWindow(rule(aggregate=Aggregate.COUNT, where=parse_matchers(['redacted!="true"'])))
        for redacted in (True, False):
            window.add(signal(0).__class__("s", at(0), 1.0, {"place": "x"}, {"redacted": redacted, "more": [1]}))
        (series,) = window.series(at(0))
        assert [one.labels for one in series.samples] == [{"place": "x", "redacted": "false"}]

    def test_a_clearing_signal_ends_the_series_that_agree_with_it_and_no_other(self) -> None:
        window = SignalWindow(rule(by=("run", "agent"), cleared_by=("done",)))
        window.add(signal(0, run="1", agent="a"))
        window.add(signal(0, run="2", agent="a"))
        window.add(signal(1, name="done", run="1"))
        window.add(signal(1, name="done", other="x"))
        cleared = {dict(series.key[0])["run"]: (series.cleared, len(series.samples)) for series in window.series(at(1))}
        assert cleared == {"1": (True, 0), "2": (False, 1)}

    def test_what_comes_after_a_clearing_signal_counts_again(self) -> None:
        window = SignalWindow(rule(by=("run",), cleared_by=("done",)))
        window.add(signal(1, name="done", run="1"))
        window.add(signal(2, run="1"))
        (series,) = window.series(at(2))
        assert (series.cleared, len(series.samples)) == (False, 1)


class TestObservation:
    def test_is_filled_in_with_labels_value_and_limits(self) -> None:
        judged = rule(
            by=("host",),
            subject="{host}",
            title="{host} at {value}",
            summary="{value} of {threshold} in {window} s, {path} {nothing}",
        )
        window = SignalWindow(judged)
        window.add(signal(0, 12.34, host="a", path="/"))
        (seen,) = observe(window, at(1), LONG_WATCHED, FactContext())
        assert (seen.subject, seen.title, seen.summary) == ("a", "a at 12.3", "12.3 of 10 in 60 s, /")
        assert (seen.labels, seen.details) == ({"host": "a"}, {"path": "/"})

    def test_has_one_fingerprint_whatever_the_order_of_labels(self) -> None:
        window = SignalWindow(rule(by=("a", "b")))
        window.add(signal(0, a="1", b="2"))
        window.add(signal(0, b="2", a="1"))
        assert len({seen.fingerprint for seen in observe(window, at(1), LONG_WATCHED, FactContext())}) == 1

    def test_begins_with_the_first_that_counts(self) -> None:
        window = SignalWindow(rule(aggregate=Aggregate.COUNT, threshold=2, match=parse_matchers(["bad=yes"])))
        for second, bad in ((0, "no"), (5, "yes"), (9, "yes")):
            window.add(signal(second, bad=bad))
        (seen,) = observe(window, at(10), LONG_WATCHED, FactContext())
        assert (seen.since, seen.value) == (at(5), 2)


class TestDefaults:
    def test_cover_every_scenario_of_ours(self) -> None:
        ours = set(Scenario) - {Scenario.EXTERNAL_ALERT}
        assert {one.scenario for one in default_rules(Thresholds())} == ours

    def test_are_those_that_the_configuration_may_change(self) -> None:
        names = [one.name for one in default_rules(Thresholds())]
        assert len(names) == len(set(names))
        assert set(names) == KNOWN_RULES

    def test_have_texts_that_can_be_filled_in(self) -> None:
        texts = [text for one in default_rules(Thresholds()) for text in (one.title, one.summary, one.subject)]
        assert [text for text in texts if template_error(text)] == []

    def test_carry_the_numbers_of_the_playbook_and_of_the_file(self) -> None:
        limits = {one.name: one.threshold for one in default_rules(Thresholds())}
        assert (limits["cpu-high"], limits["memory-high"], limits["disk-low"]) == (90, 95, 10)
        assert (limits["agents-failing"], limits["run-stalled"]) == (0.5, 120)
        other = Thresholds(cpu_percent=80, agent_failure_percent=25)
        limits = {one.name: one.threshold for one in default_rules(other)}
        assert (limits["cpu-high"], limits["agents-failing"]) == (80, 0.25)

    def test_are_changed_switched_off_and_added_to(self) -> None:
        changes: dict[str, Any] = {
            "cpu-high": {"threshold": 50, "where": ["host=a"]},
            "disk-low": {"enabled": False},
            "mine": {"signal": "s", "scenario": "workflow-stuck", "threshold": 3},
            "half": {"threshold": 3},
        }
        found = {one.name: one for one in rules(Configuration.model_validate({"alerting": {"rules": changes}}))}
        assert (found["cpu-high"].threshold, found["cpu-high"].by) == (50, ("host",))
        assert str(found["cpu-high"].where[0]) == 'host="a"'
        assert (found["mine"].signal, found["mine"].threshold) == ("s", 3)
        assert not {"disk-low", "half"} & set(found)


@pytest.mark.parametrize(
    ("changes", "gathers"),
    [
        ({"aggregate": Aggregate.COUNT, "threshold": 1.0}, False),
        ({"aggregate": Aggregate.COUNT, "threshold": 3.0}, True),
        ({"aggregate": Aggregate.SUM, "threshold": 20.0}, True),
        ({"aggregate": Aggregate.RATE, "threshold": 0.5, "window": 60.0}, True),
        ({"aggregate": Aggregate.RATE, "threshold": 0.01, "window": 60.0}, False),
        ({"aggregate": Aggregate.SHARE, "min_samples": 6}, True),
        ({"aggregate": Aggregate.LAST}, False),
    ],
)
def test_a_rule_gathers_when_one_sample_is_not_enough_for_it(changes: dict[str, Any], gathers: bool) -> None:
    assert rule(**changes).needs_history is gathers

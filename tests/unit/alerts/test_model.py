from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.model import Alert, AlertObservation, AlertTiming, ConditionState, advance
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from tests.unit.alerts.samples import at

HOLDS, CLEAR, UNKNOWN = ConditionState.HOLDS, ConditionState.CLEAR, ConditionState.UNKNOWN


def walk(looks: list[tuple[float, ConditionState]], timing: AlertTiming) -> list[Alert | None]:
    """The alert after each look."""
    numbers = itertools.count(1)
    alert: Alert | None = None
    history = []
    for second, verdict in looks:
        seen = AlertObservation("a", "f", verdict, Scenario.AGENT_FAILURE, at(second))
        alert = advance(alert, seen, timing, at(second), lambda: f"alert-{next(numbers)}")
        history.append(alert)
    return history


def states(looks: list[tuple[float, ConditionState]], timing: AlertTiming = AlertTiming()) -> list[str]:  # noqa: B008 (immutable)
    return ["-" if alert is None else alert.status.value for alert in walk(looks, timing)]


def test_without_a_hold_it_fires_at_once_and_ends_at_once() -> None:
    assert states([(0, HOLDS), (1, CLEAR), (2, CLEAR)]) == ["firing", "resolved", "resolved"]


def test_it_pends_until_it_has_held_long_enough() -> None:
    looks = [(0, HOLDS), (9, HOLDS), (10, HOLDS)]
    assert states(looks, AlertTiming(hold=10)) == ["pending", "pending", "firing"]


def test_a_pending_alert_vanishes_when_its_condition_does_and_begins_anew() -> None:
    looks = [(0, HOLDS), (9, CLEAR), (10, HOLDS), (19, HOLDS), (20, HOLDS)]
    assert states(looks, AlertTiming(hold=10)) == ["pending", "-", "pending", "pending", "firing"]


def test_it_goes_on_firing_until_it_was_clear_long_enough() -> None:
    looks = [(0, HOLDS), (5, CLEAR), (14, CLEAR), (14.5, HOLDS), (20, CLEAR), (30, CLEAR)]
    assert states(looks, AlertTiming(keep_firing=10)) == ["firing"] * 5 + ["resolved"]


def test_what_is_unknown_changes_nothing() -> None:
    looks = [(0, UNKNOWN), (1, HOLDS), (2, UNKNOWN), (9999, UNKNOWN), (10_000, CLEAR), (10_001, UNKNOWN)]
    assert states(looks) == ["-", "firing", "firing", "firing", "resolved", "resolved"]


def test_each_time_has_an_identifier_of_its_own_under_the_same_fingerprint() -> None:
    history = walk([(0, HOLDS), (1, HOLDS), (2, CLEAR), (3, HOLDS)], AlertTiming())
    assert [(alert.id, alert.fingerprint) for alert in history if alert] == [
        ("alert-1", "f"),
        ("alert-1", "f"),
        ("alert-1", "f"),
        ("alert-2", "f"),
    ]


def test_one_that_keeps_coming_back_goes_on_firing_until_it_was_quiet() -> None:
    timing = AlertTiming(flips=4, flip_window=100, quiet=50)
    looks = [(second, CLEAR if second % 2 else HOLDS) for second in range(8)] + [(56, CLEAR), (57, CLEAR)]
    history = walk(looks, timing)
    assert [alert.status.value[0] if alert else "-" for alert in history] == list("frfffffffr")
    assert [alert.flapping for alert in history if alert][:4] == [False, False, False, True]


def test_changes_that_are_far_apart_are_no_flapping() -> None:
    looks = [(second * 100, CLEAR if second % 2 else HOLDS) for second in range(12)]
    assert states(looks, AlertTiming(flips=4, flip_window=250)) == ["firing", "resolved"] * 6


LOOKS = st.lists(st.tuples(st.floats(0, 50), st.sampled_from(ConditionState)), max_size=40)


@given(LOOKS, st.sampled_from([0.0, 10.0]), st.sampled_from([0.0, 10.0]), st.integers(3, 6))
def test_whatever_is_seen_the_moves_are_legal(
    steps: list[tuple[float, ConditionState]], hold: float, keep: float, flips: int
) -> None:
    """Fires only from pending or anew, resolves only from firing, and never without a look that says so."""
    second = 0.0
    looks = []
    for wait, verdict in steps:
        second += wait
        looks.append((second, verdict))
    before: Alert | None = None
    for (moment, verdict), after in zip(looks, walk(looks, AlertTiming(hold, keep, flips, 100, 60)), strict=True):
        if after is not None and after.status is AlertStatus.RESOLVED and (before is None or not before.resolved):
            assert before is not None
            assert before.firing
            assert before.id == after.id
            assert verdict is CLEAR
            assert after.ends_at == at(moment)
        if after is not None and after.firing:
            assert after.starts_at is not None
            assert (after.starts_at - after.since).total_seconds() >= hold
            if before is not None and before.firing:
                assert before.id == after.id
        before = after

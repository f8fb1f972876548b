"""Guards hold the machine back, each for a reason that it names."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.playbooks import guards
from orchestration.playbooks.guards import Guard, GuardSituation
from orchestration.playbooks.model import GuardSettings, Mode, Risk

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SETTINGS = GuardSettings(runs_per_hour=3, attempts=3, cooldown=30, fleet_percent=50)
FREE = GuardSituation(now=NOW, automation_enabled=True, risk=Risk.REVERSIBLE, targets=("one",))


def minutes_ago(*minutes: float) -> tuple[datetime, ...]:
    return tuple(NOW - timedelta(minutes=number) for number in minutes)


def test_nothing_holds_back_what_is_within_all_limits() -> None:
    assert guards.judge(Mode.AUTO, SETTINGS, FREE) == guards.GuardVerdict(Mode.AUTO)


@pytest.mark.parametrize(
    ("situation", "guard", "mode"),
    [
        (replace(FREE, targets=()), Guard.EMPTY_TARGET, Mode.OFF),
        (replace(FREE, automation_enabled=False), Guard.KILL_SWITCH, Mode.ASK),
        (replace(FREE, fleet_unhealthy_percent=51), Guard.FLEET_SHARE, Mode.ASK),
        (replace(FREE, attempts=3), Guard.ATTEMPTS, Mode.ASK),
        (replace(FREE, tripped=True), Guard.TRIPPED, Mode.ASK),
        (replace(FREE, recent=minutes_ago(10, 20, 30)), Guard.HOURLY_CAP, Mode.ASK),
        (replace(FREE, risk=Risk.DESTRUCTIVE), Guard.DESTRUCTIVE, Mode.ASK),
    ],
)
def test_each_guard_holds_and_names_its_reason(situation: GuardSituation, guard: Guard, mode: Mode) -> None:
    verdict = guards.judge(Mode.AUTO, SETTINGS, situation)
    assert (verdict.guard, verdict.mode) == (guard, mode)
    assert verdict.because


@pytest.mark.parametrize(
    "situation",
    [
        replace(FREE, fleet_unhealthy_percent=50),
        replace(FREE, attempts=2),
        replace(FREE, recent=minutes_ago(10, 20, 61)),
        replace(FREE, targets=None),
        replace(FREE, risk=Risk.DESTRUCTIVE, allowed=True),
    ],
)
def test_a_guard_does_not_hold_at_its_limit(situation: GuardSituation) -> None:
    assert guards.judge(Mode.AUTO, SETTINGS, situation).mode is Mode.AUTO


def test_a_cooldown_only_puts_off_and_says_for_how_long() -> None:
    situation = replace(FREE, recent=(NOW - timedelta(seconds=10),))
    verdict = guards.judge(Mode.AUTO, SETTINGS, situation)
    assert (verdict.mode, verdict.guard, verdict.wait) == (Mode.AUTO, Guard.COOLDOWN, 20.0)


def test_what_waits_for_a_person_anyway_is_not_held_back_by_a_guard_that_would_only_ask() -> None:
    assert guards.judge(Mode.ASK, SETTINGS, replace(FREE, attempts=9)).guard is None


def test_an_empty_target_is_refused_even_with_a_persons_approval() -> None:
    assert guards.judge(Mode.ASK, SETTINGS, replace(FREE, targets=())).mode is Mode.OFF


_situations = st.builds(
    GuardSituation,
    now=st.just(NOW),
    automation_enabled=st.booleans(),
    risk=st.sampled_from(Risk),
    targets=st.one_of(st.none(), st.just(()), st.just(("one",))),
    recent=st.lists(st.integers(0, 7200).map(lambda seconds: NOW - timedelta(seconds=seconds)), max_size=5),
    attempts=st.integers(0, 5),
    fleet_unhealthy_percent=st.floats(0, 100),
    tripped=st.booleans(),
    allowed=st.booleans(),
)


@given(st.sampled_from(Mode), _situations)
def test_a_guard_never_lets_the_machine_go_further_than_was_wanted(wanted: Mode, situation: GuardSituation) -> None:
    verdict = guards.judge(wanted, SETTINGS, situation)
    assert verdict.mode.at_most(wanted) is verdict.mode


@given(_situations)
def test_with_the_switch_off_nothing_is_changed_by_itself(situation: GuardSituation) -> None:
    verdict = guards.judge(Mode.AUTO, SETTINGS, replace(situation, automation_enabled=False))
    assert verdict.mode is not Mode.AUTO or situation.risk is Risk.READS


@given(_situations)
def test_what_cannot_be_taken_back_asks_unless_the_configuration_allows_it(situation: GuardSituation) -> None:
    verdict = guards.judge(Mode.AUTO, SETTINGS, replace(situation, risk=Risk.DESTRUCTIVE, allowed=False, recent=()))
    assert verdict.mode in (Mode.ASK, Mode.OFF)

"""Who is on call, and who is meant by a name."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.escalation import EscalationLevel
from orchestration.config.response import Contact, OnCallOverride, OnCallRotation
from orchestration.domain.severity import Severity
from orchestration.incidents.oncall import audience, contacts, duties, level_names, on_call
from tests.support.incidents import NOON, some_settings

VIENNA = ZoneInfo("Europe/Vienna")
WEEKLY = OnCallRotation(id="first", members=("ada", "ben", "cleo"), start=date(2026, 3, 2), time_zone="Europe/Vienna")
MOMENTS = st.datetimes(datetime(2026, 3, 3), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def vienna(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=VIENNA)


@pytest.mark.parametrize(
    ("moment", "who"),
    [
        (vienna(3, 2, 8, 59), None),
        (vienna(3, 2, 9), "ada"),
        (vienna(3, 9, 8, 59), "ada"),
        (vienna(3, 9, 9), "ben"),
        (vienna(3, 16, 9), "cleo"),
        (vienna(3, 23, 9), "ada"),
        (vienna(3, 30, 8, 59), "ada"),  # summer time has begun the day before
        (vienna(3, 30, 9), "ben"),
    ],
)
def test_turns_begin_at_hand_over_by_the_clock_on_the_wall(moment: datetime, who: str | None) -> None:
    duty = on_call(WEEKLY, moment)
    assert (duty and duty.contact) == who


def test_a_duty_says_until_when_it_lasts() -> None:
    duty = on_call(WEEKLY, vienna(3, 25, 12))
    assert duty is not None
    assert duty.until == vienna(3, 30, 9)
    assert duty.until - vienna(3, 23, 9).astimezone(UTC) == timedelta(days=7, hours=-1)


def test_an_override_takes_the_place_of_whoever_has_the_turn() -> None:
    swap = OnCallOverride(contact="cleo", start=datetime(2026, 3, 3, 18), end=datetime(2026, 3, 4, 8))  # noqa: DTZ001
    late = OnCallOverride(contact="ben", start=vienna(3, 3, 20), end=vienna(3, 3, 22))
    rotation = WEEKLY.model_copy(update={"overrides": (swap, late)})
    seen = [on_call(rotation, vienna(3, 3, hour)) for hour in (17, 18, 20, 22)]
    assert [duty and duty.contact for duty in seen] == ["ada", "cleo", "ben", "cleo"]
    assert [duty and duty.override for duty in seen] == [False, True, True, True]
    assert seen[0] is not None
    assert seen[0].until == vienna(3, 3, 18)


def test_a_level_means_who_has_duty_there_and_everybody_there_without_a_rotation() -> None:
    people = (*some_settings().contacts, Contact(id="ann", level=1), Contact(id="bea", level=2))
    settings = some_settings(contacts=people, rotations=(WEEKLY,))
    assert [each.id for each in contacts(["level-1"], settings, vienna(3, 10, 9))] == ["ben"]
    assert [each.id for each in contacts(["level-2"], settings, vienna(3, 10, 9))] == ["ben", "bea"]
    before_the_start = [each.id for each in contacts(["level-1"], settings, vienna(3, 1, 9))]
    assert before_the_start == ["ada", "ann"]


def test_names_are_contacts_rotations_levels_and_everyone_each_person_once() -> None:
    settings = some_settings(rotations=(WEEKLY,))
    named = contacts(["first", "ada", "level-4", "nobody-known"], settings, vienna(3, 3, 12))
    assert [each.id for each in named] == ["ada", "sec"]
    assert [each.id for each in contacts(["everyone"], settings, NOON)] == ["ada", "ben", "cleo", "sec"]


@pytest.mark.parametrize(
    ("severity", "who"),
    [
        (Severity.P0, ["ada", "ben", "cleo", "sec"]),
        (Severity.P1, ["ada", "ben"]),
        (Severity.P2, ["ada"]),
        (Severity.P3, []),
    ],
)
def test_who_is_told_first(severity: Severity, who: list[str]) -> None:
    assert [each.id for each in audience(severity, some_settings(), NOON)] == who


def test_a_level_without_targets_of_its_own_is_all_of_that_level() -> None:
    assert level_names(EscalationLevel(level=3)) == ("level-3",)
    assert level_names(EscalationLevel(level=3, targets=("ada",))) == ("ada",)


@given(MOMENTS, st.integers(1, 30), st.sampled_from(["UTC", "Europe/Vienna", "America/St_Johns"]))
def test_there_is_always_exactly_one_on_call_until_the_next_takes_over(moment: datetime, days: int, zone: str) -> None:
    rotation = OnCallRotation(
        id="r", members=("ada", "ben"), start=date(2026, 3, 1), days=days, hand_over=time(2, 30), time_zone=zone
    )
    duty = on_call(rotation, moment)
    assert duty is not None
    assert moment < duty.until <= moment + timedelta(days=days, hours=2)
    last, following = on_call(rotation, duty.until - timedelta(seconds=1)), on_call(rotation, duty.until)
    assert last is not None
    assert following is not None
    assert (last.contact, following.contact) == (duty.contact, {"ada": "ben", "ben": "ada"}[duty.contact])


def test_nobody_has_duty_without_a_rotation() -> None:
    assert duties(some_settings(), NOON) == ()

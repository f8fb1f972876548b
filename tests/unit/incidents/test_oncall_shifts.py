from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestration.config.response import Contact, OnCallOverride, OnCallRoster, OnCallRotation, ResponseSettings
from orchestration.incidents.oncall import OnCallShift, contacts, on_call, shifts
from orchestration.incidents.rotation import turn_at

ZONES = (
    "UTC", "Europe/Vienna", "Asia/Kathmandu", "Asia/Kolkata", "Pacific/Chatham", "Australia/Lord_Howe",
    "America/Santiago",
)  # fmt: skip
MOMENTS = st.datetimes(datetime(2026, 2, 1), datetime(2028, 4, 1), timezones=st.just(UTC))  # noqa: DTZ001
LENGTHS = st.one_of(
    st.fixed_dictionaries({"hours": st.integers(1, 23)}), st.fixed_dictionaries({"days": st.integers(1, 9)})
)
WEEK = datetime(2026, 3, 2, tzinfo=UTC)


def a_rotation(**more: object) -> OnCallRotation:
    values = {"id": "primary", "members": ("ada", "bob", "cyd"), "start": date(2026, 1, 5)}
    return OnCallRotation(**{**values, **more})  # type: ignore[arg-type]


@settings(max_examples=200)
@given(MOMENTS, st.sampled_from(ZONES), LENGTHS, st.times())
def test_turns_follow_each_other_without_gap_or_overlap_and_keep_their_local_time(
    moment: datetime, zone: str, length: dict[str, int], hand_over: time
) -> None:
    rotation = a_rotation(time_zone=zone, hand_over=hand_over.replace(microsecond=0), **length)
    turn = turn_at(rotation, moment)
    assert turn is not None
    assert turn.since <= moment < turn.until
    following = turn_at(rotation, turn.until)
    assert following is not None
    assert following.since == turn.until
    local = turn.since.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    step = timedelta(hours=length["hours"]) if "hours" in length else timedelta(days=length["days"])
    # A hand-over at a time that the clock skips is later by what it skips: by an hour in all of these zones but one.
    late = (local - datetime.combine(rotation.start, rotation.hand_over)) % step
    assert late in (timedelta(), timedelta(hours=1) % step, timedelta(minutes=30) % step)


def test_three_shifts_a_day_keep_their_times_when_the_clock_changes() -> None:
    rotation = a_rotation(hours=8, hand_over=time(6), time_zone="Europe/Vienna")
    days = (datetime(2026, 3, 29, 2, tzinfo=UTC), datetime(2026, 10, 25, 2, tzinfo=UTC))
    for day in days:
        starts = [
            one.since.astimezone(ZoneInfo("Europe/Vienna")).hour for one in _shifts(rotation, day, 72) if one.since
        ]
        assert set(starts) == {6, 14, 22}


SHIFTS = st.lists(
    st.builds(
        lambda contact, start, minutes: OnCallOverride(
            contact=contact, start=WEEK + timedelta(minutes=start), end=WEEK + timedelta(minutes=start + minutes)
        ),
        st.sampled_from(("dan", "eve", "fay")), st.integers(-2_000, 10_000), st.integers(1, 5_000),
    ), max_size=5,
)  # fmt: skip


@settings(max_examples=150)
@given(SHIFTS, SHIFTS, SHIFTS, st.booleans(), st.lists(st.integers(0, 10_000), min_size=1, max_size=20))
def test_the_strongest_plan_counts_at_every_moment_and_shifts_say_when_it_changes(
    entered: Sequence[OnCallOverride],
    file: Sequence[OnCallOverride],
    calendar: Sequence[OnCallOverride],
    members: bool,
    minutes: Sequence[int],
) -> None:
    rotation = a_rotation(
        overrides=tuple(file), calendar={"url": "https://c"}, members=("ada", "bob") if members else ()
    )
    roster = OnCallRoster({"primary": tuple(entered)}, {"primary": tuple(calendar)})
    found = list(shifts(rotation, roster, WEEK, WEEK + timedelta(minutes=10_001)))
    for moment in (WEEK + timedelta(minutes=each) for each in minutes):
        turn = turn_at(rotation, moment)
        plans = [*([turn.contact] if turn else []), *(
            one.contact for layer in (calendar, file, entered) for one in layer if one.start <= moment < one.end
        )]  # fmt: skip
        now = on_call(rotation, moment, roster)
        assert (now.contact if now else None) == (plans[-1] if plans else None)
        listed = [one for one in found if one.since is not None and one.since <= moment < one.until]
        assert [one.contact for one in listed] == plans[-1:]
        if now is not None:
            assert now.since is not None
            assert now.since <= moment < now.until
    assert all(one.until <= other.until for one, other in pairwise(found))


def test_an_override_of_somebody_who_is_no_contact_any_more_lets_no_page_reach_nobody() -> None:
    settings_ = ResponseSettings(
        contacts=tuple(Contact(id=name, level=1) for name in ("ada", "bob", "cyd")), rotations=(a_rotation(),)
    )
    gone = OnCallOverride(contact="eve", start=WEEK, end=WEEK + timedelta(days=90))
    planned = settings_.with_roster(OnCallRoster({"primary": (gone,)}, {"primary": (gone,)}))
    for names in (("level-1",), ("primary",)):
        assert contacts(names, planned, WEEK) == contacts(names, settings_, WEEK) != ()


@pytest.mark.parametrize("wrong", [{"hours": 8, "days": 1}, {"members": ()}, {"hours": 24}, {"hours": 0}])
def test_a_rotation_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        a_rotation(**wrong)


def _shifts(rotation: OnCallRotation, start: datetime, hours: int) -> list[OnCallShift]:
    return list(shifts(rotation, OnCallRoster(), start, start + timedelta(hours=hours)))

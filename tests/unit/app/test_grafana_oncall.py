from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.app.grafana_oncall import convert, read_export
from orchestration.app.grafana_oncall.schedules import _written, convert_schedule
from orchestration.config.response import OnCallRoster, OnCallRotation, ResponseSettings
from orchestration.errors import UsageError
from orchestration.incidents.icalendar_feed import read_calendar
from orchestration.incidents.oncall import on_call

USERS = [{"id": f"U{number}", "username": name, "email": f"{name}@example.org"} for number, name in enumerate("abcd")]
ZONE = "Europe/Vienna"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def an_export(**parts: Any) -> dict[str, Any]:
    return {"users": USERS, **parts}


def a_shift(**values: Any) -> dict[str, Any]:
    known = {"id": "O1", "type": "rolling_users", "start": "2026-03-02T09:00:00", "frequency": "daily", "interval": 1}
    return {**known, "duration": 86_400, "rolling_users": [["U0"], ["U1"], ["U2"]], **values}


def a_schedule(*shifts: str, **values: Any) -> dict[str, Any]:
    return {"id": "S1", "name": "Primary", "type": "web", "time_zone": ZONE, "shifts": list(shifts), **values}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(("hourly", "daily", "weekly")),
    st.integers(1, 3),
    st.integers(0, 5),
    st.lists(st.floats(0, 24 * 40), min_size=1, max_size=8),
)
def test_a_rotation_says_the_same_as_the_calendar_of_the_same_shift(
    frequency: str, interval: int, first: int, hours: list[float]
) -> None:
    """The two ways of converting a schedule are independent of each other, and agree."""
    seconds = {"hourly": 3_600, "daily": 86_400, "weekly": 604_800}[frequency] * interval
    shift = a_shift(frequency=frequency, interval=interval, duration=seconds, start_rotation_from_user_index=first)
    export = read_export(json.dumps(an_export(schedules=[a_schedule("O1")], on_call_shifts=[shift])))
    people = {user.id: user.username for user in export.users}
    (schedule,), shifts = export.schedules, export.on_call_shifts
    turns = OnCallRotation.model_validate(convert_schedule(schedule, "primary", shifts, people).rotation)
    assert turns.calendar is None
    written = _written(schedule, "primary", shifts, people)
    planned = OnCallRotation.model_validate(written.rotation)
    response = ResponseSettings.model_validate({"contacts": convert(export).response["contacts"]})
    body = (written.calendar or b"").decode()
    read = read_calendar(body, planned, response.contacts, START, START + timedelta(days=50))
    roster = OnCallRoster({}, {"primary": read.shifts})
    for moment in (START + timedelta(hours=each) for each in hours):
        one, other = on_call(turns, moment), on_call(planned, moment, roster)
        # Where the clock is set forward, an event of theirs lasts until an hour after the next one has begun.
        assert (one and one.contact) == (other and other.contact), moment


def test_weekdays_layers_and_single_events_become_a_calendar() -> None:
    shifts = [
        a_shift(id="O1", type="recurrent_event", frequency="weekly", by_day=["MO", "WE"], duration=28_800,
                users=["U0"]),
        a_shift(id="O2", type="single_event", frequency=None, level=2, duration=3_600, users=["U1"],
                start="2026-03-04T10:00:00"),
        a_shift(id="O3", type="rolling_users", frequency="weekly", by_day=["TU"], duration=28_800, week_start="MO",
                rolling_users=[["U2", "U3"], ["U3"]]),
    ]  # fmt: skip
    made = convert(read_export(json.dumps(
        an_export(schedules=[a_schedule("O1", "O2", "O3", ical_url_overrides="https://c/o.ics")], on_call_shifts=shifts)
    )))  # fmt: skip
    rotation = OnCallRotation.model_validate(made.response["rotations"][0])
    assert rotation.calendar is not None
    assert rotation.calendar.file == "config/oncall/primary.ics"
    body = made.files["config/oncall/primary.ics"].decode()
    people = ResponseSettings.model_validate({"contacts": made.response["contacts"]}).contacts
    read = read_calendar(body, rotation, people, START - timedelta(days=1), START + timedelta(days=14))
    roster = OnCallRoster({}, {"primary": read.shifts})

    def who(day: int, hour: int) -> str | None:
        found = on_call(rotation, datetime(2026, 3, day, hour, 30, tzinfo=ZoneInfo(ZONE)).astimezone(UTC), roster)
        return found and found.contact

    assert [who(2, 9), who(2, 18), who(4, 9), who(4, 10), who(4, 11)] == ["a", None, "a", "b", "a"]
    assert [who(3, 9), who(10, 9)] == ["c", "d"], "Tuesdays go round"
    assert len(made.notes) == 3


def test_a_chain_becomes_levels_and_what_has_no_counterpart_is_named() -> None:
    steps = [
        {"type": "notify_persons", "persons_to_notify": ["U0"]},
        {"type": "notify_on_call_from_schedule", "notify_on_call_from_schedule": "S1"},
        {"type": "wait", "duration": 60},
        {"type": "wait", "duration": 300},
        {"type": "notify_person_next_each_time", "persons_to_notify_next_each_time": ["U1", "U2"]},
        {"type": "trigger_webhook"},
        {"type": "repeat_escalation"},
    ]
    policies = [{"escalation_chain_id": "F", "position": 6 - at, **step} for at, step in enumerate(reversed(steps))]
    made = convert(read_export(json.dumps(an_export(
        schedules=[a_schedule("O1")], on_call_shifts=[a_shift()], escalation_policies=policies,
        escalation_chains=[{"id": "F", "name": "all"}],
    ))))  # fmt: skip
    assert made.response["escalation"] == {
        "levels": [
            {"level": 1, "targets": ["a", "primary"], "after": 360},
            {"level": 2, "targets": ["b", "c"], "after": 900},
        ],
        "repeat": 3,
    }
    assert [note.rpartition(" ")[0] for note in made.notes] == [
        "escalation chain all: all are notified instead of one after the",
        "escalation chain all: the step trigger_webhook has no",
    ]
    ResponseSettings.model_validate(made.response)


def test_the_other_chains_become_paths_to_which_the_routes_have_to_be_written() -> None:
    export = an_export(
        escalation_chains=[{"id": "F", "name": "default"}, {"id": "G", "name": "DB team"}, {"id": "H", "name": "idle"}],
        escalation_policies=[
            {"escalation_chain_id": chain, "position": 0, "type": "notify_persons", "persons_to_notify": [user]}
            for chain, user in (("F", "U0"), ("G", "U1"))
        ],
        integrations=[{"id": "C", "name": "prod", "type": "grafana", "default_route": {"escalation_chain_id": "F"}}],
        routes=[{"integration_id": "C", "routing_regex": "db-.*", "escalation_chain_id": "G"}],
    )
    made = convert(read_export(json.dumps(export)))
    assert made.response["escalationPaths"] == {
        "db-team": {"levels": [{"level": 1, "targets": ["b"], "after": 900}], "repeat": 1}
    }
    assert made.notes[0] == "escalation chain idle notifies nobody"
    assert "(db-.* to DB team)" in made.notes[1]
    assert len(made.notes) == 2
    other = convert(read_export(json.dumps(export)), "DB team")
    assert set(other.response["escalationPaths"]) == {"default-2"}, "the name of the default path is taken"


def test_a_long_chain_ends_in_the_fourth_level() -> None:
    steps = [step for user in range(4) for step in (
        {"type": "notify_persons", "persons_to_notify": [f"U{user}"]}, {"type": "wait", "duration": 60},
    )]  # fmt: skip
    steps.append({"type": "notify_persons", "persons_to_notify": ["U0"]})
    policies = [{"escalation_chain_id": "F", "position": at, **step} for at, step in enumerate(steps)]
    made = convert(read_export(json.dumps(
        an_export(escalation_chains=[{"id": "F", "name": "long"}], escalation_policies=policies)
    )))  # fmt: skip
    assert [level["targets"] for level in made.response["escalation"]["levels"]] == [["a"], ["b"], ["c"], ["d", "a"]]


def test_a_schedule_of_an_address_keeps_it_out_of_the_file() -> None:
    schedule = a_schedule(name="Büro & Nacht", type="ical", ical_url_primary="https://cal.example.org/secret.ics")
    made = convert(read_export(json.dumps(an_export(schedules=[schedule]))))
    assert "secret.ics" not in json.dumps(made.response)
    (variable,) = made.variables
    assert made.response["rotations"][0]["calendar"] == {"urlEnv": variable}
    OnCallRotation.model_validate(made.response["rotations"][0])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"users": []}', '{"users": [{"id": 1}]}', '{"users": {"results": null}}', "[" * 100_000]
)
def test_what_is_no_export_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_export(text)


def test_a_chain_that_is_not_there_is_named_with_those_that_are() -> None:
    export = read_export(json.dumps(an_export(escalation_chains=[{"id": "F", "name": "all"}])))
    with pytest.raises(UsageError, match=r"no escalation chain 'x'. There are: all"):
        convert(export, "x")

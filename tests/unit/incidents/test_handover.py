from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from orchestration.config.response import Contact, OnCallOverride, OnCallRoster, OnCallRotation, ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.handover import notice_of, shift_changes
from orchestration.storage.incidents.table import IncidentRow

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
ROTATION = OnCallRotation(id="primary", members=("ada", "bob"), start=date(2026, 3, 1), days=1, hand_over=time(9))
SETTINGS = ResponseSettings(contacts=(Contact(id="ada", name="Ada"), Contact(id="bob")), rotations=(ROTATION,))


def a_row(number: int, severity: Severity, **more: object) -> IncidentRow:
    at = NINE - timedelta(hours=number)
    values = ("investigating", False, f"trouble {number}", None, str(more.get("by", "")), at, None)
    return IncidentRow(f"inc-{number}", Scenario.CONTROL_PLANE, severity, *values)


def test_a_change_of_shift_is_news_for_some_hours_and_of_one_person_to_another() -> None:
    assert list(shift_changes(SETTINGS, NINE - timedelta(seconds=1))) == []
    (found,) = shift_changes(SETTINGS, NINE)
    assert (found.before, found.shift.contact, found.people) == ("ada", "bob", ("bob", "ada"))
    assert list(shift_changes(SETTINGS, NINE + timedelta(hours=5))) == []
    alone = SETTINGS.model_copy(update={"rotations": (ROTATION.model_copy(update={"members": ("ada",)}),)})
    assert list(shift_changes(alone, NINE)) == []


def test_an_override_is_handed_over_to_and_back() -> None:
    override = OnCallOverride(contact="ada", start=NINE + timedelta(hours=5), end=NINE + timedelta(hours=10))
    planned = SETTINGS.with_roster(OnCallRoster({"primary": (override,)}))
    (begun,) = shift_changes(planned, override.start)
    assert (begun.before, begun.shift.contact, begun.shift.override) == ("bob", "ada", True)
    (ended,) = shift_changes(planned, override.end)
    assert (ended.before, ended.shift.contact, ended.shift.override) == ("ada", "bob", False)


def test_the_message_says_what_is_open_the_worst_first_and_who_has_it() -> None:
    (found,) = shift_changes(SETTINGS, NINE)
    rows = [
        a_row(1, Severity.P3),
        a_row(2, Severity.P0, by="cyd"),
        *(a_row(each, Severity.P2) for each in range(3, 30)),
    ]
    notice = notice_of(found, SETTINGS, rows, "http://here/on-call")
    lines = notice.details.splitlines()
    assert lines[0] == "bob is on call from 2026-03-02 09:00 UTC until 2026-03-03 09:00 UTC, after Ada."
    assert lines[3] == "- P0 inc-2: trouble 2 (investigating, for 2 h, cyd has it)"
    assert lines[4] == "- P2 inc-29: trouble 29 (investigating, for 1 d 5 h, nobody has acknowledged it)"
    assert lines[-1] == "- and 9 more: orchestrator incidents list --open"
    assert notice.incident_id == notice_of(found, SETTINGS, [], "").incident_id, "so that it is sent once"
    assert len(notice.incident_id) <= 64
    assert notice_of(found, SETTINGS, [], "").details.splitlines()[-1] == "No incident is open."

"""Overrides and swaps on the command: who is paged, what is kept, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from orchestration.app import ProjectRecords, project
from orchestration.errors import ConflictError, NotFoundError, UsageError
from orchestration.incidents.commands.manual_escalation import Escalate
from orchestration.incidents.oncall import shifts
from tests.integration.incidents.test_console import Console
from tests.support.incidents import ADA

ROTATION = {"id": "primary", "level": 1, "members": ["ada", "ben"], "start": "2026-01-05", "hours": 12}
PEOPLE = [{"id": name, "channels": [{"channel": "log"}]} for name in ("ada", "ben", "cyd")]


@pytest.fixture
def console(tmp_path: Path) -> Console:
    console = Console(tmp_path)
    console.configure(contacts=PEOPLE, rotations=[ROTATION])
    return console


@contextmanager
def opened(console: Console) -> Iterator[ProjectRecords]:
    with project(str(console.config)) as here:
        yield here


def who(console: Console, at: str = "1min") -> str:
    return str(console.json("oncall", "show", "--at", at)["on_call"][0]["contact"])


def test_an_override_is_in_force_at_once_and_pages_for_an_incident_that_was_open_before(console: Console) -> None:
    incident = console.report(key="other", title="another trouble")
    (row,) = console.json(
        "oncall", "override", "primary", "cyd", "--end", "3h", "--reason", "ada is ill", "--author", "ben"
    )
    assert (row["contact"], row["author"], row["reason"]) == ("cyd", "ben", "ada is ill")
    assert who(console) == "cyd"
    assert who(console, "4h") != "cyd"
    with opened(console) as here:
        here.incident_service.execute(incident.id, ADA, Escalate(1, "it lasts"))
        rows = here.incident_service.records.entries(incident.id)
        assert rows[-1].data["contacts"] == ["cyd"]
        with here.database.read() as connection:
            found = connection.execute(text("SELECT kind, actor FROM events WHERE kind LIKE 'oncall.%'")).all()
        assert found == [("oncall.override_added", "ben")]


def test_what_is_over_and_what_was_cancelled_stays_as_history(console: Console) -> None:
    console.run("oncall", "override", "primary", "cyd", "--end", "3h", "--reason", "a walk")
    (row,) = console.json("oncall", "overrides")
    console.run("oncall", "override", "primary", "ben", "--start", "5h", "--end", "6h", "--reason", "later")
    console.run("oncall", "cancel", row["id"][-6:])
    assert who(console) != "cyd"
    assert [one["reason"] for one in console.json("oncall", "overrides")] == ["later"]
    history = {one["reason"]: one["cancelled_at"] is not None for one in console.json("oncall", "overrides", "--all")}
    assert history == {"a walk": True, "later": False}
    with pytest.raises(ConflictError, match="over already"):
        console.run("oncall", "cancel", row["id"])


def test_a_swap_exchanges_the_next_two_shifts_and_is_cancelled_as_a_whole(console: Console) -> None:
    with opened(console) as here:
        rotation, now = here.response.rotations[0], here.clock.now()
        before = list(shifts(rotation, here.response.roster, now, now + timedelta(days=3)))
    rows = console.json("oncall", "swap", "primary", "ada", "ben", "--reason", "a wedding")
    with opened(console) as here:
        after = list(shifts(rotation, here.response.roster, now, now + timedelta(days=3)))
        # The shift that has begun stays; the two after it are exchanged, and the rest is as it was.
        assert [one.contact for one in after[1:3]] == [one.contact for one in before[1:3]][::-1]
        assert [one.contact for one in after[3:]] == [one.contact for one in before[3:]]
        assert [one.until for one in after] == [one.until for one in before]
    ended = console.json("oncall", "cancel", rows[0]["id"])
    assert {one["id"] for one in ended} == {one["id"] for one in rows}


def test_what_cannot_be_is_refused_with_what_to_do(console: Console) -> None:
    with pytest.raises(NotFoundError, match="There is no rotation 'primry'"):
        console.run("oncall", "override", "primry", "cyd", "--end", "3h", "--reason", "x")
    with pytest.raises(NotFoundError, match="There is no contact 'eve'"):
        console.run("oncall", "override", "primary", "eve", "--end", "3h", "--reason", "x")
    with pytest.raises(UsageError, match="end in the future"):
        console.run("oncall", "override", "primary", "cyd", "--end", "2026-01-05", "--reason", "x")
    with pytest.raises(ConflictError, match="cyd has no shift in primary"):
        console.run("oncall", "swap", "primary", "ada", "cyd", "--reason", "x")
    with pytest.raises(UsageError, match="two different"):
        console.run("oncall", "swap", "primary", "ada", "ada", "--reason", "x")


def test_while_the_database_is_away_the_last_roster_stays_in_force(console: Console) -> None:
    with opened(console) as here:
        settings, now = here.response, datetime.now(UTC)
        here.on_call.override(settings, "primary", "cyd", now, now + timedelta(hours=3), "ill", "ben")
        assert here.configuration.response.roster.overrides["primary"][0].contact == "cyd"
        with here.database.write() as connection:
            connection.execute(text("ALTER TABLE oncall_overrides RENAME TO elsewhere"))
        here.roster.refresh(at_once=True)
        assert here.configuration.response.roster.overrides["primary"][0].contact == "cyd"
        assert here.configuration is here.configuration, "one that is unchanged is not made anew"

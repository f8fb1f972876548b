from __future__ import annotations

import pytest

from orchestration.clock import FakeClock
from orchestration.events import Event, EventBus
from orchestration.security.redaction import Redactor
from orchestration.security.redaction_events import ReportingRedactor

# Put together here, so that no scanner takes this file for a leak.
KEY = "sk-" + "a1b2c3d4e5" * 3
TOKEN = "ghp_" + "A1b2C3d4E5" * 3


class House:
    """A reporting redactor, and what it said."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        bus = EventBus(self.clock)
        self.said: list[Event] = []
        bus.subscribe(self.said.append)
        self.redactor = ReportingRedactor(Redactor(["correct-horse-battery"]), bus, self.clock)

    def told(self) -> list[tuple[str, str, int]]:
        """Kind, place and number of each event since the last time."""
        told = [(event.data["found"], event.data["place"], event.data["count"]) for event in self.said]
        self.said.clear()
        return told


@pytest.fixture
def house() -> House:
    return House()


def test_what_is_caught_is_told_with_its_run_and_without_the_value(house: House) -> None:
    clean = house.redactor.text(f"{KEY} and {KEY}", "a tool's answer", run_id="run-1", agent="executor")
    assert clean == "[redacted:openai-key] and [redacted:openai-key]"
    (event,) = house.said
    assert (event.kind, event.run_id, event.agent) == ("secret.redacted", "run-1", "executor")
    assert event.data == {"found": "openai-key", "place": "a tool's answer", "count": 2}


def test_json_values_are_searched_through_their_keys_too(house: House) -> None:
    value = {"message": {"content": [f"use {TOKEN}", 3, None]}, KEY: ("fine", "correct-horse-battery")}
    clean = house.redactor.data(value, "a model's answer")
    assert not any(secret in str(clean) for secret in (TOKEN, KEY, "correct-horse-battery"))
    assert sorted(house.told()) == [
        ("credential", "a model's answer", 1),
        ("github-token", "a model's answer", 1),
        ("openai-key", "a model's answer", 1),
    ]


def test_of_what_is_clean_nothing_is_said(house: House) -> None:
    assert house.redactor.text("nothing", "an artifact") == "nothing"
    assert house.redactor.data({"list": (1, "two"), "password": "x1"}, "an artifact")["list"] == [1, "two"]
    assert KEY not in house.redactor.quiet(KEY)
    assert house.told() == []


async def test_a_flood_is_counted_and_told_once_a_minute(house: House) -> None:
    for _ in range(500):
        house.redactor.text(KEY, "a tool's answer", run_id="run-1")
    assert house.told() == [("openai-key", "a tool's answer", 1)]
    await house.clock.advance(59)
    house.redactor.text(KEY, "a tool's answer", run_id="run-1")
    assert house.told() == []
    await house.clock.advance(1)
    house.redactor.text(KEY, "a tool's answer", run_id="run-1")
    assert house.told() == [("openai-key", "a tool's answer", 501)]


def test_another_kind_place_run_or_agent_is_told_of_its_own(house: House) -> None:
    house.redactor.text(KEY, "an artifact", run_id="run-1", agent="a")
    house.redactor.text(TOKEN, "an artifact", run_id="run-1", agent="a")
    house.redactor.text(KEY, "a patch", run_id="run-1", agent="a")
    house.redactor.text(KEY, "an artifact", run_id="run-2", agent="a")
    house.redactor.text(KEY, "an artifact", run_id="run-1", agent="b")
    assert len(house.told()) == 5


def test_what_is_remembered_is_bounded(house: House) -> None:
    for number in range(1_500):
        house.redactor.text(KEY, "an artifact", run_id=f"run-{number}")
    assert len(house.redactor._reported) == 1000

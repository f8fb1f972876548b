"""Forgotten acknowledgements and snoozes: nobody is paged for what is in hand, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents import conditions, lifecycle, timers
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.declaration import Declare
from orchestration.incidents.commands.estimate import SetEstimate
from orchestration.incidents.commands.manual_escalation import EscalateUnlessAcknowledged
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.commands.snooze import Snooze, Wake
from orchestration.incidents.escalation import IncidentTimer, due_times, level_to_page
from orchestration.incidents.model import Incident, IncidentRefusedError
from orchestration.incidents.ownership import ownership
from orchestration.incidents.sla import TargetKind, TargetState
from orchestration.notifications.notice import NoticeKind
from tests.support.incidents import (
    ADA,
    ALL_AGENTS,
    HALF,
    MACHINE,
    NOON,
    PAGES,
    a_report,
    after,
    declared,
    some_settings,
    turned,
)

SETTINGS = some_settings()


class Story:
    """What is done to an incident, with every timer at its time, and who is told when."""

    def __init__(self, incident: Incident) -> None:
        self.incident = incident
        self.now = NOON
        self.told: list[tuple[float, str, tuple[str, ...]]] = []

    def do(self, minute: float, handling: Callable[[IncidentChange], None], actor: Any = ADA) -> IncidentChange:
        """At that minute, after all that is due before."""
        self.go_to(minute)
        return self._turn(handling, actor)

    def go_to(self, minute: float) -> None:
        end = after(minutes=minute)
        while due := self._next(end):
            self.now = max(self.now, due[1])
            self._turn(lambda change: timers.fire(change, due[0]), MACHINE)
        self.now = max(self.now, end)

    def _next(self, end: datetime) -> tuple[IncidentTimer, datetime] | None:
        waiting = sorted((at, timer) for timer, at in due_times(self.incident, SETTINGS).items() if at <= end)
        return (waiting[0][1], waiting[0][0]) if waiting else None

    def _turn(self, handling: Callable[[IncidentChange], None], actor: Any) -> IncidentChange:
        change = turned(self.incident, handling, at=self.now, actor=actor)
        minute = (self.now - NOON) / timedelta(minutes=1)
        self.told += [
            (minute, each.kind.value, tuple(contact.id for contact in each.contacts)) for each in change.notifications
        ]
        self.incident = change.incident
        return change

    def since(self, minute: float, *kinds: NoticeKind) -> list[tuple[float, str, tuple[str, ...]]]:
        wanted = kinds or (*PAGES, NoticeKind.REMINDER)
        return [one for one in self.told if one[0] >= minute and one[1] in wanted]


def a_story(facts: Any = HALF) -> Story:
    return Story(declared(a_report(facts)).incident)


def test_whoever_has_it_is_reminded_and_then_it_is_paged_anew() -> None:
    story = a_story()
    story.do(5, Acknowledge().apply)
    story.go_to(95)
    assert story.since(5) == [(65, "reminder", ("ada",)), (80, "initial", ("ada", "ben")), (90, "escalation", ("ben",))]
    assert not story.incident.acknowledged
    assert "nobody has acknowledged it" in ownership(story.incident, [], None, [])
    story.do(96, Acknowledge().apply)
    story.go_to(150)
    assert story.since(96) == []
    # The first acknowledgement has met the target, whatever became of it.
    assert story.incident.clock.state(TargetKind.RESPONSE, story.now, 75) is TargetState.MET
    assert story.incident.acknowledged_at == after(minutes=5)


@pytest.mark.parametrize(
    ("command", "reminded"),
    [
        (AddNote("looking"), 90),
        (SetEstimate(after(minutes=100)), 160),
        (Snooze(after(minutes=50)), 110),
    ],
)
def test_whatever_a_person_records_counts(command: AddNote, reminded: float) -> None:
    story = a_story()
    story.do(5, Acknowledge().apply)
    story.do(30, command.apply)
    story.go_to(300)
    kinds = [one for one in story.since(5, NoticeKind.REMINDER) if one[0] != 50]
    assert kinds[0] == (reminded, "reminder", ("ada",))


@pytest.mark.parametrize(
    "handling",
    [
        lambda change: conditions.clear(change, change.incident.key, change.now, observed=True),
        lambda change: conditions.silence(change, change.incident.key, "silence-1"),
        lambda change: change.set(active_response="run-1"),
        Resolve("mended", anyway=True).apply,
    ],
    ids=["gone", "silenced", "a playbook is at work", "resolved"],
)
def test_nobody_is_reminded_of_what_needs_nobody(handling: Callable[[IncidentChange], None]) -> None:
    story = a_story()
    story.do(5, Acknowledge().apply)
    change = turned(story.incident, handling, at=after(minutes=6))
    assert IncidentTimer.FORGOTTEN not in due_times(change.incident, SETTINGS)
    assert IncidentTimer.FORGOTTEN in due_times(story.incident, SETTINGS)


def test_what_rests_on_the_word_of_a_person_is_not_forgotten_either() -> None:
    incident = declared(Declare("The shop is down", severity=Severity.P0).report("ada", NOON)).incident
    acknowledged = turned(incident, Acknowledge().apply).incident
    assert due_times(acknowledged, SETTINGS)[IncidentTimer.FORGOTTEN] == after(minutes=30)


def test_a_snooze_holds_the_pages_and_ends_by_itself() -> None:
    story = a_story()
    change = story.do(5, Snooze(after(minutes=125), "the vendor knows").apply)
    assert change.stops_pages
    assert "snoozed by user ada until 2026-03-03 14:05:00 UTC" in ownership(story.incident, [], None, [])
    held = story.do(10, EscalateUnlessAcknowledged(2, "handed over").apply, MACHINE)
    assert [entry.kind for entry in held.entries] == ["noted"]
    story.go_to(200)
    assert story.since(5)[0] == (125, "reminder", ("ada",))
    # The target was missed meanwhile, and the level that was due gets its time anew.
    assert next(one for one in story.since(126) if one[1] == "escalation") == (135, "escalation", ("ben",))


def test_it_wakes_at_once_when_it_gets_worse_and_when_a_person_says_so() -> None:
    for handling, actor in (
        (lambda change: lifecycle.absorb(change, a_report(ALL_AGENTS, change.now)), MACHINE),
        (ChangeSeverity(Severity.P0, "worse").apply, ADA),
        (Wake().apply, ADA),
    ):
        story = a_story()
        story.do(5, Snooze(after(minutes=125)).apply)
        story.do(20, handling, actor)
        assert story.incident.snoozed_until is None
        story.go_to(31)
        assert "escalation" in {kind for _, kind, _ in story.since(20)}


@pytest.mark.parametrize("command", [Resolve("over", anyway=True), None])
def test_an_end_ends_the_snooze(command: Resolve | None) -> None:
    story = a_story()
    story.do(5, Snooze(after(minutes=125)).apply)
    story.do(6, Resolve("over", anyway=True).apply)
    assert IncidentTimer.SNOOZE not in due_times(story.incident, SETTINGS)
    if command is None:
        story.do(7, Reopen("back").apply)
        assert story.incident.snoozed_until is None


def test_only_a_person_snoozes_and_not_for_ever() -> None:
    incident = a_story().incident
    with pytest.raises(IncidentRefusedError, match="expected a person"):
        turned(incident, Snooze(after(hours=1)).apply, actor=MACHINE)
    for until in (NOON, after(days=7, seconds=1)):
        with pytest.raises(UsageError, match="within 7 days"):
            turned(incident, Snooze(until).apply)
    with pytest.raises(IncidentRefusedError, match="is not snoozed"):
        turned(incident, Wake().apply)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 120), st.sampled_from(["ack", "note", "snooze", "wake", "worse", "better", "clear", "fire"])
    ),
    max_size=15,
)


def _step(name: str, now: datetime) -> Callable[[IncidentChange], None]:
    steps: dict[str, Callable[[IncidentChange], None]] = {
        "ack": Acknowledge().apply,
        "note": AddNote("looking").apply,
        "snooze": Snooze(now + timedelta(minutes=45)).apply,
        "wake": Wake().apply,
        "worse": ChangeSeverity(Severity.P0, "worse").apply,
        "better": ChangeSeverity(Severity.P1, "better").apply,
        "clear": lambda change: conditions.clear(change, change.incident.key, change.now, observed=True),
        "fire": lambda change: lifecycle.absorb(change, a_report(HALF, change.now)),
    }
    return steps[name]


@given(STEPS)
def test_nobody_is_paged_in_a_snooze_and_what_is_there_is_never_forgotten(steps: list[tuple[int, str]]) -> None:
    story, minute = a_story(), 0.0
    for wait, name in steps:
        minute += wait
        if not story.incident.status.is_open:
            break
        try:
            story.go_to(minute)
            begin = len(story.told)
            held = story.incident.snoozed_until is not None
            change = story.do(minute, _step(name, story.now))
        except IncidentRefusedError:
            continue
        pages = [one for one in story.told[begin:] if one[1] in PAGES]
        if held and story.incident.snoozed_until is not None:
            assert not pages, change.entries
    story.go_to(minute + 1)
    incident = story.incident
    there = any(each.fires for each in incident.known_conditions.values())
    if incident.status.is_open and there and incident.severity in SETTINGS.escalation.remind_after:
        # Whatever was done, something is due by which somebody hears of it again, until all were paged as often as the
        # settings say.
        exhausted = level_to_page(incident, SETTINGS) is None and not incident.acknowledged
        due = due_times(incident, SETTINGS).keys()
        assert exhausted or {IncidentTimer.PAGE, IncidentTimer.FORGOTTEN, IncidentTimer.SNOOZE} & due

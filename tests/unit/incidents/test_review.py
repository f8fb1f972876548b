"""The review: facts from the timeline, and blanks where a person has to judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from orchestration.config.response import ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.action_items import AddActionItem
from orchestration.incidents.commands.mitigation import BeginMitigation, RecordFailedMitigation
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.model import Incident, ReviewField, TimelineEntry
from orchestration.incidents.report import Facts
from orchestration.incidents.review import clock_lines, entry_text, span
from orchestration.incidents.reviews.document import draft as draft_of
from orchestration.incidents.reviews.dossier import ReviewDossier
from tests.support.incidents import ADA, MACHINE, NOON, a_report, after, declared, some_settings, turned

SETTINGS = some_settings()


def draft(incident: Incident, entries: Sequence[TimelineEntry], settings: ResponseSettings, now: datetime) -> str:
    return draft_of(ReviewDossier(incident, entries, settings, now))


def a_story(**values: object) -> tuple[Incident, list[TimelineEntry]]:
    turn = declared(a_report(started_at=after(minutes=-2), **values))  # type: ignore[arg-type]
    entries, incident = list(turn.entries), turn.incident
    for minutes, actor, handling in (
        (1, MACHINE, BeginMitigation(text="restart executor").apply),
        (2, MACHINE, RecordFailedMitigation(reason="it failed | again").apply),
        (3, ADA, Acknowledge().apply),
        (4, ADA, AddActionItem(text="check the size", owner="ben", due=date(2026, 3, 20)).apply),
        (5, ADA, Resolve(resolution="smaller model", root_cause="model too large", anyway=True).apply),
    ):
        turn = turned(incident, handling, at=after(minutes=minutes), actor=actor)  # type: ignore[arg-type]
        incident, entries = turn.incident, entries + turn.entries
    return incident, entries


def test_a_review_tells_the_story_in_order_with_its_figures() -> None:
    text = draft(*a_story(), SETTINGS, after(days=1))
    order = [
        "# Post-incident review: executor fails",
        "| Impact began | 2026-03-03 11:58:00 UTC |",
        "| Acknowledged | 2026-03-03 12:03:00 UTC by user ada |",
        "| Duration | 7 min |",
        "## Impact",
        "agent executor",
        "## Timeline (UTC)",
        "| 2026-03-03 12:00:00 | detected by automation:monitoring",
        "| 2026-03-03 12:02:00 | mitigation failed by automation:playbook (reason: it failed \\| again; failed: 1) |",
        "## Root cause\n\nmodel too large",
        "## Resolution\n\nsmaller model\n\n_Written by user ada._",
        "## What helped",
        "- did not help: it failed | again",
        "## SLA",
        "- response met: due 2026-03-03 16:00 UTC, after 3 min",
        "- resolution met: due 2026-03-06 12:00 UTC, after 5 min",
        "| 1 | check the size | ben | 2026-03-20 | open |",
        "## Proposed change to the playbook\n\nThe playbook in force was `agent-failure`.",
        "## Shared with",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "## Security" not in text


def test_of_what_nobody_knows_it_says_so_and_why_in_every_section() -> None:
    turn = declared()
    text = draft(turn.incident, turn.entries, SETTINGS, NOON)
    assert "| Impact began | Unknown |" in text
    assert "## Root cause\n\nUnknown: no playbook has diagnosed it." in text
    assert "## Resolution\n\nNot resolved yet." in text
    assert "| time to detect | unknown: the start is not known |" in text
    sections = [part.partition("\n")[2].strip() for part in text.split("\n## ")[1:]]
    assert len(sections) == 20
    assert all(sections)


def test_what_people_wrote_stands_where_it_belongs() -> None:
    incident, entries = a_story()
    for field in ReviewField:
        incident = turned(incident, WriteReview(field=field, text=f"text of {field}").apply).incident
    text = draft(incident, entries, SETTINGS, NOON)
    assert all(f"text of {field}" in text for field in ReviewField if field is not ReviewField.SECURITY)
    # What the records say by now is beside it, so that a person can take it over.
    assert "text of root-cause\n\n_Written by user ada._\n\n_The records say:_\n\n> Unknown: no playbook" in text


def test_a_security_alert_has_a_section_of_its_own() -> None:
    facts = Facts(secret_exposed=True)
    incident, entries = a_story(scenario=Scenario.SECURITY_ALERT, facts=facts)
    text = draft(incident, entries, SETTINGS, NOON)
    assert "## Security\n\n- a secret was exposed\n" in text


def test_a_table_is_not_broken_by_what_stands_in_it() -> None:
    incident, _ = a_story()
    text = draft(replace(incident, source="a|b\nc"), [], SETTINGS, NOON)
    assert "by a\\|b c |" in text


@pytest.mark.parametrize(
    ("hours", "line"),
    [
        (1, "response on-track: due 2026-03-03 16:00 UTC, 3 h left"),
        (3.5, "response at-risk: due 2026-03-03 16:00 UTC, 30 min left"),
        (6, "response breached: due 2026-03-03 16:00 UTC, 2 h late"),
    ],
)
def test_a_running_clock_says_how_long_is_left_or_how_late_it_is(hours: float, line: str) -> None:
    assert clock_lines(declared().incident, SETTINGS, after(hours=hours))[0] == line


def test_an_entry_is_said_in_words() -> None:
    entry = TimelineEntry(
        NOON, "severity-raised", "ada", {"from": "P2", "to": "P0", "reason": "all customers", "eta": None}
    )
    assert entry_text(entry) == "severity raised by user ada (from: P2; to: P0; reason: all customers)"


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(hours=1, seconds=5), "1 h 5 s"),
        (timedelta(days=2, hours=3, minutes=4), "2 d 3 h"),
        (-timedelta(seconds=5), "0 s"),
    ],
)
def test_a_span_has_at_most_two_units(length: timedelta, text: str) -> None:
    assert span(length) == text

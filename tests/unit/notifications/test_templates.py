from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.response import Contact
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.templates import SHIPPED, TemplateRenderer
from orchestration.notifications.templates.values import MAX_LINE, moment, one_line, span
from tests.support.notices import a_contact, a_notice

ADA = a_contact("ada", "log", time_zone="Europe/Vienna")

# The playbook's own words, field by field.
INITIAL = """\
[INCIDENT] [Severity: P1] Ollama does not answer

Status: INVESTIGATING
Impact: 3 runs wait for a model
Started: 2026-03-04 11:55:00 UTC (12:55:00 Europe/Vienna)
ETA: 2026-03-04 13:00:00 UTC (14:00:00 Europe/Vienna)

Details:
Connection refused at localhost:11434.
No fallback is configured.

Tried so far:
- probed it 3 times
- looked for a fallback

What to do now:
  ollama serve
  orchestrator incidents ack inc-01

Next Update: 2026-03-04 12:30:00 UTC (13:30:00 Europe/Vienna)

Incident: inc-01 http://127.0.0.1:8080/incidents/inc-01
"""
RESOLVED = """\
[RESOLVED] [Severity: P1] Ollama does not answer

Status: RESOLVED
Duration: 1 h 5 min
Root Cause: The server was stopped by an update
Resolution: Started it again

Post-Incident Review: 2026-03-06 at 10:00, room 3

Incident: inc-01 http://127.0.0.1:8080/incidents/inc-01
"""


def text(notice: Notice, contact: Contact = ADA, templates: TemplateRenderer = SHIPPED) -> str:
    rendered = templates.render(notice, contact)
    return f"{rendered.subject}\n\n{rendered.body}"


def test_the_initial_notification_is_the_playbooks_line_by_line() -> None:
    assert text(a_notice()) == INITIAL


def test_the_resolution_notification_is_the_playbooks_line_by_line() -> None:
    assert text(a_notice(NoticeKind.RESOLVED, status="RESOLVED")) == RESOLVED


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_what_is_not_known_is_called_unknown_in_every_kind(kind: NoticeKind) -> None:
    bare = a_notice(kind)
    bare = Notice(kind, bare.incident_id, bare.severity, bare.scenario, bare.title, bare.status)
    rendered = text(bare)
    assert "None" not in rendered
    for line in rendered.splitlines():
        if line.startswith(("ETA", "Impact", "Started", "Duration", "Root Cause", "Resolution", "Next Update")):
            assert line.endswith(": Unknown")
    if kind is NoticeKind.INITIAL:
        assert "  orchestrator incidents ack inc-01\n  orchestrator incidents show inc-01\n" in rendered
        assert "- nothing yet" in rendered


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_a_drill_is_marked_in_subject_and_body_of_every_kind(kind: NoticeKind) -> None:
    rendered = SHIPPED.render(a_notice(kind, drill=True), ADA)
    assert "[DRILL]" in rendered.subject
    assert "This is a drill" in rendered.body
    assert "rill" not in text(a_notice(kind))


def test_the_first_words_of_each_subject_tell_the_kinds_apart() -> None:
    subjects = {kind: SHIPPED.render(a_notice(kind), ADA).subject for kind in NoticeKind}
    assert len({subject.partition("]")[0] for subject in subjects.values()}) == len(NoticeKind)
    assert subjects.pop(NoticeKind.REPORT) == "[REPORT] Ollama does not answer"
    assert all("[Severity: P1] Ollama does not answer" in subject for subject in subjects.values())


def test_an_escalation_gives_its_reason() -> None:
    assert "Escalated: not acknowledged within 10 min\n" in text(a_notice(NoticeKind.ESCALATION))


def test_the_local_date_is_shown_where_it_differs() -> None:
    late = datetime(2026, 1, 5, 23, 30, tzinfo=UTC)
    assert moment(late, "Asia/Tokyo") == "2026-01-05 23:30:00 UTC (2026-01-06 08:30:00 Asia/Tokyo)"
    assert moment(late, "UTC") == "2026-01-05 23:30:00 UTC"
    assert moment(late, "Nowhere/AtAll").startswith("2026-01-05 23:30:00 UTC")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min"), (3900, "1 h 5 min"), (90_061, "1 d 1 h"), (-3, "0 s")],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


@given(st.text())
def test_a_field_is_one_line_without_controls_whatever_is_in_it(value: str) -> None:
    line = one_line(value)
    assert line
    assert len(line.splitlines()) == 1
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Cs", "Zl", "Zp"}
    assert len(line) <= MAX_LINE + 40


@given(st.text(), st.text())
def test_no_title_or_detail_adds_a_line_to_the_subject(title: str, details: str) -> None:
    rendered = SHIPPED.render(a_notice(title=title, details=details), ADA)
    assert rendered.subject.startswith("[INCIDENT] [Severity: P1] ")
    assert "\n" not in rendered.subject
    rendered.body.encode("utf-8")


def test_a_users_template_replaces_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "initial.txt").write_text(
        "{{ severity }} {{ title | upper }}\n{% for t in tried %}* {{ t }}\n{% endfor %}"
    )
    rendered = TemplateRenderer.read(tmp_path).render(a_notice(), ADA)
    assert rendered.subject == "P1 OLLAMA DOES NOT ANSWER"
    assert rendered.body.startswith("* probed it 3 times\n* looked for a fallback\n\nIncident: inc-01")
    assert rendered.note == ""


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("{{ headline }}", "'headline' is undefined"),
        ("{{ title ", "initial.txt:1:"),
        ("{{ 'x' * 1000000000 }}", "Mul"),
        ("{{ 2 ** 99999999 }}", "Pow"),
        ("{{ '%999999999d' % 1 }}", "Mod"),
        ("{{ title ~ title }}", "Concat"),
        ("{{ '{:>999999999}'.format(1) }}", "format"),
        ("{{ title.ljust(999999999) }}", "ljust"),
        ("{{ title | center(999999999) }}", "center"),
        ("{{ title.replace('', details) }}", "replace"),
        ("{% set a = title %}", "Assign"),
        ("{% macro m() %}{{ m() }}{% endmacro %}", "Macro"),
        ("{% include 'x' %}", "Include"),
        ("{{ range(99999) }}", "'range' is undefined"),
        ("{{ title.__class__ }}", "__class__"),
        ("{{ tried.__class__.__mro__ }}", "__class__"),
        (
            "{% for a in details %}{% for b in details %}{% for c in details %}{% endfor %}{% endfor %}{% endfor %}",
            "nested",
        ),
        ("{% for a in details %}{{ details }}{% endfor %}", "longer than 20,000"),
        ("{{ tried[9] }}", "initial.txt"),
        ("{{ severity + 1 }}", "initial.txt"),
        ("   \n ", "empty text"),
        ("x" * 20_001, "at most 20,000"),
    ],
)
def test_a_template_that_cannot_be_used_gives_way_with_a_note(source: str, complaint: str) -> None:
    notice = a_notice(details="d" * 1000)
    rendered = TemplateRenderer({NoticeKind.INITIAL: source}).render(notice, ADA)
    assert complaint in rendered.note
    assert rendered.subject == SHIPPED.render(notice, ADA).subject
    assert rendered.body.endswith(f"A template of your own could not be used: {rendered.note}\n")


def test_a_template_that_cannot_be_read_gives_way_too(tmp_path: Path) -> None:
    (tmp_path / "initial.txt").mkdir()
    (tmp_path / "update.txt").write_bytes(b"\xff")
    templates = TemplateRenderer.read(tmp_path)
    assert len(templates.problems) == 2
    assert "IsADirectoryError" in templates.render(a_notice(), ADA).note


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_a_notice_survives_the_way_through_json(kind: NoticeKind) -> None:
    for notice in (a_notice(kind), Notice(kind, "i", a_notice().severity, a_notice().scenario, "t", "s", drill=True)):
        assert Notice.from_json(notice.as_json()) == notice
        assert Notice.from_json({**notice.as_json(), "added_later": 1}) == notice

"""What a link in a message does to an incident: once, by its person, and nothing when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.escalation import EscalationLevel, EscalationSettings
from orchestration.domain.message_verb import MessageVerb
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.commands.manual_escalation import Escalate
from orchestration.incidents.commands.merge import Merge
from orchestration.incidents.commands.message_answer import AnswerByMessage
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.message_answers import AnswerState, answerability, level_to_call, obstacles
from orchestration.incidents.model import Incident, IncidentRefusedError, person
from orchestration.notifications.notice import NoticeKind
from tests.support.incidents import HALF, NOON, a_report, after, declared, some_settings, turned

COMMANDS = {
    MessageVerb.ACKNOWLEDGE: Acknowledge(),
    MessageVerb.RESOLVE: Resolve("it is over", anyway=True),
    MessageVerb.ESCALATE: Escalate(3, "help"),
}


def opened() -> Incident:
    return declared(a_report(HALF)).incident


@pytest.mark.parametrize(
    ("command", "verb", "state", "says"),
    [
        (Acknowledge(), MessageVerb.ACKNOWLEDGE, AnswerState.ACKNOWLEDGED, "by user ada at 2026-03-03 12:05 UTC"),
        (Acknowledge(), MessageVerb.ESCALATE, AnswerState.POSSIBLE, ""),
        (Resolve("done", anyway=True), MessageVerb.ACKNOWLEDGE, AnswerState.OVER, "resolved since 2026-03-03 12:05"),
        (CancelIncident("a test"), MessageVerb.RESOLVE, AnswerState.OVER, "cancelled"),
        (Merge("inc-2"), MessageVerb.RESOLVE, AnswerState.MERGED, "merged into inc-2"),
        (
            AnswerByMessage(Escalate(3, "help"), "used", "mail"),
            MessageVerb.ESCALATE,
            AnswerState.USED,
            "was used already",
        ),
    ],
)
def test_a_click_that_can_do_nothing_says_what_the_state_is(
    command: Acknowledge, verb: MessageVerb, state: AnswerState, says: str
) -> None:
    incident = turned(opened(), command.apply, at=after(minutes=5)).incident
    found = answerability(incident, verb, "used")
    assert (found.state, says in found.sentence) == (state, True)


def test_the_record_names_the_person_and_the_way() -> None:
    change = turned(opened(), AnswerByMessage(Acknowledge(), "l-1", "link in a mail").apply, actor=person("ben"))
    [entry] = change.entries
    assert (entry.kind, entry.actor, entry.data["via"]) == ("acknowledged", "ben", "link in a mail")


def test_the_texts_of_an_answer_are_redacted() -> None:
    found = AnswerByMessage(Resolve("the key was s3cret"), "l-1", "mail").redacted(
        lambda text: text.replace("s3", "**")
    )
    assert found.command == Resolve("the key was **cret")


def test_the_level_to_call_is_the_next_that_has_not_been_paged() -> None:
    settings = some_settings()
    incident = opened()
    levels = [level_to_call(replace(incident, levels_paged=paged), settings) for paged in range(5)]
    assert levels == [1, 2, 3, 3, 3]
    one = some_settings(escalation=EscalationSettings(levels=(EscalationLevel(level=4),)))
    assert level_to_call(incident, one) == 4
    assert level_to_call(incident, some_settings(escalation=EscalationSettings(levels=()))) == 2


def test_what_a_person_has_to_confirm_is_named() -> None:
    assert [text for text in obstacles(opened()) if "its alert still fires" in text]


CLICKS = st.lists(
    st.tuples(st.sampled_from(MessageVerb), st.sampled_from(["ada", "ben"]), st.integers(0, 2), st.integers(0, 600)),
    max_size=25,
)


@given(clicks=CLICKS, reopens=st.booleans())
def test_however_often_and_in_whatever_order_links_are_clicked_each_counts_once(
    clicks: list[tuple[MessageVerb, str, int, int]], reopens: bool
) -> None:
    incident, entries, called, now = opened(), [], 0, NOON
    for verb, who, number, seconds in clicks:
        link = f"{verb}-{who}-{number}"
        now += timedelta(seconds=seconds)
        possible = answerability(incident, verb, link).possible
        try:
            answer = AnswerByMessage(COMMANDS[verb], link, "mail")
            change = turned(incident, answer.apply, at=now, actor=person(who))
        except IncidentRefusedError:
            # What the page has called possible is not refused, or the person would be sent in a circle.
            assert not possible
            continue
        assert possible
        called += sum(each.kind is NoticeKind.ESCALATION for each in change.notifications)
        entries += [(entry.kind, entry.actor, link) for entry in change.entries if "via" in entry.data]
        incident = change.incident
        if reopens and not incident.status.is_open:
            incident = turned(incident, Reopen("back").apply, at=now).incident
    asked = {f"{verb}-{who}-{number}" for verb, who, number, _ in clicks if verb is MessageVerb.ESCALATE}
    assert called <= len(asked)
    assert len({(kind, link) for kind, _, link in entries}) == len(entries)

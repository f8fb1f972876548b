from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.web.vendor_answers import pagerduty_events, slack_actions
from orchestration.web.vendor_answers.answer import UnreadableAnswerError, VendorVerb
from orchestration.web.vendor_answers.endpoint import is_reply_address

PERSON = {"id": "PXPGF42", "type": "user_reference", "summary": "Earline Greenholt"}


def an_event(kind: str = "incident.acknowledged", agent: Any = PERSON, **data: Any) -> bytes:
    """In the shape of https://developer.pagerduty.com/docs/webhooks-overview."""
    incident = {"id": "PT4KHLK", "type": "incident", "incident_key": "inc-01", "status": "acknowledged", **data}
    event = {"id": "5ac64822", "event_type": kind, "resource_type": "incident", "agent": agent, "data": incident}
    return json.dumps({"event": {**event, "occurred_at": "2026-03-04T12:00:00.000Z"}}).encode()


def a_press(action: str = "incident.acknowledge", **more: Any) -> bytes:
    """In the shape of https://docs.slack.dev/reference/interaction-payloads/block_actions-payload."""
    payload = {
        "type": "block_actions",
        "user": {"id": "UADA000001", "username": "ada", "team_id": "T1"},
        "response_url": "https://hooks.slack.com/actions/T1/1/x",
        "actions": [{"action_id": action, "type": "button", "value": "inc-01", "action_ts": "1700000000.1"}],
        **more,
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        ("incident.acknowledged", VendorVerb.ACKNOWLEDGE), ("incident.resolved", VendorVerb.RESOLVE),
        ("incident.escalated", VendorVerb.NOTE), ("incident.reopened", VendorVerb.NOTE),
    ],
)  # fmt: skip
def test_what_a_person_does_in_pagerduty_is_read(kind: str, verb: VendorVerb) -> None:
    found = pagerduty_events.read_answer(an_event(kind))
    assert found is not None
    assert (found.verb, found.incident, found.user, found.event) == (verb, "inc-01", "PXPGF42", "5ac64822")


@pytest.mark.parametrize(
    "body",
    [
        an_event("incident.triggered"), an_event("pagey.ping"), an_event(agent=None),
        an_event(agent={"id": "P1", "type": "inbound_integration_reference"}), an_event(incident_key=None),
    ],
)  # fmt: skip
def test_what_no_person_does_and_what_is_not_ours_changes_nothing(body: bytes) -> None:
    assert pagerduty_events.read_answer(body) is None


def test_a_button_of_slack_is_read_and_other_interactions_change_nothing() -> None:
    found = slack_actions.read_answer(a_press())
    assert found is not None
    assert (found.verb, found.incident, found.user) == (VendorVerb.ACKNOWLEDGE, "inc-01", "UADA000001")
    again, later = slack_actions.read_answer(a_press()), slack_actions.read_answer(a_press(trigger_id="2"))
    assert again is not None
    assert later is not None
    assert found.event == again.event != later.event
    assert slack_actions.read_answer(a_press("incident.open")) is None
    assert slack_actions.read_answer(a_press(type="view_submission")) is None


GOOD = (an_event(), a_press())


@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=3)), max_size=4),
    st.integers(0, 200),
)
def test_whatever_comes_is_read_or_refused(good: bytes, changes: list[tuple[int, bytes]], cut: int) -> None:
    body = good[: len(good) - cut]
    for place, put in changes:
        body = body[:place] + put + body[place + 1 :]
    for read in (pagerduty_events.read_answer, slack_actions.read_answer):
        try:
            read(body)
        except UnreadableAnswerError:
            continue


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hooks.slack.com/actions/T1/1/x", True), ("http://hooks.slack.com/x", False), ("", False),
        ("https://hooks.slack.com.evil.example/x", False), ("https://hooks.slack.com@evil.example/", False),
        ("http://169.254.169.254/", False), ("https://[", False),
    ],
)  # fmt: skip
def test_a_reply_is_sent_to_slack_alone(url: str, good: bool) -> None:
    assert is_reply_address(url) is good

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.response import Contact, ContactAddress, QuietHours, ResponseSettings
from orchestration.domain.severity import Severity
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.recipients import OPERATOR, after_quiet_hours, fallback, message_key, plan, substitutes
from orchestration.storage.outbox import OutboxRow, OutboxState
from tests.support.notices import NOON, a_contact, a_notice, a_response

MAIL = {"type": "email", "host": "127.0.0.1", "sender": "pager@example.org"}
HOOK = {"type": "webhook", "url": "http://127.0.0.1:1/"}
NIGHT = QuietHours(start=time(22, 0), end=time(7, 0))


def places(rows: tuple[OutboxRow, ...]) -> list[tuple[str, str]]:
    return [(row.contact, row.channel) for row in rows]


def test_each_contact_gets_a_message_on_each_reachable_channel() -> None:
    response = a_response(
        {"ada": ("mail", "hook"), "bob": ("hook", "off", "nowhere", "halfdone", "hook")},
        mail=MAIL,
        hook=HOOK,
        off={**HOOK, "enabled": False},
        halfdone={"type": "slack"},
    )
    rows = plan(a_notice(), response.contacts, response, "initial", NOON)
    assert places(rows) == [("ada", "mail"), ("ada", "hook"), ("bob", "hook")]
    first = rows[0]
    assert (first.key, first.address, first.kind) == ("inc-01:initial:ada:mail", "ada@example.org", "initial")
    assert (first.created_at, first.due_at, first.state) == (NOON, NOON, OutboxState.PENDING)
    assert first.payload["notice"] == a_notice().as_json()
    assert first.payload["subject"] == "[INCIDENT] [Severity: P1] Ollama does not answer"


def test_an_address_has_to_be_there_where_one_is_needed() -> None:
    response = a_response({}, mail=MAIL, hook=HOOK)
    places_of = {"ada": (ContactAddress(channel="mail"), ContactAddress(channel="hook")), "bob": ()}
    contacts = [Contact(id=name, channels=places) for name, places in places_of.items()]
    assert places(plan(a_notice(), contacts, response, "initial", NOON)) == [("ada", "hook")]


@pytest.mark.parametrize("contacts", [(), (a_contact("eve", "nowhere"),)])
def test_without_contacts_messages_go_to_the_log_and_the_console(contacts: tuple[object, ...]) -> None:
    rows = plan(a_notice(), contacts, ResponseSettings(), "initial", NOON)  # type: ignore[arg-type]
    assert places(rows) == [("operator", "log"), ("operator", "console")]


def test_a_report_is_never_sent_as_a_page() -> None:
    channels = {
        "pages": {"type": "pagerduty", "routing_key_env": "KEY"},
        "alerts": {"type": "alertmanager", "url": "u"},
    }
    response = a_response({"ada": ("pages", "alerts", "log")}, **channels)
    rows = plan(a_notice(NoticeKind.REPORT), response.contacts, response, "report", NOON)
    assert places(rows) == [("ada", "log")]


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_only_pages_stop_at_the_acknowledgement(kind: NoticeKind) -> None:
    pages = {NoticeKind.INITIAL, NoticeKind.ESCALATION, NoticeKind.AT_RISK}
    assert {row.stops_on_acknowledge for row in plan(a_notice(kind), (), ResponseSettings(), "x", NOON)} == {
        kind in pages
    }


def test_alertmanager_gets_no_reminder_which_would_fire_again() -> None:
    response = a_response({"ada": ("am", "hook")}, am={"type": "alertmanager", "url": "http://127.0.0.1:1"}, hook=HOOK)
    assert places(plan(a_notice(NoticeKind.REMINDER), response.contacts, response, "r", NOON)) == [("ada", "hook")]
    assert len(plan(a_notice(), response.contacts, response, "i", NOON)) == 2


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", fullmatch=True)


@given(st.tuples(names, names, names, names), st.tuples(names, names, names, names))
def test_a_key_is_short_the_same_each_time_and_never_that_of_another(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str]
) -> None:
    assert message_key(*one) == message_key(*one)
    assert len(message_key(*one)) <= 160
    assert (message_key(*one) == message_key(*other)) == (one == other)


def test_long_names_that_differ_at_their_ends_alone_have_different_keys() -> None:
    keys = {message_key("i" * 64, "s" * 40, "c" * 64, "n" * 63 + end) for end in "abc"}
    assert len(keys) == 3
    assert {len(each) for each in keys} == {160}


@pytest.mark.parametrize(
    ("zone", "now", "due"),
    [
        ("Europe/Vienna", "2026-01-05T23:30+01:00", "2026-01-06T07:00+01:00"),
        ("Europe/Vienna", "2026-01-06T03:00+01:00", "2026-01-06T07:00+01:00"),
        ("Europe/Vienna", "2026-01-06T07:00+01:00", "2026-01-06T07:00+01:00"),
        ("Europe/Vienna", "2026-01-06T21:59+01:00", "2026-01-06T21:59+01:00"),
        # The clocks are put forward and back in the night between.
        ("Europe/Vienna", "2026-03-28T23:00+01:00", "2026-03-29T07:00+02:00"),
        ("Europe/Vienna", "2026-10-24T23:00+02:00", "2026-10-25T07:00+01:00"),
        ("Asia/Kolkata", "2026-01-05T22:00+05:30", "2026-01-06T07:00+05:30"),
    ],
)
def test_what_may_not_disturb_waits_until_the_local_morning(zone: str, now: str, due: str) -> None:
    moment = datetime.fromisoformat(now)
    assert after_quiet_hours(NIGHT, zone, Severity.P2, moment) == datetime.fromisoformat(due)
    assert after_quiet_hours(NIGHT, zone, Severity.P1, moment) == moment


def test_an_end_that_is_skipped_or_comes_twice_is_still_an_end() -> None:
    quiet = QuietHours(start=time(22), end=time(2, 30), severities=())
    spring = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # 01:00 in Vienna; 02:00 becomes 03:00 at 01:00 UTC
    assert after_quiet_hours(quiet, "Europe/Vienna", Severity.P0, spring) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # 02:10 in Vienna for the second time
    assert after_quiet_hours(quiet, "Europe/Vienna", Severity.P0, second_pass) == datetime(
        2026, 10, 25, 1, 30, tzinfo=UTC
    )


@given(
    st.integers(0, 365 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.times(),
    st.times(),
    st.sampled_from(["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_the_wait_ends_at_the_end_and_is_shorter_than_a_day(now: datetime, start: time, end: time, zone: str) -> None:
    quiet = QuietHours(start=start, end=end, severities=())
    due = after_quiet_hours(quiet, zone, Severity.P0, now)
    assert now <= due <= now + timedelta(hours=25)
    if due != now:
        local = due.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        skipped = (
            due.astimezone(ZoneInfo(zone)).utcoffset()
            != (due - timedelta(hours=2)).astimezone(ZoneInfo(zone)).utcoffset()
        )
        assert local.time() == end or skipped
    if start == end:
        assert due == now


def test_a_test_does_not_wait_for_the_morning() -> None:
    response = a_response({}, hook=HOOK)
    ada = a_contact("ada", "hook", quiet_hours=NIGHT)
    night = NOON.replace(hour=23)
    notice = a_notice(severity=Severity.P3)
    assert plan(notice, (ada,), response, "initial", night)[0].due_at == night + timedelta(hours=8)
    assert plan(replace(notice, kind=NoticeKind.TEST), (ada,), response, "test", night)[0].due_at == night


def test_what_failed_goes_to_the_next_working_channel_that_has_not_got_it() -> None:
    before = a_response({"ada": ("mail", "hook")}, mail=MAIL, hook=HOOK)
    rows = plan(a_notice(), before.contacts, before, "initial", NOON)
    failed = replace(rows[0], state=OutboxState.FAILED)
    later = NOON + timedelta(minutes=1)
    assert substitutes(failed, rows, before, later) == (), "the webhook has it"
    mended = a_response({"ada": ("mail", "hook", "chat")}, mail=MAIL, hook=HOOK, chat={**HOOK, "type": "slack"})
    (instead,) = substitutes(failed, rows, mended, later)
    assert (instead.key, instead.channel, instead.due_at) == ("inc-01:initial:ada:chat", "chat", later)
    assert (instead.created_at, instead.payload, instead.stops_on_acknowledge) == (NOON, failed.payload, True)


def test_a_message_goes_to_the_log_when_no_channel_is_left() -> None:
    response = a_response({"ada": ("mail", "hook")}, mail=MAIL, hook=HOOK)
    rows = plan(a_notice(), response.contacts, response, "initial", NOON)
    dead = tuple(replace(row, state=OutboxState.FAILED) for row in rows)
    (instead,) = substitutes(dead[0], dead, response, NOON)
    assert (instead.channel, instead.contact) == ("log", "ada")
    assert substitutes(replace(instead, state=OutboxState.FAILED), (*dead, instead), response, NOON) == ()


def test_messages_to_a_removed_contact_go_to_the_log() -> None:
    response = a_response({"ada": ("mail",)}, mail=MAIL)
    (row,) = plan(a_notice(), response.contacts, response, "initial", NOON)
    (instead,) = substitutes(row, (row,), ResponseSettings(), NOON)
    assert (instead.channel, OPERATOR.channels[0].channel) == ("log", "log")


@pytest.mark.parametrize("change", [{"payload": {}}, {"kind": "of a later release"}])
def test_what_cannot_be_read_goes_nowhere_else(change: dict[str, object]) -> None:
    (row, _) = plan(a_notice(), (), ResponseSettings(), "initial", NOON)
    assert substitutes(replace(row, **change), (), ResponseSettings(), NOON) == ()  # type: ignore[arg-type]


def a_team(*, zones: tuple[str, ...] = ("UTC", "UTC", "UTC")) -> ResponseSettings:
    """Ada and Bob share an address, everybody a chat; Cyd has an address of her own."""
    addresses = {"ada": "team@example.org", "bob": "team@example.org", "cyd": "cyd@example.org"}
    contacts = tuple(
        Contact(
            id=name,
            name=name.title(),
            time_zone=zone,
            channels=(ContactAddress(channel="mail", address=address), ContactAddress(channel="chat")),
        )
        for (name, address), zone in zip(addresses.items(), zones, strict=True)
    )
    channels = a_response({}, mail=MAIL, chat={"type": "slack", "url": "http://127.0.0.1:1/"}).channels
    return ResponseSettings(contacts=contacts, channels=channels)


def test_those_who_share_an_address_get_one_message_that_names_all() -> None:
    response = a_team()
    rows = plan(a_notice(), response.contacts, response, "initial", NOON)
    assert [(row.channel, row.address, row.contacts) for row in rows] == [
        ("mail", "team@example.org", ("ada", "bob")),
        ("chat", "chat", ("ada", "bob", "cyd")),
        ("mail", "cyd@example.org", ("cyd",)),
    ]
    assert "For: Ada, Bob, Cyd\n" in rows[1].payload["body"]
    assert "For:" not in rows[2].payload["body"]
    assert rows[1].key == "inc-01:initial:ada:chat"


def test_a_message_for_several_is_in_their_zone_or_in_utc_and_comes_when_one_may_be_disturbed() -> None:
    vienna = a_team(zones=("Europe/Vienna",) * 3)
    (_, chat, _) = plan(a_notice(), vienna.contacts, vienna, "initial", NOON)
    assert "Europe/Vienna" in chat.payload["body"]
    mixed = a_team(zones=("Europe/Vienna", "Asia/Kathmandu", "UTC"))
    (_, chat, _) = plan(a_notice(), mixed.contacts, mixed, "initial", NOON)
    assert "Vienna" not in chat.payload["body"]
    ada, bob, cyd = vienna.contacts
    night = NOON.replace(hour=23)
    asleep = ada.model_copy(update={"quiet_hours": NIGHT})
    rows = plan(a_notice(severity=Severity.P2), (asleep, bob, cyd), vienna, "initial", night)
    assert [row.due_at for row in rows] == [night] * 3
    alone = plan(a_notice(severity=Severity.P2), (asleep,), vienna, "initial", night)
    assert all(row.due_at > night for row in alone)


def test_when_a_shared_message_fails_for_good_each_is_reached_by_their_next_channel() -> None:
    response = a_team()
    mail, chat, own = plan(a_notice(), response.contacts, response, "initial", NOON)
    rows = (mail, replace(chat, state=OutboxState.FAILED), own)
    assert substitutes(rows[1], rows, response, NOON) == (), "everybody has a mail of this step"
    dead = (replace(mail, state=OutboxState.FAILED), replace(chat, state=OutboxState.FAILED), own)
    (instead,) = substitutes(dead[1], dead, response, NOON)
    assert (instead.channel, instead.contacts, instead.contact) == ("log", ("ada", "bob"), "ada")
    without = response.model_copy(update={"contacts": response.contacts[:2]})
    assert substitutes(dead[0], (dead[0],), without, NOON)[0].contacts == ("ada", "bob")


def test_a_page_that_keeps_failing_also_goes_to_the_log() -> None:
    response = a_response({"ada": ("mail",)}, mail=MAIL)
    (page,) = plan(a_notice(), response.contacts, response, "initial", NOON)
    (update,) = plan(a_notice(NoticeKind.UPDATE), response.contacts, response, "update-1", NOON)
    told = fallback(replace(page, attempts=5), NOON)
    assert told is not None
    assert (told.key, told.attempts) == ("inc-01:initial:ada:log", 0)
    assert fallback(replace(page, attempts=4), NOON) is None
    assert fallback(replace(update, attempts=50), NOON) is None

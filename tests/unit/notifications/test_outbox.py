from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.notifications.notice import NoticeKind
from orchestration.security.redaction import Redactor
from orchestration.storage.database import Database
from orchestration.storage.outbox import Backlog, DeliveryAttempt, Outbox, OutboxRow, OutboxState, SendOutcome
from tests.support.database import migrated
from tests.support.notices import NOON

MINUTE = timedelta(minutes=1)


def a_row(step: str, at: datetime = NOON, **changes: Any) -> OutboxRow:
    """A message to ada; the step is its kind too where it is one."""
    kind = step if step in list(NoticeKind) else "update"
    known: dict[str, Any] = {
        "key": f"inc-01:{step}:ada:hook",
        "incident_id": "inc-01",
        "kind": kind,
        "contact": "ada",
        "channel": "hook",
        "address": None,
        "payload": {"step": step},
        "stops_on_acknowledge": kind in ("initial", "escalation", "at-risk"),
        "created_at": at,
        "due_at": at,
    }
    return OutboxRow(**{**known, **changes})


def due(outbox: Outbox, now: datetime = NOON, limit: int = 50) -> list[str]:
    return [row.payload["step"] for row in outbox.list_due("hook", now, limit)]


def done(row: OutboxRow, outcome: SendOutcome = SendOutcome.SENT, detail: str = "") -> DeliveryAttempt:
    return DeliveryAttempt(row.key, NOON, outcome, 0.1, detail)


@contextmanager
def rolled_back(database: Database) -> Iterator[Any]:
    """A transaction that fails at its end."""
    with contextlib.suppress(ZeroDivisionError), database.write() as connection:
        yield connection
        raise ZeroDivisionError


def test_a_message_is_committed_or_rolled_back_with_the_change_that_it_reports(database: Database) -> None:
    outbox = Outbox(database)
    with rolled_back(database) as connection:
        assert outbox.add([a_row("initial")], connection) == 1
    assert outbox.list_for_incident("inc-01") == ()


def test_the_same_message_is_put_once_whatever_became_of_it(database: Database) -> None:
    outbox = Outbox(database)
    told: list[str] = []
    unsubscribe = outbox.subscribe(lambda: told.append("put"))
    assert outbox.add([a_row("initial"), a_row("initial")]) == 1
    outbox.mark_sent(a_row("initial"), done(a_row("initial")))
    assert outbox.add([a_row("initial")]) == 0
    assert told == ["put"]
    unsubscribe()
    outbox.add([a_row("update-1")])
    assert told == ["put"]
    assert outbox.list_for_incident("inc-01")[0].state is OutboxState.SENT


def test_no_secret_is_written(database: Database) -> None:
    outbox = Outbox(database, Redactor(["hunter2-hunter2"]).data)
    outbox.add([a_row("initial", payload={"step": "initial", "body": "the key is hunter2-hunter2"})])
    assert outbox.list_for_incident("inc-01")[0].payload["body"] == "the key is [redacted:credential]"


def test_a_message_is_claimed_by_one_and_comes_back_when_the_claim_ends(database: Database) -> None:
    outbox = Outbox(database)
    outbox.add([a_row("initial")])
    (row,) = outbox.list_due("hook", NOON, 10)
    claimed = outbox.claim(row, NOON + MINUTE)
    assert claimed is not None
    assert claimed.attempts == 1
    assert outbox.claim(row, NOON + MINUTE) is None
    assert due(outbox) == []
    assert due(outbox, NOON + MINUTE) == ["initial"]


def test_an_acknowledgement_stops_pages_that_were_read_but_not_claimed(database: Database) -> None:
    outbox = Outbox(database)
    outbox.add([a_row("initial"), a_row("resolved", channel="mail", key="other")])
    (row,) = outbox.list_due("hook", NOON, 10)
    with database.write() as connection:
        assert outbox.cancel_pages("inc-01", NOON, connection) == 1
    assert outbox.claim(row, NOON + MINUTE) is None
    assert outbox.list_due_channels(NOON) == ("mail",)


def test_a_message_that_was_sent_during_the_acknowledgement_counts_as_sent(database: Database) -> None:
    outbox = Outbox(database)
    outbox.add([a_row("initial")])
    claimed = outbox.claim(a_row("initial"), NOON + MINUTE)
    assert claimed is not None
    with database.write() as connection:
        outbox.cancel_pages("inc-01", NOON, connection)
    outbox.mark_sent(claimed, done(claimed))
    assert outbox.list_for_incident("inc-01")[0].state is OutboxState.SENT


def test_what_failed_in_that_moment_stays_stopped_and_goes_nowhere_else(database: Database) -> None:
    outbox = Outbox(database)
    outbox.add([a_row("initial")])
    claimed = outbox.claim(a_row("initial"), NOON + MINUTE)
    assert claimed is not None
    with database.write() as connection:
        outbox.cancel_pages("inc-01", NOON, connection)
    outbox.postpone(claimed, NOON + MINUTE, done(claimed, SendOutcome.RETRIED))
    outbox.mark_failed(
        claimed, done(claimed, SendOutcome.FAILED), lambda _: a_row("initial", key="instead", channel="log")
    )
    assert [row.state for row in outbox.list_for_incident("inc-01")] == [OutboxState.CANCELLED]
    assert [each.outcome for each in outbox.list_attempts(claimed.key)] == [SendOutcome.RETRIED, SendOutcome.FAILED]


def test_of_two_that_fail_the_second_knows(database: Database) -> None:
    outbox = Outbox(database)
    rows = [a_row("initial"), a_row("initial", key="mail", channel="mail")]
    outbox.add(rows)
    seen: list[list[OutboxState]] = []
    for row in rows:
        outbox.mark_failed(
            row, done(row, SendOutcome.FAILED), lambda siblings: seen.append([each.state for each in siblings]) or ()
        )
    assert seen == [[OutboxState.PENDING] * 2, [OutboxState.FAILED, OutboxState.PENDING]]


def test_a_contact_gets_the_messages_of_an_incident_in_order(database: Database) -> None:
    outbox = Outbox(database)
    # The last three are put at the same moment, as a short incident would.
    outbox.add([a_row(step) for step in ("resolved", "acknowledged", "initial")])
    outbox.add([a_row("before", NOON - MINUTE)])
    heard = []
    while steps := due(outbox):
        (step,) = steps
        heard.append(step)
        outbox.mark_sent(a_row(step), done(a_row(step)))
    assert heard == ["before", "initial", "acknowledged", "resolved"]


def test_the_end_waits_while_the_beginning_is_tried_again(database: Database) -> None:
    outbox = Outbox(database)
    outbox.add([a_row("initial"), a_row("resolved", NOON + MINUTE)])
    claimed = outbox.claim(a_row("initial"), NOON + MINUTE)
    assert claimed is not None
    outbox.postpone(claimed, NOON + 5 * MINUTE, done(claimed, SendOutcome.RETRIED, "503"))
    assert due(outbox, NOON + 2 * MINUTE) == []
    assert due(outbox, NOON + 5 * MINUTE) == ["initial"]
    assert outbox.backlog(NOON + 2 * MINUTE) == Backlog(1, NOON + MINUTE)


def test_after_quiet_hours_the_first_message_comes_first(database: Database) -> None:
    outbox = Outbox(database)
    morning = NOON + timedelta(hours=8)
    outbox.add([a_row("initial", due_at=morning), a_row("quiet", NOON + MINUTE, due_at=morning)])
    assert due(outbox, NOON + 2 * MINUTE) == []
    outbox.add([a_row("escalation", NOON + 2 * MINUTE)])
    assert outbox.list_due_channels(NOON + 2 * MINUTE) == ("hook",)
    assert due(outbox, NOON + 2 * MINUTE) == ["initial"]
    outbox.mark_sent(a_row("initial"), done(a_row("initial")))
    assert due(outbox, NOON + 2 * MINUTE) == ["quiet"]


def test_other_incidents_contacts_and_channels_do_not_wait(database: Database) -> None:
    outbox = Outbox(database)
    late = {"due_at": NOON + MINUTE, "attempts": 1}
    outbox.add(
        [
            a_row("initial", **late),
            a_row("resolved", NOON + MINUTE / 2, due_at=NOON),
            a_row("a", key="1", contact="bob"),
            a_row("b", key="2", incident_id="inc-02"),
            a_row("c", key="3", incident_id=None),
            a_row("d", key="4", incident_id=None),
        ]
    )
    assert due(outbox) == ["a", "b", "c", "d"]
    assert due(outbox, limit=2) == ["a", "b"]


def test_the_last_try_on_each_channel_is_known(database: Database) -> None:
    outbox = Outbox(database)
    assert outbox.last_attempts() == {}
    rows = [a_row("a", key="1"), a_row("b", key="2"), a_row("c", key="3", channel="mail")]
    outbox.add(rows)
    outbox.mark_sent(rows[0], done(rows[0]))
    outbox.postpone(rows[1], NOON + MINUTE, done(rows[1], SendOutcome.RETRIED, "503"))
    outbox.add_settled(rows[2], done(rows[2]))
    last = outbox.last_attempts()
    assert {name: (each.key, each.outcome) for name, each in last.items()} == {
        "hook": ("2", SendOutcome.RETRIED),
        "mail": ("3", SendOutcome.SENT),
    }


def test_what_went_past_the_outbox_is_kept_as_settled(database: Database) -> None:
    outbox = Outbox(database)
    for step, outcome in (("one", SendOutcome.SENT), ("two", SendOutcome.FAILED)):
        outbox.add_settled(a_row(step), done(a_row(step), outcome, "what it said"))
    assert [(row.state, row.attempts) for row in outbox.list_for_incident("inc-01")] == [
        (OutboxState.SENT, 1),
        (OutboxState.FAILED, 1),
    ]
    assert due(outbox) == []
    assert [each.detail for each in outbox.list_attempts("inc-01:two:ada:hook")] == ["what it said"]


kinds = st.sampled_from(["initial", "update", "escalation", "resolved", "acknowledged"])


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = migrated(f"sqlite:///{tmp_path_factory.mktemp('order')}/orchestrator.db")
    yield database
    database.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(kinds, st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=6))
def test_whatever_fails_meanwhile_the_order_of_a_story_is_kept(
    lasting: Database, story: list[tuple[str, int, int, int]]
) -> None:
    outbox = Outbox(lasting)
    incident = secrets.token_hex(8)
    failures = {f"{incident}:{number}": times for number, (*_, times) in enumerate(story)}
    rows = [
        a_row(kind, NOON + created * MINUTE, key=key, incident_id=incident, due_at=NOON + (created + delay) * MINUTE)
        for key, (kind, created, delay, _) in zip(failures, story, strict=True)
    ]
    outbox.add(rows)
    now, heard = NOON, []
    while len(heard) < len(rows):
        for row in outbox.list_due("hook", now, 10):
            claimed = outbox.claim(row, now + MINUTE)
            assert claimed is not None
            if row.attempts == failures[row.key]:
                outbox.mark_sent(claimed, done(claimed))
                heard.append(row)
            else:
                outbox.postpone(claimed, now + 2 * MINUTE, done(claimed, SendOutcome.RETRIED))
        now += MINUTE
    assert [row.created_at for row in heard] == sorted(row.created_at for row in rows)

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
import sqlalchemy as sa

from orchestration.clock import FakeClock
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.recipients import plan
from orchestration.notifications.sender import LEASE, OutboxSender
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import OutboxRow, SendOutcome
from tests.integration.notifications.conftest import SECRET, Desk
from tests.support.notices import NOON, a_notice, a_response
from tests.support.patience import fail_after, until_async
from tests.support.receivers import Answer, HttpReceiver

MakeDesk = Callable[..., Desk]


def hook(receiver: HttpReceiver, **more: object) -> dict[str, object]:
    return {"type": "webhook", "url": receiver.url, **more}


@asynccontextmanager
async def at_work(sender: OutboxSender) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(sender.run)
        yield
        group.cancel_scope.cancel()


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait for something to become true."""
    await until_async(condition, seconds)


async def test_what_is_sent_is_marked_told_and_proved(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    (row,) = desk.put(a_notice())
    await desk.sender().send_due()
    assert [body["id"] for body in receiver.bodies()] == [row.key]
    assert desk.states() == {"initial:ada:hook": "sent"}
    (delivery,) = desk.outbox.list_attempts(row.key)
    assert (delivery.outcome, delivery.detail) == (SendOutcome.SENT, "")
    assert 0 < delivery.seconds < 5
    (event,) = desk.events
    assert (event.kind, event.data["contact"], event.data["attempt"]) == ("notification.sent", "ada", 1)


async def test_a_new_message_goes_out_at_once(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    sender = desk.sender()
    async with at_work(sender):
        await until(lambda: sender.leads)
        await anyio.sleep(0.2)
        desk.put(a_notice())
        await until(lambda: receiver.received, seconds=0.5)


async def test_a_message_of_a_transaction_that_takes_its_time_goes_out_soon_after(
    make_desk: MakeDesk, receiver: HttpReceiver
) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    sender = desk.sender()

    async with at_work(sender):
        await until(lambda: sender.leads)
        with desk.database.write() as connection:
            desk.outbox.add([_row(desk)], connection)
            await anyio.sleep(0.2)
            assert receiver.received == []
        await until(lambda: receiver.received, seconds=0.6)


def _row(desk: Desk) -> OutboxRow:
    return plan(a_notice(), desk.settings.contacts, desk.settings, "initial", desk.clock.now())[0]


async def test_a_channel_that_hangs_delays_no_other(
    make_desk: MakeDesk, receiver: HttpReceiver, other: HttpReceiver
) -> None:
    receiver.answer = Answer(delay=1.0)
    channels = {"slow": hook(receiver, timeout=0.8), "hook": hook(other)}
    desk = make_desk(a_response({"ada": ("slow", "hook")}, **channels))
    async with at_work(desk.sender()):
        desk.put(a_notice())
        await until(lambda: other.received, seconds=1.5)
        await until(lambda: receiver.received)
        assert "sent" not in desk.states()["initial:ada:slow"]
        desk.put(a_notice(NoticeKind.UPDATE), "update-1")
        await until(lambda: len(other.received) == 2, seconds=0.5)


async def test_a_receiver_that_is_down_for_hours_loses_nothing(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    clock, sender = desk.clock, desk.sender()
    assert isinstance(clock, FakeClock)
    receiver.answer = Answer(503, "down for maintenance")
    desk.put(a_notice())
    desk.put(a_notice(NoticeKind.UPDATE), "update-1")
    for _ in range(90):
        await sender.send_due()
        await clock.advance(120)
    assert {body["id"] for body in receiver.bodies()} == {"inc-01:initial:ada:hook"}, "the update waits for its turn"
    tries = len(receiver.received)
    assert tries == 90
    assert desk.states() == {
        "initial:ada:hook": "pending",
        "initial:ada:log": "sent",
        "update-1:ada:hook": "pending",
    }, "the log is told meanwhile"
    receiver.answer = Answer()
    await sender.send_due()
    assert [body["id"] for body in receiver.bodies()[tries:]] == ["inc-01:initial:ada:hook", "inc-01:update-1:ada:hook"]
    assert set(desk.states().values()) == {"sent"}
    assert desk.told() == [*["retried"] * 5, "sent", *["retried"] * 85, "sent", "sent"]
    assert desk.outbox.list_attempts("inc-01:initial:ada:hook")[0].detail.endswith("503: down for maintenance")


async def test_tries_come_less_often_and_never_stop(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    sender = desk.sender()
    receiver.answer = Answer(500)
    (row,) = desk.put(a_notice())
    waits = []
    for _ in range(12):
        await sender.send_due()
        row = desk.outbox.list_for_incident("inc-01")[0]
        waits.append((row.due_at - desk.clock.now()).total_seconds())
        assert isinstance(desk.clock, FakeClock)
        await desk.clock.advance(waits[-1])
    assert all(0.25 <= wait <= min(60, 2 * 2**attempt) for attempt, wait in enumerate(waits))
    assert row.attempts == 12


async def test_the_end_is_never_told_before_the_beginning(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    receiver.answers = [Answer(500), Answer(500)]
    desk.put(a_notice(NoticeKind.RESOLVED), "resolved")
    desk.put(a_notice())
    for _ in range(4):
        await desk.sender().send_due()
        assert isinstance(desk.clock, FakeClock)
        await desk.clock.advance(60)
    kinds = [body["type"].rpartition(".")[2] for body in receiver.bodies()]
    assert kinds == ["initial", "initial", "initial", "resolved"]


async def test_what_the_receiver_asks_for_is_kept_by_the_whole_channel(
    make_desk: MakeDesk, receiver: HttpReceiver
) -> None:
    desk = make_desk(a_response({"ada": ("hook",), "bob": ("hook",)}, hook=hook(receiver)), fake=True)
    receiver.answers = [Answer(429, "slow down", {"retry-after": "100"})]
    desk.put(a_notice())
    sender, clock = desk.sender(), desk.clock
    assert isinstance(clock, FakeClock)
    await sender.send_due()
    waiting = [row for row in desk.outbox.list_for_incident("inc-01") if row.due_at > NOON]
    assert [row.due_at >= NOON + timedelta(seconds=100) for row in waiting] == [True]
    desk.put(a_notice(NoticeKind.UPDATE, incident_id="inc-02"), "update-1")
    before = len(receiver.received)
    async with anyio.create_task_group() as group:
        group.start_soon(sender.send_due)
        await anyio.sleep(0.2)
        await clock.advance(99)
        assert len(receiver.received) == before
        await clock.advance(2)
        await until(lambda: len(receiver.received) == before + 3)


async def test_what_will_never_work_goes_to_the_next_channel(
    make_desk: MakeDesk, receiver: HttpReceiver, other: HttpReceiver
) -> None:
    receiver.answer = Answer(410, f"gone; your key was {SECRET}")
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    (row,) = desk.put(a_notice())
    desk.settings = a_response({"ada": ("hook", "spare")}, hook=hook(receiver), spare=hook(other))
    await desk.sender().send_due()
    assert desk.states() == {"initial:ada:hook": "failed", "initial:ada:spare": "sent"}
    assert other.bodies()[0]["data"]["body"] == row.payload["body"]
    assert desk.told() == ["failed", "sent"]
    detail = desk.outbox.list_attempts(row.key)[0].detail
    assert detail.endswith("answered 410: gone; your key was [redacted:credential]")


async def test_with_no_channel_left_the_log_is_told(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    receiver.answer = Answer(404)
    desk = make_desk(
        a_response({"ada": ("hook", "chat")}, hook=hook(receiver), chat={**hook(receiver), "type": "slack"})
    )
    desk.put(a_notice())
    await desk.sender().send_due()
    assert desk.states() == {"initial:ada:hook": "failed", "initial:ada:chat": "failed", "initial:ada:log": "sent"}
    assert sorted(desk.told()) == ["failed", "failed", "sent"]


async def test_after_the_acknowledgement_no_page_goes_out_and_the_rest_does(
    make_desk: MakeDesk, receiver: HttpReceiver
) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    desk.put(a_notice())
    desk.put(a_notice(NoticeKind.ESCALATION), "escalation-1")
    desk.put(a_notice(NoticeKind.ACKNOWLEDGED), "acknowledged")
    with desk.database.write() as connection:
        desk.outbox.cancel_pages("inc-01", desk.clock.now(), connection)
    await desk.sender().send_due()
    assert [body["id"] for body in receiver.bodies()] == ["inc-01:acknowledged:ada:hook"]


async def test_two_senders_at_once_send_each_message_once(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    contacts = {f"person-{number}": ("hook",) for number in range(40)}
    desks = [make_desk(a_response(contacts, hook=hook(receiver))) for _ in range(2)]
    rows = desks[0].put(a_notice())
    receiver.answer = Answer(delay=0.01)
    async with anyio.create_task_group() as group:
        for number, desk in enumerate(desks):
            group.start_soon(desk.sender(f"sender-{number}").send_due)
    assert sorted(body["id"] for body in receiver.bodies()) == sorted(row.key for row in rows)
    assert all(len(desks[0].outbox.list_attempts(row.key)) == 1 for row in rows)


async def test_one_leads_and_another_takes_over(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    one, two = (make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver))) for _ in range(2))
    first, second = one.sender("first"), two.sender("second")
    async with anyio.create_task_group() as group:
        async with at_work(first):
            await until(lambda: first.leads)
            group.start_soon(second.run)
            await anyio.sleep(0.2)
            assert [lease.holder for lease in Leases(one.database).list(LEASE)] == ["first"]
            assert not second.leads
        await until(lambda: second.leads)
        two.put(a_notice())
        await until(lambda: receiver.received)
        group.cancel_scope.cancel()
    assert Leases(one.database).list(LEASE) == ()


async def test_a_poisoned_message_is_postponed_then_complained_of_and_holds_up_nobody(
    make_desk: MakeDesk, receiver: HttpReceiver
) -> None:
    desk = make_desk(a_response({"ada": ("hook",), "bob": ("hook",)}, hook=hook(receiver)), fake=True)
    good, bad = desk.put(a_notice())
    with desk.database.write() as connection:
        connection.execute(sa.text("UPDATE outbox SET payload = '{}' WHERE key = :key"), {"key": bad.key})
    sender, clock = desk.sender(), desk.clock
    assert isinstance(clock, FakeClock)
    for _ in range(5):
        with pytest.raises(KeyError):
            await sender.send_due()
        await clock.advance(120)
    assert desk.states() == {"initial:ada:hook": "sent", "initial:bob:hook": "failed"}
    assert {each.detail for each in desk.outbox.list_attempts(bad.key)} == {"unexpected KeyError"}
    assert [body["id"] for body in receiver.bodies()] == [good.key]


async def test_what_is_under_way_when_the_process_stops_is_sent_once(
    make_desk: MakeDesk, receiver: HttpReceiver
) -> None:
    receiver.answer = Answer(delay=0.3)
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    async with at_work(desk.sender()):
        desk.put(a_notice())
        await until(lambda: receiver.received)
        assert desk.states() == {"initial:ada:hook": "pending"}
    assert desk.states() == {"initial:ada:hook": "sent"}


async def test_stopping_does_not_wait_for_a_receiver_that_hangs(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    receiver.answer = Answer(delay=4)
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver, timeout=60)))
    with fail_after(3.5):
        async with at_work(desk.sender()):
            desk.put(a_notice())
            await until(lambda: receiver.received)
    assert desk.states() == {"initial:ada:hook": "pending"}


async def test_the_sender_outlives_a_database_that_is_away(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    sender = desk.sender()
    async with at_work(sender):
        await until(lambda: sender.leads)
        with desk.database.write() as connection:
            connection.execute(sa.text("ALTER TABLE outbox RENAME TO outbox_away"))
        sender.nudge()
        await anyio.sleep(0.3)
        with desk.database.write() as connection:
            connection.execute(sa.text("ALTER TABLE outbox_away RENAME TO outbox"))
        desk.put(a_notice())
        await until(lambda: receiver.received)


async def test_no_secret_leaves_the_house(make_desk: MakeDesk, receiver: HttpReceiver) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    desk.put(a_notice(details=f"it answered: bad key {SECRET}"))
    await desk.sender().send_due()
    sent = receiver.received[0].body.decode()
    assert SECRET not in sent
    assert "bad key [redacted:credential]" in sent


async def test_a_message_that_waits_for_the_morning_is_not_sent_at_night(
    make_desk: MakeDesk, receiver: HttpReceiver
) -> None:
    desk = make_desk(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    desk.outbox.add([replace(_row(desk), due_at=NOON + timedelta(hours=8))])
    await desk.sender().send_due()
    assert desk.states() == {"initial:ada:hook": "pending"}
    assert isinstance(desk.clock, FakeClock)
    await desk.clock.advance(8 * 3600)
    await desk.sender().send_due()
    assert desk.states() == {"initial:ada:hook": "sent"}

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
import sqlalchemy as sa

from orchestration.clock import FakeClock
from orchestration.domain.severity import Severity
from orchestration.notifications.channels import ChannelMessage
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.recipients import plan
from orchestration.notifications.sender import LEASE, OutboxSender
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import OutboxRow, SendOutcome
from tests.integration.notifications.conftest import SECRET, SenderBench
from tests.support.notices import NOON, a_notice, a_response
from tests.support.patience import fail_after, until_async
from tests.support.receivers import Answer, HttpReceiver

MakeBench = Callable[..., SenderBench]


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


async def test_a_sent_message_is_marked_published_and_recorded(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    (row,) = bench.put(a_notice())
    await bench.sender().send_due()
    assert [body["id"] for body in receiver.bodies()] == [row.key]
    assert bench.states() == {"initial:ada:hook": "sent"}
    (delivery,) = bench.outbox.list_attempts(row.key)
    assert (delivery.outcome, delivery.detail) == (SendOutcome.SENT, "")
    assert 0 < delivery.seconds < 5
    (event,) = bench.events
    assert (event.kind, event.data["contact"], event.data["attempt"]) == ("notification.sent", "ada", 1)


async def test_a_new_message_goes_out_at_once(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    sender = bench.sender()
    async with at_work(sender):
        await until(lambda: sender.leads)
        await anyio.sleep(0.2)
        bench.put(a_notice())
        await until(lambda: receiver.received, seconds=0.5)


async def test_a_message_of_a_transaction_that_takes_its_time_goes_out_soon_after(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    sender = bench.sender()

    async with at_work(sender):
        await until(lambda: sender.leads)
        with bench.database.write() as connection:
            bench.outbox.add([_row(bench)], connection)
            await anyio.sleep(0.2)
            assert receiver.received == []
        await until(lambda: receiver.received, seconds=0.6)


def _row(bench: SenderBench) -> OutboxRow:
    return plan(a_notice(), bench.settings.contacts, bench.settings, "initial", bench.clock.now())[0]


async def test_a_channel_that_hangs_delays_no_other(
    make_bench: MakeBench, receiver: HttpReceiver, other: HttpReceiver
) -> None:
    receiver.answer = Answer(delay=1.0)
    channels = {"slow": hook(receiver, timeout=0.8), "hook": hook(other)}
    bench = make_bench(a_response({"ada": ("slow", "hook")}, **channels))
    async with at_work(bench.sender()):
        bench.put(a_notice())
        await until(lambda: other.received, seconds=1.5)
        await until(lambda: receiver.received)
        assert "sent" not in bench.states()["initial:ada:slow"]
        bench.put(a_notice(NoticeKind.UPDATE), "update-1")
        await until(lambda: len(other.received) == 2, seconds=0.5)


async def test_a_receiver_that_is_down_for_hours_loses_nothing(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    clock, sender = bench.clock, bench.sender()
    assert isinstance(clock, FakeClock)
    receiver.answer = Answer(503, "down for maintenance")
    bench.put(a_notice())
    bench.put(a_notice(NoticeKind.UPDATE), "update-1")
    for _ in range(90):
        await sender.send_due()
        await clock.advance(120)
    assert {body["id"] for body in receiver.bodies()} == {"inc-01:initial:ada:hook"}, "the update waits for its turn"
    tries = len(receiver.received)
    assert tries == 90
    assert bench.states() == {
        "initial:ada:hook": "pending",
        "initial:ada:log": "sent",
        "update-1:ada:hook": "pending",
    }, "the log is told meanwhile"
    receiver.answer = Answer()
    await sender.send_due()
    assert [body["id"] for body in receiver.bodies()[tries:]] == ["inc-01:initial:ada:hook", "inc-01:update-1:ada:hook"]
    assert set(bench.states().values()) == {"sent"}
    assert bench.outcomes() == [*["retried"] * 5, "sent", *["retried"] * 85, "sent", "sent"]
    assert bench.outbox.list_attempts("inc-01:initial:ada:hook")[0].detail.endswith("503: down for maintenance")


async def test_tries_come_less_often_and_never_stop(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    sender = bench.sender()
    receiver.answer = Answer(500)
    (row,) = bench.put(a_notice())
    waits = []
    for _ in range(12):
        await sender.send_due()
        row = bench.outbox.list_for_incident("inc-01")[0]
        waits.append((row.due_at - bench.clock.now()).total_seconds())
        assert isinstance(bench.clock, FakeClock)
        await bench.clock.advance(waits[-1])
    assert all(0.25 <= wait <= min(60, 2 * 2**attempt) for attempt, wait in enumerate(waits))
    assert row.attempts == 12


async def test_a_resolution_never_overtakes_the_first_message(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    receiver.answers = [Answer(500), Answer(500)]
    bench.put(a_notice(NoticeKind.RESOLVED), "resolved")
    bench.put(a_notice())
    for _ in range(4):
        await bench.sender().send_due()
        assert isinstance(bench.clock, FakeClock)
        await bench.clock.advance(60)
    kinds = [body["type"].rpartition(".")[2] for body in receiver.bodies()]
    assert kinds == ["initial", "initial", "initial", "resolved"]


async def test_what_the_receiver_asks_for_is_kept_by_the_whole_channel(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(a_response({"ada": ("hook",), "bob": ("hook",)}, hook=hook(receiver)), fake=True)
    receiver.answers = [Answer(429, "slow down", {"retry-after": "100"})]
    bench.put(a_notice())
    sender, clock = bench.sender(), bench.clock
    assert isinstance(clock, FakeClock)
    await sender.send_due()
    waiting = [row for row in bench.outbox.list_for_incident("inc-01") if row.due_at > NOON]
    assert [row.due_at >= NOON + timedelta(seconds=100) for row in waiting] == [True]
    bench.put(a_notice(NoticeKind.UPDATE, incident_id="inc-02"), "update-1")
    before = len(receiver.received)
    async with anyio.create_task_group() as group:
        group.start_soon(sender.send_due)
        await anyio.sleep(0.2)
        await clock.advance(99)
        assert len(receiver.received) == before
        await clock.advance(2)
        await until(lambda: len(receiver.received) == before + 3)


async def test_what_will_never_work_goes_to_the_next_channel(
    make_bench: MakeBench, receiver: HttpReceiver, other: HttpReceiver
) -> None:
    receiver.answer = Answer(410, f"gone; your key was {SECRET}")
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    (row,) = bench.put(a_notice())
    bench.settings = a_response({"ada": ("hook", "spare")}, hook=hook(receiver), spare=hook(other))
    await bench.sender().send_due()
    assert bench.states() == {"initial:ada:hook": "failed", "initial:ada:spare": "sent"}
    assert other.bodies()[0]["data"]["body"] == row.payload["body"]
    assert bench.outcomes() == ["failed", "sent"]
    detail = bench.outbox.list_attempts(row.key)[0].detail
    assert detail.endswith("answered 410: gone; your key was [redacted:credential]")


async def test_with_no_channel_left_the_message_goes_to_the_log(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    receiver.answer = Answer(404)
    bench = make_bench(
        a_response({"ada": ("hook", "chat")}, hook=hook(receiver), chat={**hook(receiver), "type": "slack"})
    )
    bench.put(a_notice())
    await bench.sender().send_due()
    assert bench.states() == {"initial:ada:hook": "failed", "initial:ada:chat": "failed", "initial:ada:log": "sent"}
    assert sorted(bench.outcomes()) == ["failed", "failed", "sent"]


async def test_after_the_acknowledgement_no_page_goes_out_and_the_rest_does(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    bench.put(a_notice())
    bench.put(a_notice(NoticeKind.ESCALATION), "escalation-1")
    bench.put(a_notice(NoticeKind.ACKNOWLEDGED), "acknowledged")
    with bench.database.write() as connection:
        bench.outbox.cancel_pages("inc-01", bench.clock.now(), connection)
    await bench.sender().send_due()
    assert [body["id"] for body in receiver.bodies()] == ["inc-01:acknowledged:ada:hook"]


async def test_two_senders_at_once_send_each_message_once(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    contacts = {f"person-{number}": ("hook",) for number in range(40)}
    benches = [make_bench(a_response(contacts, hook=hook(receiver))) for _ in range(2)]
    rows = benches[0].put(a_notice())
    receiver.answer = Answer(delay=0.01)
    async with anyio.create_task_group() as group:
        for number, bench in enumerate(benches):
            group.start_soon(bench.sender(f"sender-{number}").send_due)
    assert sorted(body["id"] for body in receiver.bodies()) == sorted(row.key for row in rows)
    assert all(len(benches[0].outbox.list_attempts(row.key)) == 1 for row in rows)


async def test_one_leads_and_another_takes_over(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    one, two = (make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver))) for _ in range(2))
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


async def test_a_poisonous_message_is_postponed_then_reported_and_delays_no_other(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(a_response({"ada": ("hook",), "bob": ("hook",)}, hook=hook(receiver)), fake=True)
    good, bad = bench.put(a_notice())
    with bench.database.write() as connection:
        connection.execute(sa.text("UPDATE outbox SET payload = '{}' WHERE key = :key"), {"key": bad.key})
    sender, clock = bench.sender(), bench.clock
    assert isinstance(clock, FakeClock)
    for _ in range(5):
        with pytest.raises(KeyError):
            await sender.send_due()
        await clock.advance(120)
    assert bench.states() == {"initial:ada:hook": "sent", "initial:bob:hook": "failed"}
    assert {each.detail for each in bench.outbox.list_attempts(bad.key)} == {"unexpected KeyError"}
    assert [body["id"] for body in receiver.bodies()] == [good.key]


async def test_what_is_under_way_when_the_process_stops_is_sent_once(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    receiver.answer = Answer(delay=0.3)
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    async with at_work(bench.sender()):
        bench.put(a_notice())
        await until(lambda: receiver.received)
        assert bench.states() == {"initial:ada:hook": "pending"}
    assert bench.states() == {"initial:ada:hook": "sent"}


async def test_stopping_does_not_wait_for_a_receiver_that_hangs(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    receiver.answer = Answer(delay=4)
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver, timeout=60)))
    with fail_after(3.5):
        async with at_work(bench.sender()):
            bench.put(a_notice())
            await until(lambda: receiver.received)
    assert bench.states() == {"initial:ada:hook": "pending"}


async def test_the_sender_outlives_a_database_that_is_away(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    sender = bench.sender()
    async with at_work(sender):
        await until(lambda: sender.leads)
        with bench.database.write() as connection:
            connection.execute(sa.text("ALTER TABLE outbox RENAME TO outbox_away"))
        sender.nudge()
        await anyio.sleep(0.3)
        with bench.database.write() as connection:
            connection.execute(sa.text("ALTER TABLE outbox_away RENAME TO outbox"))
        bench.put(a_notice())
        await until(lambda: receiver.received)


async def test_no_secret_leaves_the_house(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)))
    bench.put(a_notice(details=f"it answered: bad key {SECRET}"))
    await bench.sender().send_due()
    sent = receiver.received[0].body.decode()
    assert SECRET not in sent
    assert "bad key [redacted:credential]" in sent


async def test_a_message_that_waits_for_the_morning_is_not_sent_at_night(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    bench.outbox.add([replace(_row(bench), due_at=NOON + timedelta(hours=8))])
    await bench.sender().send_due()
    assert bench.states() == {"initial:ada:hook": "pending"}
    assert isinstance(bench.clock, FakeClock)
    await bench.clock.advance(8 * 3600)
    await bench.sender().send_due()
    assert bench.states() == {"initial:ada:hook": "sent"}


async def test_what_is_most_urgent_goes_first_however_long_the_rest_has_waited(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver, perSecond=1)), fake=True)
    assert isinstance(bench.clock, FakeClock)
    for number in range(6):
        bench.put(a_notice(severity=Severity.P2, incident_id=f"mild-{number}"))
        await bench.clock.advance(1)
    async with anyio.create_task_group() as group:
        group.start_soon(bench.sender().send_due)
        await until(lambda: receiver.received)
        bench.put(a_notice(severity=Severity.P0, incident_id="grave"))
        for sent in range(2, 8):
            # One after the other: of two that are on their way at once either may arrive first.
            await bench.clock.advance(1)
            await until(lambda: len(receiver.received) >= sent)  # noqa: B023 (it ends before the next begins)
    order = [body["id"].partition(":")[0] for body in receiver.bodies()]
    assert order.index("grave") == 1, order
    assert [name for name in order if name != "grave"] == [f"mild-{number}" for number in range(6)]


async def test_a_recipient_whose_server_hangs_delays_nobody_else(make_bench: MakeBench, receiver: HttpReceiver) -> None:
    """The channel is one; of its recipients one never answers, and has sixty messages waiting."""
    held = anyio.Event()
    received: list[str] = []

    class Mixed:
        async def send(self, message: ChannelMessage) -> None:
            if message.contact == "hangs":
                await held.wait()
            received.append(message.key)

        async def aclose(self) -> None:
            held.set()

    bench = make_bench(a_response({"hangs": ("hook",), "ada": ("hook",)}, hook=hook(receiver, timeout=30)))
    bench.channels.send = lambda _, message: mixed.send(message)  # type: ignore[method-assign, assignment]
    mixed = Mixed()
    both = bench.settings.contacts
    for number in range(60):
        notice = a_notice(severity=Severity.P2, incident_id=f"mild-{number}")
        bench.outbox.add(plan(notice, both[:1], bench.settings, "initial", bench.clock.now()))
    async with at_work(bench.sender()):
        await anyio.sleep(0.3)
        notice = a_notice(severity=Severity.P0, incident_id="grave")
        bench.outbox.add(plan(notice, both[1:], bench.settings, "initial", bench.clock.now()))
        await until(lambda: received == ["grave:initial:ada:hook"], seconds=2)
        held.set()
        await until(lambda: len(received) == 61)


async def test_what_waits_for_a_receiver_goes_out_as_soon_as_it_answers_again(
    make_bench: MakeBench, receiver: HttpReceiver
) -> None:
    bench = make_bench(a_response({"ada": ("hook",)}, hook=hook(receiver)), fake=True)
    assert isinstance(bench.clock, FakeClock)
    receiver.answer = Answer(503, "down")
    for number in range(3):
        bench.put(a_notice(incident_id=f"old-{number}"))
    sender = bench.sender()
    for _ in range(8):
        await sender.send_due()
        await bench.clock.advance(60)
    await sender.send_due()
    receiver.answer = Answer()
    before = len(receiver.received)
    bench.put(a_notice(incident_id="new"))
    await sender.send_due()
    assert len(receiver.received) == before + 4, "the first success has told of the others' receiver, too"

from __future__ import annotations

import asyncio
from datetime import timedelta

import anyio
import pytest
import sqlalchemy as sa

from orchestration.domain.alert_status import AlertStatus
from orchestration.errors import ConflictError, NotFoundError
from orchestration.storage.alert_inbox import AlertInbox, InboxDelivery
from orchestration.storage.alerts import AlertRow, Alerts, GroupRow
from orchestration.storage.database import Database
from orchestration.storage.silences import SilenceKind, SilenceRow, Silences
from orchestration.web.inbox_writer import InboxWriter
from tests.support.alerts import NOON


def a_row(
    identifier: str, *, minutes: float = 0, status: AlertStatus = AlertStatus.FIRING, **values: object
) -> AlertRow:
    moment = NOON + timedelta(minutes=minutes)
    whole = {
        "id": identifier,
        "fingerprint": "f",
        "name": "cpu-high",
        "status": status,
        "source": "monitoring",
        "scenario": "high-resource-usage",
        "group_key": "high-resource-usage:a",
        "labels": {"host": "a"},
        "value": 91.5,
        "state": {"title": "x"},
        "since": moment,
        "updated_at": moment,
        **values,
    }
    return AlertRow(**whole)  # type: ignore[arg-type]


def test_an_alert_comes_back_as_it_was_written_and_is_written_over(database: Database) -> None:
    alerts = Alerts(database)
    row = a_row("alert-1", verdict="silenced", muted_by="silence-1", starts_at=NOON, drill=True)
    alerts.save([row])
    assert alerts.list() == (row,)
    ended = a_row("alert-1", status=AlertStatus.RESOLVED, ends_at=NOON)
    alerts.save([ended, a_row("alert-2", minutes=1)])
    assert [one.id for one in alerts.list()] == ["alert-2", "alert-1"]
    assert alerts.find("1") == ended


def test_alerts_are_listed_by_what_they_are_and_never_without_a_limit(database: Database) -> None:
    alerts = Alerts(database)
    pending = AlertStatus.PENDING
    alerts.save([a_row(f"alert-{number}", minutes=number) for number in range(60)])
    alerts.save([a_row("alert-p", status=pending, name="disk-low", scenario="x", group_key="g")])
    assert len(alerts.list()) == 50
    assert [one.id for one in alerts.list(limit=2)] == ["alert-59", "alert-58"]
    for found in (
        alerts.list([pending]),
        alerts.list(name="disk-low"),
        alerts.list(scenario="x"),
        alerts.list(group_key="g"),
    ):
        assert [one.id for one in found] == ["alert-p"]


def test_a_row_is_found_by_an_end_that_fits_no_other(database: Database) -> None:
    alerts = Alerts(database)
    alerts.save([a_row("alert-aa1"), a_row("alert-ba1"), a_row("alert-c%")])
    assert alerts.find("ba1").id == "alert-ba1"
    with pytest.raises(NotFoundError, match="it matches alert-aa1, alert-ba1"):
        alerts.find("a1")
    for text in ("zz", "", "%%"):
        with pytest.raises(NotFoundError, match="alerts list --all"):
            alerts.find(text)


def test_what_is_saved_and_what_is_taken_from_the_inbox_stand_or_fall_together(database: Database) -> None:
    alerts, inbox = Alerts(database), AlertInbox(database)
    for number in range(3):
        inbox.add(InboxDelivery("am", NOON, [{"n": number}]))
    first, second, third = inbox.list(10)
    with pytest.raises(sa.exc.SQLAlchemyError):
        alerts.save([a_row("alert-1", value=None)], taken=[first.sequence])
    assert inbox.count() == 3
    alerts.save([a_row("alert-1")], taken=[first.sequence, third.sequence])
    assert inbox.list(10) == (second,)


def test_the_inbox_is_taken_in_parts_that_fit_into_memory(database: Database) -> None:
    inbox = AlertInbox(database)
    for _ in range(50):
        inbox.add(InboxDelivery("am", NOON, [{"n": 1}] * 10))
    assert [len(inbox.list(at_most)) for at_most in (1, 10, 11, 255, 10_000)] == [1, 1, 2, 26, 50]


def test_a_start_goes_on_with_what_is_open_and_what_ended_lately(database: Database) -> None:
    alerts = Alerts(database)
    resolved = AlertStatus.RESOLVED
    alerts.save(
        [
            a_row("old-open", minutes=-999),
            a_row("old-over", minutes=-999, status=resolved),
            a_row("just-over", minutes=-5, status=resolved),
            a_row("pending", status=AlertStatus.PENDING),
        ]
    )
    found = alerts.list_unfinished(NOON - timedelta(minutes=10))
    assert [one.id for one in found] == ["old-open", "just-over", "pending"]


def test_retention_deletes_only_resolved_alerts(database: Database) -> None:
    alerts = Alerts(database)
    alerts.save([a_row("open", minutes=-99), a_row("over", minutes=-99, status=AlertStatus.RESOLVED)])
    assert alerts.prune(NOON - timedelta(hours=1)) == 1
    assert [one.id for one in alerts.list()] == ["open"]


def test_groups_are_kept_until_they_are_cleared(database: Database) -> None:
    alerts = Alerts(database)
    alerts.save_groups([GroupRow("a", {"alerts": ["1"]}, NOON), GroupRow("b", {}, NOON)])
    alerts.save_groups([GroupRow("a", {"alerts": ["2"]}, NOON)], ["b"])
    assert alerts.list_groups() == (GroupRow("a", {"alerts": ["2"]}, NOON),)


async def test_requests_that_come_at_once_share_a_transaction_and_all_return_after_it(database: Database) -> None:
    inbox = AlertInbox(database)
    writer = InboxWriter(inbox.add)
    commits: list[int] = []
    sa.event.listen(database.engine, "commit", lambda _: commits.append(1))
    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(writer.add, InboxDelivery("am", NOON, [{"n": number}]))
    assert sorted(one.notices[0]["n"] for one in inbox.list(10)) == list(range(8))
    assert len(commits) <= 2


async def test_when_a_shared_write_fails_it_fails_for_every_request_and_the_next_one_is_written(
    database: Database,
) -> None:
    writer = InboxWriter(AlertInbox(database).add)
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE alert_inbox RENAME TO away"))
    results = await asyncio.gather(
        *(writer.add(InboxDelivery("am", NOON, [{}])) for _ in range(4)), return_exceptions=True
    )
    assert [type(result) for result in results] == [sa.exc.OperationalError] * 4
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO alert_inbox"))
    await writer.add(InboxDelivery("am", NOON, [{}]))
    assert AlertInbox(database).count() == 1


async def test_a_request_that_is_given_up_keeps_no_other_from_being_written(database: Database) -> None:
    inbox = AlertInbox(database)
    writer = InboxWriter(inbox.add)
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(0):
            await writer.add(InboxDelivery("am", NOON, [{"n": 0}]))
        group.start_soon(writer.add, InboxDelivery("am", NOON, [{"n": 1}]))
    assert {"n": 1} in [one.notices[0] for one in inbox.list(10)]


def test_an_accepted_delivery_waits_for_the_disk_and_other_writes_do_not(database: Database) -> None:
    levels: list[int] = []

    def look(connection: sa.Connection) -> None:
        levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    sa.event.listen(database.engine, "commit", look)
    AlertInbox(database).add(InboxDelivery("am", NOON, [{}]))
    Alerts(database).save([a_row("alert-1")])
    assert levels == [2, 1]  # FULL, NORMAL


def test_silences_are_listed_found_ended_and_forgotten(database: Database) -> None:
    silences = Silences(database)

    def a_silence(name: str, start: int, end: int) -> SilenceRow:
        begin, stop = NOON + timedelta(hours=start), NOON + timedelta(hours=end)
        return SilenceRow(name, SilenceKind.SILENCE, ("a=b",), begin, stop, "ada", "why", NOON)

    past, now, later = a_silence("s-past", -3, -1), a_silence("s-now", -1, 1), a_silence("s-later", 5, 6)
    for one in (later, now, past):
        silences.add(one)
    assert silences.list(NOON) == (now, later)
    assert silences.list(NOON, ended=True) == (past, now, later)
    silences.expire("s-later", NOON)
    assert silences.list(NOON) == (now,)
    with pytest.raises(ConflictError, match="already ended"):
        silences.expire("s-past", NOON)
    assert silences.find("now") == now
    with pytest.raises(NotFoundError, match="silences list --all"):
        silences.find("nothing")
    assert silences.prune(NOON) == 1


def test_a_write_that_fails_leaves_the_connection_as_it_was(database: Database) -> None:
    inbox = AlertInbox(database)
    with pytest.raises(sa.exc.StatementError):
        inbox.add(InboxDelivery("am", NOON, [{"n": object()}]))
    with database.read() as one, database.read() as other:
        for connection in (one, other):
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 1
    inbox.add(InboxDelivery("am", NOON, [{"n": 1}]))
    assert inbox.count() == 1

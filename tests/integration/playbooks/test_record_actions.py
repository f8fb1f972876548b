"""Actions on the database, towards people, and those that write down: on a damaged file, a real outbox, a real desk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.domain.playbook_state import ActionState
from orchestration.domain.run_status import RunStatus
from orchestration.domain.scenario import Scenario
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.report import TroubleReport
from orchestration.playbooks.actions import ActionError
from orchestration.storage.approvals import Approval
from orchestration.storage.database import Database, StorageError
from orchestration.storage.outbox import DeliveryAttempt, OutboxRow, OutboxState, SendOutcome
from orchestration.storage.runs import Run
from tests.support.incidents import a_report
from tests.support.response import Ward, a_ward

PEOPLE: dict[str, Any] = {
    "channels": {
        "chat": {"type": "webhook", "url": "http://127.0.0.1:9/chat"},
        "spare": {"type": "webhook", "url": "http://127.0.0.1:9/spare"},
    },
    "contacts": [{"id": "ada", "level": 1, "channels": [{"channel": "chat"}, {"channel": "spare"}]}],
}


async def test_a_sound_database_is_said_to_be_whole(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        found = await ward.run("database.check")
        assert found.findings == {"reachable": True, "intact": True, "problems": []}


async def test_a_damaged_database_is_told_from_one_that_is_gone(tmp_path: Path) -> None:
    async with a_ward(tmp_path / "project") as ward:
        file = ward.app.state_folder / "orchestrator.db"
        with ward.app.database.read() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        copy = tmp_path / "copy.db"
        shutil.copyfile(file, copy)
        with copy.open("r+b") as pages:
            pages.seek(4096)
            pages.write(b"\xff" * 40_000)
        damaged = Database(f"sqlite:///{copy}")
        ward.use(database=damaged)
        found = (await ward.run("database.check")).findings
        assert (found["intact"], bool(found["problems"])) == (False, True)
        damaged.close()
        gone = Database(f"sqlite:///{tmp_path}/nowhere/none.db")
        shutil.rmtree(tmp_path / "nowhere", ignore_errors=True)
        ward.use(database=gone)
        found = (await ward.run("database.check")).findings
        assert (found["reachable"], found["intact"]) == (False, True)
        gone.close()


class Keeper:
    """What looks after backups: it has these good ones, and can make one unless there is no room."""

    def __init__(self, *ages: float, room: bool = True) -> None:
        self.ages = list(ages)
        self._room = room

    async def backups(self) -> Sequence[dict[str, Any]]:
        return [{"backup": f"b-{age:g}", "made_at": "then", "age_seconds": age} for age in self.ages]

    async def back_up(self) -> dict[str, Any]:
        if not self._room:
            raise StorageError("no room for a backup")
        self.ages.insert(0, 1.0)
        return (await self.backups())[0]


async def test_backups_are_listed_and_made_by_what_looks_after_them(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        for name in ("database.backups", "database.backup"):
            with pytest.raises(ActionError, match="this process does not manage backups"):
                await ward.run(name)
        keeper = Keeper()
        ward.use(backups=keeper)
        none = (await ward.run("database.backups")).findings
        assert none == {"count": 0, "newest": "none", "newest_good": False}
        keeper.ages = [1e6]
        old = await ward.run("database.backups")
        assert (old.findings["newest_good"], old.summary.endswith("which is too old")) == (False, True)
        await ward.preview("database.backup")
        assert keeper.ages == [1e6]
        made = await ward.run("database.backup")
        listed = (await ward.run("database.backups")).findings
        assert listed == {"count": 2, "newest": "b-1, of then", "newest_good": True}
        assert await ward.undo("database.backup", made) == "the backup is kept: a good one is never in the way"
        ward.use(backups=Keeper(room=False))
        failed = await ward.act("database.backup", {})
        assert (failed.state, failed.summary) == (ActionState.FAILED, "no room for a backup")


async def test_what_was_journalled_while_the_database_was_away_is_taken_in_once(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        assert await ward.preview("database.replay") == "do nothing: nothing is journalled"
        keep(
            ward,
            a_report(
                key="database", at=ward.app.clock.now(), scenario=Scenario.CONTROL_PLANE, title="the disk is gone"
            ),
        )
        assert await ward.preview("database.replay") == "take in what was journalled while the database was away"
        assert (await ward.run("database.replay")).findings == {"records": 1}
        assert (await ward.run("database.replay")).findings == {"records": 0}
        assert "the disk is gone" in {row.title for row in ward.services.incidents.table.list(is_open=True, limit=10)}


def keep(ward: Ward, report: TroubleReport) -> None:
    """Have the journal take a report in while the incident service cannot be reached."""
    journal: Any = ward.services.journal
    service = journal._service

    class Away:
        clean = staticmethod(service.clean)

        def open_or_join(self, *_: object) -> None:
            raise StorageError("it is away")

    journal._service = Away()
    journal._last_resort = lambda _: None
    try:
        assert journal.report(report) is None
    finally:
        journal._service = service


def a_page(ward: Ward, channel: str, step: str = "initial", *, page: bool = True) -> OutboxRow:
    """A message about the incident that waits to go out."""
    now = ward.app.clock.now() - timedelta(seconds=5)
    return OutboxRow(
        key=f"{ward.incident.id}:{step}:ada:{channel}",
        incident_id=ward.incident.id,
        kind="initial",
        contact="ada",
        channel=channel,
        address=None,
        payload={"step": step, "subject": "s", "body": "b"},
        stops_on_acknowledge=page,
        created_at=now,
        due_at=now,
    )


def waiting(ward: Ward) -> list[tuple[str, str]]:
    """Pages that wait: the step and the channel."""
    rows = ward.services.outbox.list_for_incident(ward.incident.id)
    pending = [row for row in rows if row.state is OutboxState.PENDING and row.payload.get("step") == "extra"]
    return sorted((row.contact, row.channel) for row in pending)


async def test_pages_on_a_broken_channel_go_out_on_the_next_one_and_can_be_withdrawn(tmp_path: Path) -> None:
    async with a_ward(tmp_path, response=PEOPLE) as ward:
        ward.app.incident_service.execute(ward.incident.id, _ada(), CancelIncident("only the page below counts"))
        ward.declare(key="a further trouble")
        for row in ward.services.outbox.list_pending():
            ward.services.outbox.cancel([row.key], ward.app.clock.now())
        outbox = ward.services.outbox
        outbox.add([a_page(ward, "chat", "extra")])
        assert (await ward.run("people.channels")).findings["urgent_waiting"] == 1
        assert await ward.preview("people.redirect", channels=["chat"]) == "tell ada by spare as well"
        assert waiting(ward) == [("ada", "chat")]
        told = await ward.run("people.redirect", channels=["chat"])
        assert (told.findings, waiting(ward)) == ({"redirected": 1}, [("ada", "chat"), ("ada", "spare")])
        again = await ward.run("people.redirect", channels=["chat"])
        assert (again.undo, waiting(ward)) == (told.undo, [("ada", "chat"), ("ada", "spare")])
        assert await ward.undo("people.redirect", told) == ("1 messages were withdrawn; what was sent cannot be unsent")
        assert waiting(ward) == [("ada", "chat")]


async def test_a_page_that_came_through_by_another_channel_does_not_wait_any_more(tmp_path: Path) -> None:
    async with a_ward(tmp_path, response=PEOPLE) as ward:
        outbox, now = ward.services.outbox, ward.app.clock.now()
        for row in outbox.list_pending():
            outbox.cancel([row.key], now)
        chat, spare = a_page(ward, "chat", "extra"), a_page(ward, "spare", "extra")
        outbox.add([chat, spare, a_page(ward, "chat", "news", page=False)])
        assert (await ward.run("people.channels")).findings["urgent_waiting"] == 2
        outbox.mark_sent(spare, DeliveryAttempt(spare.key, now, SendOutcome.SENT, 0.1))
        outbox.postpone(chat, now, DeliveryAttempt(chat.key, now, SendOutcome.RETRIED, 0.1, "503"))
        found = (await ward.run("people.channels")).findings
        assert found == {"failing": ["chat"], "permanent": [], "urgent_waiting": 0}
        assert (await ward.run("people.redirect", channels=["chat"])).findings == {"redirected": 0}


def _ada() -> Any:
    from tests.support.incidents import ADA

    return ADA


async def test_open_questions_of_a_run_are_sent_again(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        now = ward.app.clock.now()
        ward.app.runs.add(Run("run-1", "mend it", "/work", now, RunStatus.WAITING))
        with pytest.raises(ActionError, match="expected a question without an answer, found none"):
            await ward.run("people.remind", runs=["run-1"])
        ward.app.approvals.add(Approval(id="a-1", subject="run-1", question="May it push?", created_at=now))
        reminded = await ward.run("people.remind", runs=["run-1"])
        assert reminded.findings == {"questions": ["May it push?"]}
        await ward.run("people.remind", runs=["run-1"])
        asked = [entry for entry in ward.services.incidents.entries(ward.incident.id) if "question" in entry.data]
        assert [entry.data["question"] for entry in asked] == ["run-1 waits for an answer: May it push?"]
        assert await ward.undo("people.remind", reminded) == "what was sent cannot be unsent"


async def test_the_sla_is_judged_and_the_review_drafted_once(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        found = await ward.run("document.sla")
        assert (found.findings, found.summary.startswith("SLA: response: ")) == ({"breached": []}, True)
        first = await ward.run("document.review")
        path = Path(first.findings["file"])
        assert path == ward.app.state_folder / "reviews" / f"{ward.incident.id}.md"
        assert ward.incident.title in path.read_text()
        assert (await ward.run("document.review")).findings == first.findings
        assert len(list(path.parent.iterdir())) == 1

"""The process that sends is killed at each point at which something could be lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestration.storage.database import Database
from orchestration.storage.outbox import Outbox, OutboxState
from tests.faults.notifications.sender_process import work
from tests.support.database import migrated
from tests.support.notices import NOON
from tests.support.patience import patient
from tests.support.receivers import HttpReceiver, Mailbox, http_receiver, mail_server

SCRIPT = Path(__file__).with_name("sender_process.py")
ROOT = Path(__file__).parents[3]


@dataclass
class Scene:
    folder: Path
    hook: HttpReceiver
    mailbox: Mailbox
    port: int
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        self.database = migrated(f"sqlite:///{self.folder}/orchestrator.db")

    def die_at(self, point: str) -> None:
        """Let another process begin, and be killed."""
        arguments = [str(self.folder), self.hook.url, str(self.port), point]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run([sys.executable, SCRIPT, *arguments], env=environment, timeout=patient(60), check=False)
        assert ended.returncode == -signal.SIGKILL
        time.sleep(0.2)  # what the dead process had handed to the kernel may still arrive

    async def go_on(self) -> None:
        """Send what is due an hour later."""
        await work(self.folder, self.hook.url, self.port, False, lambda _: None)

    def acknowledge(self) -> None:
        with self.database.write() as connection:
            Outbox(self.database).cancel_pages("inc-01", NOON, connection)

    def states(self) -> set[OutboxState]:
        return {row.state for row in Outbox(self.database).list_for_incident("inc-01")}

    def received(self) -> list[str]:
        """The key or Message-ID of everything that came, sorted."""
        return sorted(
            [*(body["id"] for body in self.hook.bodies()), *(mail["Message-ID"] for mail in self.mailbox.mails)]
        )


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with http_receiver() as hook, mail_server() as (mailbox, port):
        scene = Scene(tmp_path, hook, mailbox, port)
        yield scene
        scene.database.close()


@pytest.mark.parametrize(
    ("point", "doubled"), [("after-commit", {0}), ("after-claim", {0}), ("after-send", {1, 2}), ("after-mark", {0, 1})]
)
async def test_no_page_is_lost_and_a_doubled_one_is_known_as_such(scene: Scene, point: str, doubled: set[int]) -> None:
    """Both channels are at work when the process dies, so the other message may be between sending and marking too."""
    scene.die_at(point)
    await scene.go_on()
    assert scene.states() == {OutboxState.SENT}
    received = scene.received()
    assert len(set(received)) == 2, "one key for the webhook, one Message-ID for the mail"
    assert len(received) - 2 in doubled
    await scene.go_on()
    assert scene.received() == received, "and then it is over"


@pytest.mark.parametrize("point", ["after-commit", "after-claim", "after-send", "after-mark"])
async def test_no_page_goes_out_after_the_acknowledgement(scene: Scene, point: str) -> None:
    scene.die_at(point)
    before = scene.received()
    scene.acknowledge()
    await scene.go_on()
    assert scene.received() == before
    assert OutboxState.PENDING not in scene.states()

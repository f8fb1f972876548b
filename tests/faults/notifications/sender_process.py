"""A process that puts a page and sends it, and is killed at a named point.

Arguments: folder, URL of the webhook, port of the mail server, the point.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import anyio

from orchestration.clock import FakeClock
from orchestration.events import EventBus
from orchestration.notifications.channels import ChannelRegistry
from orchestration.notifications.recipients import plan
from orchestration.notifications.sender import OutboxSender
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import Outbox
from tests.support.notices import NOON, a_notice, a_response


async def work(folder: Path, url: str, port: int, begin: bool, on_point: Callable[[str], None]) -> None:
    """Put the page, when beginning, and send what is due."""
    clock = FakeClock(NOON if begin else NOON + timedelta(hours=1))
    mail = {"type": "email", "host": "127.0.0.1", "port": port, "tls": "none", "sender": "pager@example.org"}
    response = a_response({"ada": ("hook", "mail")}, hook={"type": "webhook", "url": url}, mail=mail)
    database = Database(f"sqlite:///{folder}/orchestrator.db")
    database.migrate()
    outbox = Outbox(database)
    if begin:
        with database.write() as connection:
            outbox.add(plan(a_notice(), response.contacts, response, "initial", clock.now()), connection)
        on_point("after-commit")
    async with ChannelRegistry(lambda: response, {}, clock) as channels:
        bus = EventBus(clock)
        sender = OutboxSender(outbox, Leases(database), channels, bus, clock, lambda value: value, "holder", on_point)
        await sender.send_due()
    database.close()


def die_at(point: str) -> Callable[[str], None]:
    """End this process, as the kernel would, when it reaches a point."""

    def reached(at: str) -> None:
        if at == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


if __name__ == "__main__":
    folder, url, port, point = sys.argv[1:]
    anyio.run(work, Path(folder), url, int(port), True, die_at(point))

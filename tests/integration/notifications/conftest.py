from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestration.clock import Clock, FakeClock, SystemClock
from orchestration.config.response import ResponseSettings
from orchestration.events import Event, EventBus
from orchestration.notifications.channels import ChannelRegistry
from orchestration.notifications.notice import Notice
from orchestration.notifications.recipients import plan
from orchestration.notifications.sender import OutboxSender
from orchestration.security.redaction import Redactor
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import Outbox, OutboxRow
from tests.support.database import migrated
from tests.support.notices import NOON
from tests.support.receivers import HttpReceiver, http_receiver

SECRET = "hunter2-hunter2"


@dataclass
class SenderBench:
    """Everything around a sender; `settings` may be exchanged while it works."""

    database: Database
    clock: Clock
    settings: ResponseSettings = field(default_factory=ResponseSettings)
    events: list[Event] = field(default_factory=list)
    credentials: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.database)
        self.bus = EventBus(self.clock)
        self.bus.subscribe(self.events.append)
        self.channels = ChannelRegistry(lambda: self.settings, self.credentials, self.clock)
        self.redactor = Redactor([SECRET])

    def sender(self, holder: str = "one", **more: Any) -> OutboxSender:
        leases = Leases(self.database)
        return OutboxSender(
            self.outbox, leases, self.channels, self.bus, self.clock, self.redactor.data, holder, **more
        )

    def put(self, notice: Notice, step: str = "initial") -> tuple[OutboxRow, ...]:
        rows = plan(notice, self.settings.contacts, self.settings, step, self.clock.now())
        self.outbox.add(rows)
        return rows

    def states(self) -> dict[str, str]:
        """The state of each message by its key, without the incident."""
        return {row.key.partition(":")[2]: row.state.value for row in self.outbox.list_for_incident("inc-01")}

    def outcomes(self) -> list[str]:
        """The kinds of the events so far."""
        return [event.kind.removeprefix("notification.") for event in self.events]


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
def other() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[Callable[..., SenderBench]]:
    """Make benches on one database; by the machine's clock unless asked for a fake one."""
    made: list[SenderBench] = []

    def make(settings: ResponseSettings, *, fake: bool = False, **more: Any) -> SenderBench:
        database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
        made.append(SenderBench(database, FakeClock(NOON) if fake else SystemClock(), settings, **more))
        return made[-1]

    yield make
    for bench in made:
        await bench.channels.__aexit__(None, None, None)
        bench.database.close()

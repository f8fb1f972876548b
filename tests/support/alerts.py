"""A desk that writes down what it is told, and an engine on a real database to tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.alerts.batch_redaction import batch_redactor
from orchestration.alerts.engine import AlertEngine, Evaluation
from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock
from orchestration.config.schema import Configuration
from orchestration.events import Event, EventBus
from orchestration.incidents.report import TroubleReport
from orchestration.security.redaction import Redactor
from orchestration.storage.alert_inbox import AlertInbox
from orchestration.storage.alerts import Alerts
from orchestration.storage.database import Database
from orchestration.storage.silences import SilenceKind, SilenceRow, Silences

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Desk:
    """Remembers every call; fails as long as `broken` says so."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    reports: list[TroubleReport] = field(default_factory=list)
    broken: Exception | None = None

    def report(self, report: TroubleReport) -> None:
        if self.broken is not None:
            raise self.broken
        self.calls.append(("report", report.key))
        self.reports.append(report)

    def clear(self, key: str, at: datetime) -> None:
        if self.broken is not None:
            raise self.broken
        self.calls.append(("clear", key))


class Bench:
    """An engine with a desk, a database and a time of its own."""

    def __init__(self, database: Database, configuration: dict[str, Any] | None = None) -> None:
        self.database = database
        self.configuration = Configuration.model_validate(configuration or {})
        self.now = NOON
        self.desk = Desk()
        self.alerts = Alerts(database)
        self.silences = Silences(database)
        self.inbox = AlertInbox(database)
        self.bus = EventBus(FakeClock())
        self.events: list[Event] = []
        self.bus.subscribe(self.events.append)
        self.restart()

    def restart(self) -> None:
        """A new process: nothing of the old engine's memory is left."""
        self.engine = AlertEngine(
            self.alerts,
            self.silences,
            self.inbox,
            self.desk,
            lambda: self.configuration,
            batch_redactor(Redactor()),
            self.bus,
        )

    def signal(self, name: str, value: float = 1.0, *, drill: bool = False, **labels: str) -> None:
        self.engine.take(Signal(name, self.now, value, labels, drill=drill))

    def evaluate(self) -> Evaluation:
        return self.engine.evaluate(self.now)

    def wait(self, seconds: float, *, step: float = 5.0, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Let time pass, evaluating as the loop would; `meanwhile` comes before each evaluation."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.now = min(end, self.now + timedelta(seconds=step))
            meanwhile()
            self.evaluate()

    def silence(self, *matchers: str, start: float = 0, seconds: float = 3600, kind: str = "silence") -> SilenceRow:
        begin = self.now + timedelta(seconds=start)
        end = begin + timedelta(seconds=seconds)
        row = SilenceRow(f"silence-{begin:%H%M%S}", SilenceKind(kind), matchers, begin, end, "ada", "", self.now)
        self.silences.add(row)
        return row

    def told(self) -> Iterator[tuple[str, str]]:
        """What the desk was told since the last time it was asked."""
        calls, self.desk.calls = self.desk.calls, []
        yield from calls

"""An incident service that records its calls, and an alert engine on a real database that reports to it."""

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
class RecordingReporter:
    """Records every call; raises `broken` as long as there is one."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    reports: list[TroubleReport] = field(default_factory=list)
    marks: dict[str, tuple[str, bool]] = field(default_factory=dict)
    broken: Exception | None = None

    def report(self, report: TroubleReport) -> None:
        if self.broken is not None:
            raise self.broken
        self.calls.append(("report", report.key))
        self.reports.append(report)

    def clear(self, key: str, at: datetime, *, observed: bool) -> None:
        if self.broken is not None:
            raise self.broken
        self.calls.append(("clear" if observed else "silent", key))

    def mark(self, key: str, *, silence: str, flapping: bool) -> None:
        if self.broken is not None:
            raise self.broken
        self.marks[key] = (silence, flapping)


class Bench:
    """An engine with a reporter, a database and a time of its own."""

    def __init__(self, database: Database, configuration: dict[str, Any] | None = None) -> None:
        self.database = database
        self.configuration = Configuration.model_validate(configuration or {})
        self.now = NOON
        self.reporter = RecordingReporter()
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
            self.reporter,
            lambda: self.configuration,
            batch_redactor(Redactor()),
            self.bus,
        )

    def signal(self, name: str, value: float = 1.0, *, drill: bool = False, **labels: str) -> None:
        self.engine.add_signal(Signal(name, self.now, value, labels, drill=drill))

    def evaluate(self) -> Evaluation:
        return self.engine.evaluate(self.now)

    def wait(self, seconds: float, *, step: float = 5.0, before_each: Callable[[], object] = lambda: None) -> None:
        """Let time pass, evaluating as the loop would; `before_each` comes before each evaluation."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.now = min(end, self.now + timedelta(seconds=step))
            before_each()
            self.evaluate()

    def silence(self, *matchers: str, start: float = 0, seconds: float = 3600, kind: str = "silence") -> SilenceRow:
        begin = self.now + timedelta(seconds=start)
        end = begin + timedelta(seconds=seconds)
        row = SilenceRow(f"silence-{begin:%H%M%S}", SilenceKind(kind), matchers, begin, end, "ada", "", self.now)
        self.silences.add(row)
        return row

    def reported(self) -> Iterator[tuple[str, str]]:
        """The calls since the last time that this was called."""
        calls, self.reporter.calls = self.reporter.calls, []
        yield from calls

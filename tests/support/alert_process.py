"""An engine as a process of its own: `python -m tests.support.alert_process DATABASE DESK UP`.

Evaluates without end; the provider is up or down as UP says (1 or 0), and a worker stays lost. Every call to the desk
is a line of the file DESK, on the disk before the call returns. Prints a line after each evaluation.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime
from pathlib import Path

from orchestration.alerts.batch_redaction import batch_redactor
from orchestration.alerts.engine import AlertEngine
from orchestration.alerts.signal import Signal
from orchestration.clock import SystemClock
from orchestration.config.schema import Configuration
from orchestration.events import EventBus
from orchestration.incidents.report import TroubleReport
from orchestration.security.redaction import Redactor
from orchestration.storage.alert_inbox import AlertInbox
from orchestration.storage.alerts import Alerts
from orchestration.storage.database import Database
from orchestration.storage.silences import Silences


class FileDesk:
    """Writes down what it is told."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def report(self, report: TroubleReport) -> None:
        self._write(f"report {report.key}")

    def clear(self, key: str, at: datetime, *, observed: bool) -> None:
        self._write(f"clear {key}")

    def mark(self, key: str, *, silence: str, flapping: bool) -> None:
        pass

    def _write(self, line: str) -> None:
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())


def main() -> None:
    database, clock = Database(f"sqlite:///{sys.argv[1]}"), SystemClock()
    database.migrate()
    configuration = Configuration.model_validate({"alerting": {"rules": {"worker-lost": {"hold": 86_400}}}})
    engine = AlertEngine(
        Alerts(database),
        Silences(database),
        AlertInbox(database),
        FileDesk(Path(sys.argv[2])),
        lambda: configuration,
        batch_redactor(Redactor()),
        EventBus(clock),
    )
    while True:
        engine.add_signal(Signal("provider_up", clock.now(), float(sys.argv[3]), {"provider": "ollama"}))
        engine.add_signal(Signal("worker_up", clock.now(), 0, {"worker": "w1"}))
        engine.evaluate(clock.now())
        print("evaluated", flush=True)
        time.sleep(0.02)


if __name__ == "__main__":
    main()

"""A process that fires the timers of a database, by a clock that is set: `clock_process.py DATABASE OFFSET [JSON]`.

The file OFFSET holds the seconds by which the machine's clock is wrong; `JSON` is the section `response`. A line is
printed after each round; "open" on standard input opens an incident, and "clear" reports the end of its alert.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from orchestration.app.recorded_time import follow_recorded_time
from orchestration.clock import SystemClock
from orchestration.config.escalation import EscalationLevel, EscalationSettings
from orchestration.config.response import ResponseSettings
from orchestration.events import EventBus
from orchestration.incidents.service import IncidentService, Ports
from orchestration.storage.database import Database
from tests.support.incidents import a_report, plan, some_settings


def settings() -> ResponseSettings:
    levels = tuple(EscalationLevel(level=level, after=1) for level in (1, 2, 3))
    return some_settings(escalation=EscalationSettings(levels=levels, repeat=1), stability_seconds=1)


def main(path: str, offset_file: str, response: str = "") -> None:
    offset = Path(offset_file)
    clock = SystemClock(lambda: time.time() + float(offset.read_text()))
    database = Database(f"sqlite:///{path}")
    follow_recorded_time(clock, database)
    in_force = ResponseSettings.model_validate_json(response) if response else settings()
    service = IncidentService(database, EventBus(clock), clock, Ports(lambda: in_force, plan, lambda data: data))

    def obey() -> None:
        for line in sys.stdin:
            now = clock.now()
            match line.strip():
                case "open":
                    service.open_or_join(a_report(at=now))
                case "clear":
                    service.mark_cleared(a_report().key, now)
            print(f"done {line.strip()}", flush=True)

    threading.Thread(target=obey, daemon=True).start()
    while True:
        service.fire_due_timers(clock.now())
        time.sleep(0.05)


main(*sys.argv[1:])

"""A process with an incident service that dies at a named point: `service_process.py DATABASE POINT ACTION [ID]`."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from orchestration.clock import FakeClock
from orchestration.events import EventBus
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.service import IncidentService, Ports
from orchestration.storage.database import Database
from tests.support.incidents import ADA, HALF, NOON, a_report, plan, some_settings


def main(path: str, point: str, action: str, incident_id: str = "") -> None:
    def reached(name: str) -> None:
        if name == point:
            os._exit(9)  # as kill -9 would: nothing is flushed, closed or rolled back by us

    clock = FakeClock(NOON)
    bus = EventBus(clock)
    bus.subscribe(lambda event: print(event.kind, flush=True))
    ports = Ports(settings=some_settings, plan=plan, redact=lambda data: data, reached=reached)
    service = IncidentService(Database(f"sqlite:///{path}"), bus, clock, ports)
    if action == "report":
        service.open_or_join(a_report(HALF))
    elif action == "acknowledge":
        service.execute(incident_id, ADA, Acknowledge())
    elif action == "tick":
        service.fire_due_timers(NOON + timedelta(minutes=10))
    print("survived", flush=True)


main(*sys.argv[1:])

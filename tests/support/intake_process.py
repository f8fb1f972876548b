"""The intake as a process of its own: `python -m tests.support.intake_process DATABASE PORT [FAULT]`. Prints its port.

FAULT ends the process at once, as a crash would: `before-write`, or `after-write`, which is before the answer.
"""

from __future__ import annotations

import os
import socket
import sys

import uvicorn
from starlette.applications import Starlette

from orchestration.alerts.batch_redaction import batch_redactor
from orchestration.alerts.intake import AlertIntake
from orchestration.clock import SystemClock
from orchestration.config.alerting import IntakeSettings
from orchestration.events import EventBus
from orchestration.security.redaction import Redactor
from orchestration.storage.alert_inbox import AlertInbox, InboxDelivery
from orchestration.storage.database import Database
from orchestration.web.intake import routes

TOKEN = "let-me-in-please"
SECRET = "between-you-and-me"
CREDENTIALS = {"INTAKE_TOKEN": TOKEN, "INTAKE_SECRET": SECRET}
SETTINGS = IntakeSettings(token_env="INTAKE_TOKEN", secret_env="INTAKE_SECRET")


class CrashingInbox(AlertInbox):
    """Ends the process around a write."""

    def __init__(self, database: Database, fault: str) -> None:
        super().__init__(database)
        self._fault = fault

    def add(self, *deliveries: InboxDelivery) -> None:
        if self._fault == "before-write":
            os._exit(9)
        super().add(*deliveries)
        if self._fault == "after-write":
            os._exit(9)


def application(database: Database, fault: str = "", bus: EventBus | None = None) -> Starlette:
    inbox, redact = CrashingInbox(database, fault), batch_redactor(Redactor())
    intake = AlertIntake(inbox, lambda: SETTINGS, CREDENTIALS.get, redact, lambda _: ())
    clock = SystemClock()
    return Starlette(routes=routes(intake, clock, bus or EventBus(clock)))


def main() -> None:
    database = Database(f"sqlite:///{sys.argv[1]}")
    database.migrate()
    # Only with its protocol named does asyncio send small answers without delay.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", int(sys.argv[2])))
        listening.listen(64)
        print(listening.getsockname()[1], flush=True)
        config = uvicorn.Config(application(database, *sys.argv[3:]), log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()

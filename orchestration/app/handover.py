"""Tells those whom a change of shift concerns what is open, from the process that leads."""

from __future__ import annotations

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration import logs
from orchestration.app.application import Application
from orchestration.events.oncall import OnCallHandedOver
from orchestration.incidents import oncall
from orchestration.incidents.handover import ShiftChange, notice_of, shift_changes
from orchestration.notifications.recipients import plan
from orchestration.storage.outbox import Outbox

_LOOK_SECONDS = 10.0
_STEP = "hand-over"
_MOST_READ = 200
_log = logs.get_logger("oncall")


class HandOverNotifier:
    """Sends a message for each change of shift, once."""

    def __init__(self, app: Application, outbox: Outbox) -> None:
        self._app = app
        self._outbox = outbox
        # The outbox knows what was sent; this spares it the question every few seconds.
        self._done: set[str] = set()

    async def run(self) -> None:
        """Look for changes of shift until cancelled."""
        failure = logs.RepeatedFailure(_log.warning, "oncall.handover_unsent")
        while True:
            with failure.tolerated(SQLAlchemyError):
                await anyio.to_thread.run_sync(self.notify)
            await self._app.clock.sleep(_LOOK_SECONDS)

    def notify(self) -> None:
        """Put the messages of the last changes into the outbox, unless they are there. Raises SQLAlchemyError."""
        settings = self._app.response
        for each in shift_changes(settings, self._app.clock.now()):
            self._notify(each)

    def _notify(self, change: ShiftChange) -> None:
        app, settings, shift = self._app, self._app.response, change.shift
        mark = f"{shift.rotation}\n{shift.contact}\n{shift.since}"
        if mark in self._done:
            return
        open_incidents = app.incident_service.records.table.list(is_open=True, limit=_MOST_READ)
        base = settings.dashboard_url or app.serves_at
        notice = notice_of(change, settings, open_incidents, f"{base.rstrip('/')}/on-call" if base else "")
        now = app.clock.now()
        people = oncall.contacts(change.people, settings, now)
        if self._outbox.add(plan(notice, people, settings, _STEP, now, templates=app.templates)):
            app.bus.publish(
                OnCallHandedOver(
                    shift.rotation, shift.contact, change.before, shift.until.isoformat(), len(open_incidents)
                )
            )
        self._done.add(mark)

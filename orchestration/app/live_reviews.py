"""Keeps the files of reviews up to date while incidents go on: whatever changes is written within seconds."""

from __future__ import annotations

import threading

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.app.review_files import ReviewFiles
from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.events import Event
from orchestration.events.incidents import IncidentEvent
from orchestration.events.notifications import NotificationEvent
from orchestration.events.playbooks import ActionEvent
from orchestration.incidents.records import IncidentRecords
from orchestration.logs import get_logger

# A review is read by people: one that is a few seconds old is as good, and a busy incident changes many times in them.
_SECONDS = 5.0
# Writing one takes some milliseconds of reading; a storm of incidents must not keep everything else waiting.
_MOST_AT_ONCE = 20
_MOST_OPEN = 200
_log = get_logger(__name__)


class LiveReviews:
    """Writes the reviews of incidents that have changed. Only the leading control process runs one."""

    def __init__(self, files: ReviewFiles, records: IncidentRecords, clock: Clock) -> None:
        self._files = files
        self._records = records
        self._clock = clock
        # A dictionary, because it keeps the order: what has waited longest is written first.
        self._changed: dict[str, None] = {}
        self._lock = threading.Lock()

    def on_event(self, event: Event) -> None:
        """Note that an incident has changed; a subscriber of the bus, on any thread."""
        if isinstance(event.payload, IncidentEvent | ActionEvent | NotificationEvent) and event.payload.incident:
            with self._lock:
                self._changed[event.payload.incident] = None

    async def run(self, seconds: float = _SECONDS) -> None:
        """Write until cancelled, beginning with all open incidents: another process may have changed them."""
        failing = False
        try:
            await anyio.to_thread.run_sync(self._add_open)
        except SQLAlchemyError:  # the database is away; what changes from now on is written all the same
            failing = True
        while True:
            failing = await self._write_changed(failing=failing)
            await self._clock.sleep(seconds)

    async def _write_changed(self, *, failing: bool) -> bool:
        """Write what has changed; returns whether that failed."""
        names = self._take()
        for number, name in enumerate(names):
            try:
                await anyio.to_thread.run_sync(self._files.draft, name)
            except (OSError, SQLAlchemyError, OrchestratorError, ValueError) as error:
                # Said once until it works again: a full disk fails every time.
                if not failing:
                    _log.error("reviews.failed", incident=name, message=type(error).__name__)
                if not isinstance(error, OrchestratorError | ValueError):
                    self._put_back(names[number:])
                    return True
        return False

    def _add_open(self) -> None:
        rows = self._records.table.list(is_open=True, limit=_MOST_OPEN)
        self._put_back([row.id for row in rows])

    def _take(self) -> list[str]:
        with self._lock:
            names = list(self._changed)[:_MOST_AT_ONCE]
            for name in names:
                del self._changed[name]
        return names

    def _put_back(self, names: list[str]) -> None:
        with self._lock:
            self._changed = {**dict.fromkeys(names), **self._changed}

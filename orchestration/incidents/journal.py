"""The last resort: troubles are taken in also while the database cannot be written.

They are judged in memory, written to a file, told directly when they are P0 or P1, and handed to the desk in order
once the database is back. What is handed over twice does no harm there, so the file is only removed when all of it has
been.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.domain.severity import Severity
from orchestration.errors import OrchestratorError
from orchestration.events import EventBus
from orchestration.events.incidents import IncidentJournalled, IncidentReplayed
from orchestration.ids import new_id
from orchestration.incidents.model import Incident
from orchestration.incidents.notices import hurts
from orchestration.incidents.records import report_from_json, report_to_json
from orchestration.incidents.report import TroubleReport
from orchestration.incidents.service import IncidentService
from orchestration.incidents.severity import judge
from orchestration.incidents.unit_of_work import Reached
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.storage.database import StorageError

_FILE, _ASIDE, _LOCK = "incidents.jsonl", "aside.jsonl", "lock"
_UNREACHABLE = (StorageError, SQLAlchemyError)


class ReportJournal:
    """A desk that never refuses a report. Safe to use from several threads and processes.

    `last_resort` tells people without the database (log, standard error, a direct send); it must not raise. `reached`
    says whom it has told of an incident: they are not paged once more when the database is back.
    """

    def __init__(
        self,
        folder: Path,
        service: IncidentService,
        bus: EventBus,
        clock: Clock,
        last_resort: Callable[[Notice], None],
        reached: Callable[[str], Reached] = lambda _: frozenset(),
    ) -> None:
        self._folder = folder
        self._service = service
        self._bus = bus
        self._clock = clock
        self._last_resort = last_resort
        self._reached = reached
        self._guard = threading.Lock()
        self._told: dict[str, tuple[str, Severity]] = {}
        self._unwritten: list[dict[str, Any]] = []

    def report(self, report: TroubleReport) -> Incident | None:
        """As the desk does it; None where it could only be kept for later."""
        with contextlib.suppress(*_UNREACHABLE):
            self.replay()
            return self._service.open_or_join(report)
        self._judge(self._service.clean(report))
        return None

    def clear(self, key: str, at: datetime) -> Incident | None:
        """As the desk does it; None where it could only be kept for later."""
        with contextlib.suppress(*_UNREACHABLE):
            self.replay()
            return self._service.mark_cleared(key, at)
        self._keep({"kind": "clear", "key": key, "at": at.isoformat()})
        return None

    @property
    def waiting(self) -> bool:
        """Whether anything has still to be handed to the desk."""
        return bool(self._unwritten) or self._path.exists()

    def replay(self) -> int:
        """Hand over what is kept, in order; returns how many records that was.

        Raises what the database raises; then all of it is still kept. A line that cannot be read, such as the last one
        of a process that died while writing, is put aside.
        """
        if not self.waiting:
            return 0
        with self._locked():
            lines = self._lines()
            lines += [json.dumps(record) for record in self._unwritten]
            aside = [line for line in lines if not self._hand_over(line)]
            with contextlib.suppress(OSError):  # then it is handed over once more, which does no harm
                self._put_aside(aside)
                self._path.unlink(missing_ok=True)
            self._unwritten.clear()
            self._told.clear()
        self._bus.publish(IncidentReplayed(records=len(lines) - len(aside), aside=len(aside)))
        return len(lines) - len(aside)

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        text = self._path.read_text(encoding="utf-8", errors="replace")  # torn in the middle of a character, perhaps
        return [line for line in text.split("\n") if line]

    def _hand_over(self, line: str) -> bool:
        """False for one that can never be handed over."""
        try:
            record = json.loads(line)
            if record["kind"] == "clear":
                self._service.mark_cleared(record["key"], datetime.fromisoformat(record["at"]))
            else:
                self._service.open_or_join(
                    report_from_json(record["report"]), record["incident"], self._reached(record["incident"])
                )
        except _UNREACHABLE:
            raise
        except (OrchestratorError, ValidationError, ValueError, LookupError, TypeError):
            return False
        return True

    def _judge(self, report: TroubleReport) -> None:
        severity, ground = judge(report.scenario, report.facts)
        known = self._told.get(report.key)
        identifier = known[0] if known else new_id("inc", self._clock.now().timestamp())
        self._keep({"kind": "report", "incident": identifier, "report": report_to_json(report)})
        if known is not None and not severity.worse_than(known[1]):
            return
        self._told[report.key] = (identifier, severity)
        self._bus.publish(IncidentJournalled(incident=identifier, severity=severity.value, ground=ground.value))
        if severity in (Severity.P0, Severity.P1):
            self._last_resort(_notice(identifier, severity, report))

    def _keep(self, record: dict[str, Any]) -> None:
        """Write a record so that it survives a loss of power; in memory where even that fails."""
        with self._locked():
            try:
                _append(self._path, [*self._unwritten, record])
            except OSError:
                self._unwritten.append(record)
            else:
                self._unwritten.clear()

    def _put_aside(self, lines: list[str]) -> None:
        if lines:
            _append(self._folder / _ASIDE, [{"at": self._clock.now().isoformat(), "line": line} for line in lines])

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the file, among the threads and, where a lock can be had, among the processes."""
        with self._guard, contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((self._folder / _LOCK).open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _path(self) -> Path:
        return self._folder / _FILE


def _append(path: Path, records: list[dict[str, Any]]) -> None:
    """Add whole lines. One that was torn off before gets its end first, so that it spoils no other."""
    torn = path.exists() and path.stat().st_size > 0 and path.read_bytes()[-1:] != b"\n"
    text = "".join(json.dumps(record) + "\n" for record in records)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n" + text if torn else text)
        stream.flush()
        os.fsync(stream.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _notice(identifier: str, severity: Severity, report: TroubleReport) -> Notice:
    return Notice(
        kind=NoticeKind.INITIAL,
        incident_id=identifier,
        severity=severity,
        scenario=report.scenario,
        title=report.title,
        status="INVESTIGATING",
        started_at=report.started_at,
        detected_at=report.at,
        impact=hurts(report.scenario, report.facts, report.blast_radius),
        details=f"{report.summary}\nThe database cannot be written. This was sent without it and is kept in a file.",
        to_do=("orchestrator doctor", f"orchestrator incidents show {identifier}"),
        drill=report.drill,
    )

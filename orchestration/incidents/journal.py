"""The last resort: reports are accepted even while the database cannot be written.

They are assessed in memory, written to a file, sent directly if they are P0 or P1, and replayed in order once the
database is back. Replaying a report twice does no harm, so the file is only removed when all of it has been replayed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.domain.severity import Severity
from orchestration.errors import OrchestratorError
from orchestration.events import EventBus
from orchestration.events.incidents import IncidentJournalled, IncidentReplayed
from orchestration.ids import new_id
from orchestration.incidents.impact import describe_impact
from orchestration.incidents.model import Incident
from orchestration.incidents.records import report_from_json, report_to_json
from orchestration.incidents.report import TroubleReport
from orchestration.incidents.severity import assess
from orchestration.incidents.unit_of_work import Reached
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.private_folder import make_private_folder
from orchestration.storage.database import StorageError

JOURNAL_FOLDER = "journal"
"""The name of the journal's folder among the project's state."""
_FILE, _ASIDE, _LOCK = "incidents.jsonl", "aside.jsonl", "lock"
_UNREACHABLE = (StorageError, SQLAlchemyError)


class ReportReceiver(Protocol):
    """Where reports go when the database works. Each method raises what the database raises."""

    def clean(self, report: TroubleReport) -> TroubleReport: ...

    def open_or_join(
        self, report: TroubleReport, incident_id: str | None = None, reached: Reached = frozenset()
    ) -> Incident: ...

    def mark_cleared(self, key: str, at: datetime, *, observed: bool = True) -> Incident | None: ...

    def mark(self, key: str, *, silence: str, flapping: bool) -> Incident | None: ...


class ReportJournal:
    """Accepts every report, with or without the database. Safe to use from several threads and processes.

    `last_resort` notifies people without the database (log, standard error, a direct send); it must not raise.
    `reached` returns who was notified of an incident that way: they are not paged again when the database is back.
    """

    def __init__(
        self,
        folder: Path,
        service: ReportReceiver,
        bus: EventBus,
        clock: Clock,
        last_resort: Callable[[Notice], None],
        reached: Callable[[str], Reached] = lambda _: frozenset(),
        replayed: Callable[[TroubleReport], None] = lambda _: None,
    ) -> None:
        """`replayed` gets each report that was replayed: whoever has made it may be gone."""
        self._folder = folder
        self._service = service
        self._bus = bus
        self._clock = clock
        self._last_resort = last_resort
        self._reached = reached
        self._replayed = replayed
        self._guard = threading.Lock()
        self._told: dict[str, tuple[str, Severity]] = {}
        self._unwritten: list[dict[str, Any]] = []

    def report(self, report: TroubleReport) -> Incident | None:
        """Open or join an incident; None if the report could only be journalled."""
        # The journal first: behind a newer report, an older one of the same key would count as stale, and be lost.
        with contextlib.suppress(*_UNREACHABLE):
            self.replay()
            return self._service.open_or_join(report)
        self._assess(self._service.clean(report))
        return None

    def clear(self, key: str, at: datetime, *, observed: bool) -> Incident | None:
        """Mark a group of alerts as cleared, or as silent; None if that could only be journalled."""
        with contextlib.suppress(*_UNREACHABLE):
            self.replay()
            return self._service.mark_cleared(key, at, observed=observed)
        self._keep({"kind": "clear", "key": key, "at": at.isoformat(), "observed": observed})
        return None

    def mark(self, key: str, *, silence: str, flapping: bool) -> Incident | None:
        """Record which silence covers a group, and whether it comes and goes. Raises what the database raises: it is
        told again the next time."""
        return self._service.mark(key, silence=silence, flapping=flapping)

    @property
    def waiting(self) -> bool:
        """Whether anything has still to be replayed."""
        return bool(self._unwritten) or self._path.exists()

    def replay(self) -> int:
        """Replay the journal in order; returns the number of records.

        Raises what the database raises; the whole journal is then kept. A line that cannot be read, such as the last
        one of a process that died while writing, is moved to a file of its own.
        """
        if not self.waiting:
            return 0
        with self._locked():
            lines = self._lines()
            lines += [json.dumps(record) for record in self._unwritten]
            reached = _recorded_reached(lines)
            aside = [line for line in lines if not self._replay_line(line, reached)]
            with contextlib.suppress(OSError):  # then it is replayed once more, which does no harm
                self._put_aside(aside)
                self._path.unlink(missing_ok=True)
            self._unwritten.clear()
            # The database knows these incidents now. In another outage people have to be told again.
            self._told.clear()
        self._bus.publish(IncidentReplayed(records=len(lines) - len(aside), aside=len(aside)))
        return len(lines) - len(aside)

    def _lines(self) -> list[str]:
        if not self._path.exists():
            return []
        text = self._path.read_text(encoding="utf-8", errors="replace")  # a torn write may end inside a character
        return [line for line in text.split("\n") if line]

    def _replay_line(self, line: str, reached: Mapping[str, Reached]) -> bool:
        """False for a line that can never be replayed."""
        try:
            record = json.loads(line)
            if record["kind"] == "clear":
                # A record from before the field was kept meant an observation.
                at, observed = datetime.fromisoformat(record["at"]), record.get("observed", True)
                self._service.mark_cleared(record["key"], at, observed=observed)
            elif record["kind"] == "report":
                report, incident = report_from_json(record["report"]), record["incident"]
                told = self._reached(incident) | reached.get(incident, frozenset())
                self._service.open_or_join(report, incident, told)
                self._replayed(report)
            elif record["kind"] != "reached":
                return False
        # Before the next clause, because StorageError is an OrchestratorError: the line is good, and must be kept.
        except _UNREACHABLE:
            raise
        except (OrchestratorError, ValidationError, ValueError, LookupError, TypeError):
            return False
        return True

    def keep_reached(self) -> None:
        """Write down who was notified, for the process that will replay the journal in the place of this one."""
        for incident, _ in list(self._told.values()):
            if told := self._reached(incident):
                self._keep({"kind": "reached", "incident": incident, "contacts": sorted(told)})

    def _assess(self, report: TroubleReport) -> None:
        severity, ground = assess(report.scenario, report.facts)
        known = self._told.get(report.key)
        identifier = known[0] if known else new_id("inc", self._clock.now().timestamp())
        # Before anybody is told: the incident that people are sent to has to exist under this identifier later.
        self._keep({"kind": "report", "incident": identifier, "report": report_to_json(report)})
        if known is not None and not severity.worse_than(known[1]):
            return
        self._told[report.key] = (identifier, severity)
        self._bus.publish(IncidentJournalled(incident=identifier, severity=severity.value, ground=ground.value))
        if severity in (Severity.P0, Severity.P1):
            self._last_resort(_notice(identifier, severity, report))

    def _keep(self, record: dict[str, Any]) -> None:
        """Write a record so that it survives a power loss; keep it in memory if even that fails."""
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
        """Exclude other threads and, where locks work, other processes.

        On a full or read-only disk there is no lock to be had; a report that is journalled twice is better than none.
        """
        # The thread lock as well, because the lists in memory need one even where no lock file can be made.
        with self._guard, contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                make_private_folder(self._folder)
                lock = stack.enter_context((self._folder / _LOCK).open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _path(self) -> Path:
        return self._folder / _FILE


def _recorded_reached(lines: Sequence[str]) -> dict[str, Reached]:
    found: dict[str, Reached] = {}
    for line in lines:
        with contextlib.suppress(ValueError, LookupError, TypeError):
            record = json.loads(line)
            if record["kind"] == "reached":
                told = frozenset((str(contact), str(channel)) for contact, channel in record["contacts"])
                found[record["incident"]] = found.get(record["incident"], frozenset()) | told
    return found


def _append(path: Path, records: list[dict[str, Any]]) -> None:
    """Append whole lines. A line that was torn before is ended first, so that it does not corrupt the next one."""
    torn = path.exists() and path.stat().st_size > 0 and path.read_bytes()[-1:] != b"\n"
    text = "".join(json.dumps(record) + "\n" for record in records)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n" + text if torn else text)
        stream.flush()
        os.fsync(stream.fileno())
    # A new file is only safe once its directory entry is, too: see fsync(2).
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
        impact=describe_impact(report.scenario, report.facts, report.blast_radius),
        details=f"{report.summary}\nThe database cannot be written. This was sent without it and is kept in a file.",
        to_do=("orchestrator doctor", f"orchestrator incidents show {identifier}"),
        drill=report.drill,
    )

"""How incidents are written to the database and read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from orchestration.config.response import ResponseSettings
from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.scenario import Scenario
from orchestration.incidents import escalation, estimates
from orchestration.incidents.estimates import PastDurations, SimilarBy
from orchestration.incidents.model import Incident, TimelineEntry
from orchestration.incidents.report import TroubleReport
from orchestration.incidents.sla import TargetKind
from orchestration.storage.database import Database
from orchestration.storage.incidents import rollup
from orchestration.storage.incidents.table import EntryRow, IncidentTable

_LIKELY_CAUSES = "likely causes: "
_UNKNOWN_END = "unknown"
# Of one or two nobody can tell whether they are typical.
_ENOUGH_OF_A_KIND = 3


class IncidentRecords:
    """Incidents as values, over the tables in which they are stored."""

    def __init__(self, database: Database) -> None:
        self.table = IncidentTable(database)
        self._database = database
        self._policies: dict[str, ResponseSettings] = {}

    def get(self, incident_id: str) -> Incident:
        """The incident of that id. Raises NotFoundError."""
        with self._database.read() as connection:
            return self.load(connection, incident_id)

    def list_of(self, ids: Sequence[str]) -> tuple[Incident, ...]:
        """The incidents of these ids, in their order; those that are unknown are left out."""
        validate = _incident_type().validate_python
        return tuple(validate(document) for document in self.table.list_documents(ids))

    def existing(self, ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that are the id of an incident."""
        return self.table.existing(ids)

    def find(self, text: str) -> Incident:
        """The one whose id ends or begins with `text`; `latest` is the newest. Raises NotFoundError."""
        return self.get(self.table.find_id(text))

    def entries(self, incident_id: str) -> tuple[TimelineEntry, ...]:
        """The timeline, oldest first; by time, since some entries are written late."""
        # The number alone would put what was replayed from the journal after what happened later.
        rows = sorted(self.table.list_entries(incident_id), key=lambda row: (row.at, row.sequence))
        return tuple(_entry(row) for row in rows)

    def with_open_actions(self) -> tuple[Incident, ...]:
        """Incidents with open action items, oldest first."""
        return tuple(_incident_type().validate_python(document) for document in self.table.list_with_open_actions())

    def settings(self, incident: Incident) -> ResponseSettings:
        """The response settings that were in force when it was detected."""
        with self._database.read() as connection:
            return self.policy(connection, incident.policy)

    def load(self, connection: sa.Connection, incident_id: str) -> Incident:
        """The incident, within a transaction. Raises NotFoundError."""
        return _incident_type().validate_python(self.table.get(connection, incident_id))

    def latest_of_key(self, connection: sa.Connection, key: str) -> Incident | None:
        """The open incident of a key, or its newest. A merged incident is replaced by the one it was merged into."""
        document = self.table.find_by_key(connection, key)
        incident = None if document is None else _incident_type().validate_python(document)
        while incident is not None and incident.merged_into is not None:
            incident = self.load(connection, incident.merged_into)
        return incident

    def past_durations(self, connection: sa.Connection, key: str, scenario: Scenario) -> PastDurations | None:
        """How long past incidents of this problem took; of all of its scenario, while there are too few. None if there
        are none at all."""
        same = self.table.durations(connection, key=key)
        if len(same) >= _ENOUGH_OF_A_KIND:
            return estimates.summarise(same, SimilarBy.PROBLEM)
        return estimates.summarise(self.table.durations(connection, scenario=scenario), SimilarBy.SCENARIO)

    def save_policy(self, connection: sa.Connection, settings: ResponseSettings) -> str:
        """Store the settings, once for all incidents that use them; returns the name to find them by."""
        data = settings.model_dump(mode="json", by_alias=True)
        name = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
        self.table.put_policy(connection, name, data)
        return name

    def policy(self, connection: sa.Connection, name: str) -> ResponseSettings:
        """The settings stored under a name."""
        # The name is a digest of the content, so a cached policy is never out of date.
        if name not in self._policies:
            self._policies[name] = ResponseSettings.model_validate(self.table.policy(connection, name))
        return self._policies[name]

    def add(self, connection: sa.Connection, incident: Incident) -> None:
        """Write a new incident."""
        self.table.add(connection, _row(incident), _document(incident))
        self.table.save_clock(connection, _clock(incident))
        rollup.mark(connection, {incident.detected_at, incident.clock.started_at})

    def replace(self, connection: sa.Connection, before: Incident, incident: Incident) -> bool:
        """Write an incident, unless another process has changed it since it was read; False in that case."""
        if not self.table.update(connection, before.version, _row(incident), _document(incident)):
            return False
        self.table.save_clock(connection, _clock(incident))
        if incident.clock.continues is not None:
            self.table.continue_clock(connection, incident.clock.continues, _clock(incident))
        moments = _moments_of_change(before, incident)
        if before.counted != incident.counted:
            # An incident that was reopened has older SLA records, which `save_clock` above does not touch.
            moments |= self.table.mark_clocks(connection, incident.id, counted=incident.counted)
        rollup.mark(connection, moments)
        return True

    def append(
        self, connection: sa.Connection, incident_id: str, entries: Sequence[TimelineEntry], at: datetime
    ) -> tuple[EntryRow, ...]:
        """Append to the timeline; entries are never changed or removed."""
        rows = [
            {
                "incident_id": incident_id,
                "at": entry.at,
                "kind": entry.kind,
                "actor": entry.actor,
                "data": dict(entry.data),
                "written_at": at,
            }
            for entry in entries
        ]
        numbers = self.table.add_entries(connection, rows) if rows else []
        return tuple(
            EntryRow(number, incident_id, entry.at, entry.kind, entry.actor, entry.data)
            for number, entry in zip(numbers, entries, strict=True)
        )

    def set_timers(
        self, connection: sa.Connection, incident: Incident, settings: ResponseSettings, at: datetime
    ) -> None:
        """Store the timers of this incident."""
        due = {timer.value: moment for timer, moment in escalation.due_times(incident, settings).items()}
        self.table.set_timers(connection, incident.id, due, at)


# Made when they are first needed: a worker, and most console commands, never read an incident.
@cache
def _incident_type() -> TypeAdapter[Incident]:
    return TypeAdapter(Incident)


@cache
def _report_type() -> TypeAdapter[TroubleReport]:
    return TypeAdapter(TroubleReport)


def report_to_json(report: TroubleReport) -> dict[str, Any]:
    """A report as JSON values."""
    values: dict[str, Any] = _report_type().dump_python(report, mode="json", by_alias=True)
    return values


def report_from_json(values: Mapping[str, Any]) -> TroubleReport:
    """The report from JSON values. Raises pydantic's ValidationError."""
    return _report_type().validate_python(values)


def _entry(row: EntryRow) -> TimelineEntry:
    return TimelineEntry(row.at, row.kind, row.actor, upgraded(row.kind, row.data))


def upgraded(kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data of a timeline entry as it is written today.

    At first the likely causes were only in the text of a note, and a timeline is never rewritten.
    """
    text = str(data.get("text", ""))
    if kind != "noted" or "likely_causes" in data or not text.startswith(_LIKELY_CAUSES):
        return data
    return {**data, "likely_causes": text.removeprefix(_LIKELY_CAUSES).split("; ")}


def _document(incident: Incident) -> dict[str, Any]:
    values: dict[str, Any] = _incident_type().dump_python(incident, mode="json", by_alias=True)
    return values


def _row(incident: Incident) -> dict[str, Any]:
    return {
        **{name: getattr(incident, name) for name in _SAME},
        "scenario": incident.scenario.value,
        "severity": incident.severity.value,
        "status": incident.status.value,
        "is_open": incident.status.is_open,
        "open_actions": sum(1 for item in incident.actions if item.done_at is None),
        "month": _month(incident.detected_at),
        "seconds_to_detect": _seconds(incident.impact_started_at, incident.detected_at),
        "seconds_to_acknowledge": _seconds(incident.detected_at, incident.acknowledged_at),
        "seconds_to_automation": _seconds(incident.detected_at, incident.automation_at),
        "seconds_to_resolve": _seconds(incident.detected_at, _repaired_at(incident)),
        "seconds_of_impact": _seconds(incident.impact_started_at, _repaired_at(incident)),
        "recurred": incident.recurred_as is not None,
        "ended_by": _ended_by(incident),
    }


_SAME = (
    "id",
    "key",
    "drill",
    "title",
    "assignee",
    "acknowledged_by",
    "detected_at",
    "resolved_at",
    "counted",
    "version",
)


def _clock(incident: Incident) -> dict[str, Any]:
    clock = incident.clock
    return {
        "incident_id": incident.id,
        "number": clock.number,
        "counted": incident.counted,
        "severity": incident.severity.value,
        "scenario": incident.scenario.value,
        "month": _month(clock.started_at),
        "started_at": clock.started_at,
        "response_due_at": clock.response_due,
        "response_at": clock.stopped_at(TargetKind.RESPONSE),
        "resolution_due_at": clock.resolution_due,
        "resolution_at": clock.resolved_at,
        "ended_by": _ended_by(incident),
        "continues": clock.continues is not None,
    }


def _ended_by(incident: Incident) -> str | None:
    """On what the resolution rests; `unknown` if a release recorded it that did not ask, None while it is not over."""
    if incident.resolved_at is None:
        return None
    return incident.ended_by.value if incident.ended_by else _UNKNOWN_END


def _repaired_at(incident: Incident) -> datetime | None:
    """When it was repaired: a workaround ends an incident, and repairs nothing."""
    return None if incident.ended_by is IncidentEnd.WORKAROUND else incident.resolved_at


def _moments_of_change(before: Incident, after: Incident) -> set[datetime]:
    """The times whose daily sums the change affects."""
    moments: set[datetime] = set()
    if _counted(_row(before)) != _counted(_row(after)):
        moments |= {before.detected_at, after.detected_at}
    if _clock(before) != _clock(after):
        moments |= {clock.start(kind) for clock in (before.clock, after.clock) for kind in TargetKind}
    return moments


def _counted(row: Mapping[str, Any]) -> list[Any]:
    return [row[name] for name in rollup.COUNTED]


def _month(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m}"


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()

"""Post-incident reviews of a project: put together from all records, each time anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from orchestration.clock import Clock
from orchestration.errors import NotFoundError
from orchestration.incidents.model import Incident, ReviewField, TimelineEntry
from orchestration.incidents.records import IncidentRecords
from orchestration.incidents.reviews.document import draft
from orchestration.incidents.reviews.dossier import PlaybookChange, ReviewDossier
from orchestration.incidents.reviews.suggestions import suggestion
from orchestration.playbooks import lessons
from orchestration.playbooks.catalogue import PlaybookCatalogue, PlaybookEntry
from orchestration.playbooks.lessons import PlaybookSource
from orchestration.storage.alerts import AlertRow, Alerts
from orchestration.storage.database import Database
from orchestration.storage.outbox import Outbox
from orchestration.storage.playbooks import ActionRun, PlaybookRecords, PlaybookRun

PLAYBOOKS = Path("config", "playbooks")
_MOST_ALERTS = 200
_ATTEMPTS = frozenset({"mitigating", "mitigation-attempted"})


class IncidentReviews:
    """The reviews of all incidents. Blocks.

    All that is recorded was redacted when it was written; `redact` is for a playbook's file, which is quoted as it is.
    """

    def __init__(
        self,
        root: Path,
        database: Database,
        records: IncidentRecords,
        clock: Clock,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._root = root
        self._records = records
        self._clock = clock
        self._redact = redact
        self._playbooks = PlaybookRecords(database)
        self._outbox = Outbox(database)
        self._alerts = Alerts(database)

    def markdown(self, incident: Incident) -> str:
        """The review as it is now."""
        return draft(self.dossier(incident))

    def suggestions(self, incident: Incident) -> dict[ReviewField, str]:
        """What the system would write into each part of the review now."""
        dossier = self.dossier(incident)
        return {field: suggestion(dossier, field) for field in ReviewField}

    def dossier(self, incident: Incident) -> ReviewDossier:
        """Everything that is recorded about an incident."""
        records = self._records
        entries = records.entries(incident.id)
        responses = [
            (run, self._playbooks.list_actions(run_id=run.id))
            for run in self._playbooks.list_runs(incident_id=incident.id)
        ]
        entry = self._entry(responses[0][0].playbook if responses else incident.playbook)
        return ReviewDossier(
            incident=incident,
            entries=entries,
            settings=records.settings(incident),
            now=self._clock.now(),
            responses=responses,
            messages=self._outbox.list_for_incident(incident.id),
            alerts=self.alerts_of(incident),
            merged=self._merged(entries),
            clocks=records.table.list_clocks(incident.id),
            prevention=entry.playbook.prevention if entry else (),
            change=self._change(entry, responses, entries, incident.detected_at),
        )

    def alerts_of(self, incident: Incident) -> Sequence[AlertRow]:
        """The alerts that an incident is about, oldest first."""
        if incident.storm is None:
            return self._alerts.list_of(incident.fingerprints, incident.detected_at)
        return self._alerts.list(group_key=incident.key, limit=_MOST_ALERTS)[::-1]

    def _entry(self, name: str) -> PlaybookEntry | None:
        try:
            return PlaybookCatalogue(self._root / PLAYBOOKS).get(name)
        except NotFoundError:  # it was removed, or the incident had none
            return None

    def _merged(self, entries: Sequence[TimelineEntry]) -> list[Incident]:
        names = [str(entry.data.get("incident", "")) for entry in entries if entry.kind == "took-in"]
        return [incident for name in names for incident in _found(self._records.get, name)]

    def _change(
        self,
        entry: PlaybookEntry | None,
        responses: Sequence[tuple[PlaybookRun, Sequence[ActionRun]]],
        entries: Sequence[TimelineEntry],
        at: datetime,
    ) -> PlaybookChange:
        if not responses:
            return PlaybookChange("None: no playbook has worked on it.")
        run, actions = responses[0]
        if entry is None or entry.playbook.version != run.version:
            return PlaybookChange(f"None: the playbook `{run.playbook}` was changed or removed since it worked on it.")
        # A shipped playbook is changed in a copy, which then takes its place.
        path = Path(entry.file).name if entry.own else f"{entry.playbook.name}.yaml"
        source = PlaybookSource(entry.playbook, entry.text, str(PLAYBOOKS / path))
        done = [str(one.data.get("action", "")) for one in entries if one.kind in _ATTEMPTS and ":" not in one.actor]
        change = lessons.propose(source, run, actions, done, at)
        return PlaybookChange(self._redact(change.reason), self._redact(change.diff))


def _found(get: Callable[[str], Incident], name: str) -> list[Incident]:
    try:
        return [get(name)]
    except NotFoundError:  # deleted by retention
        return []

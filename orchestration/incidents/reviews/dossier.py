"""Everything that is recorded about one incident, as its review needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestration.config.response import ResponseSettings
from orchestration.incidents.model import Incident, ReviewField, TimelineEntry
from orchestration.storage.alerts import AlertRow
from orchestration.storage.outbox import OutboxRow
from orchestration.storage.playbooks import ActionRun, PlaybookRun, RankedHypothesis


@dataclass(frozen=True, slots=True)
class PlaybookChange:
    """A proposed change to the playbook: why, and as a unified diff against its file; empty where none is proposed."""

    reason: str
    diff: str = ""


@dataclass(frozen=True, slots=True)
class ReviewDossier:
    """The incident with all records about it, as of `now`.

    `clocks` are its SLA records as they are stored, `merged` the incidents that were merged into it, and `prevention`
    is what the playbook advises.
    """

    incident: Incident
    entries: Sequence[TimelineEntry]
    settings: ResponseSettings
    now: datetime
    responses: Sequence[tuple[PlaybookRun, Sequence[ActionRun]]] = ()
    messages: Sequence[OutboxRow] = ()
    alerts: Sequence[AlertRow] = ()
    merged: Sequence[Incident] = ()
    clocks: Sequence[Mapping[str, Any]] = ()
    prevention: Sequence[str] = ()
    change: PlaybookChange = PlaybookChange("No playbook has worked on it.")

    @property
    def actions(self) -> Iterator[ActionRun]:
        """The actions of all responses, oldest response first."""
        for _, actions in reversed(self.responses):
            yield from actions

    @property
    def hypotheses(self) -> Sequence[RankedHypothesis]:
        """The causes that the findings fit, by the newest diagnosis, the likeliest first; none if nothing fits."""
        newest = next((run.hypotheses for run, _ in self.responses if run.hypotheses), ())
        return [cause for cause in newest if cause.id != "unknown"]

    def written_by(self, field: ReviewField) -> str:
        """The person who wrote a part of the review; empty while the system keeps it up to date."""
        known = field in self.incident.written_by_people
        return self.incident.review_authors.get(field, "unknown") if known else ""

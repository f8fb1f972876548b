"""What another system says about its alert: labels, annotations, and the links that came with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestration.errors import NotFoundError
from orchestration.incidents.model import TimelineEntry
from orchestration.incidents.report import PERSON_SOURCE
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome, NoParameters, action

# Enough for the alerts of one group; the incident's timeline has all of them.
_MOST_ALERTS = 10


@action
class AlertEvidence(Action[NoParameters]):
    """Collect what the incident's alerts say."""

    name = "evidence.alert"
    summary = "the labels, annotations and links of the incident's alerts, as their sender gave them"
    finds = ("alerts", "links", "runbook", "source")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        try:
            incident = self.services.incidents.get(context.incident_id)
        except NotFoundError:
            return ActionOutcome("there is no incident yet, so there are no alerts")
        alerts = list(_alerts(self.services.incidents.entries(incident.id)))[-_MOST_ALERTS:]
        links = [f"{link.name}: {link.url}" for link in incident.links]
        runbook = next((link.url for link in incident.links if link.name == "runbook"), None)
        if incident.source == PERSON_SOURCE:
            return ActionOutcome(f"{incident.summary}; there are no alerts", {"alerts": 0, "source": incident.source})
        told = "; ".join(links) or "no runbook and no links came with them"
        return ActionOutcome(
            f"{len(alerts)} alerts from {incident.source}; {told}",
            {"alerts": len(alerts), "links": links, "runbook": runbook, "source": incident.source},
            evidence={"alerts": alerts},
        )


def _alerts(entries: Sequence[TimelineEntry]) -> Iterator[Mapping[str, Any]]:
    """What was known of each alert when it was reported."""
    for entry in entries:
        for piece in entry.data.get("evidence") or ():
            yield {name: piece.get(name) for name in ("name", "summary", "labels", "evidence")}

"""What the playbook of an incident can try, the next to try first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.app.project import ProjectRecords
from orchestration.app.reviews import PLAYBOOKS
from orchestration.incidents.model import Incident
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.incident_updates import facts_of
from orchestration.playbooks.runner import in_order
from orchestration.storage.playbooks import PlaybookRun


@dataclass(frozen=True, slots=True)
class OfferedOption:
    """An option of the playbook that a person may ask for. `tried` ones have been carried out before; a likely cause
    points to `pointed` ones.
    """

    playbook: str
    id: str
    summary: str
    tried: bool
    pointed: bool
    command: str


def offered_options(here: ProjectRecords, incident: Incident, response: PlaybookRun | None) -> Sequence[OfferedOption]:
    """The options of the playbook for an open incident: those that were not tried yet first, and among them those that
    the likeliest causes point to. `response` is the newest run of a playbook on it."""
    if not incident.status.is_open:
        return ()
    catalogue = PlaybookCatalogue(here.root / PLAYBOOKS)
    playbook = catalogue.choose(incident.scenario, facts_of(incident, here.configuration))
    if playbook is None:
        return ()
    causes = response.hypotheses if response and response.playbook == playbook.name else ()
    pointed = {cause.points_to for cause in causes}
    options = [
        OfferedOption(
            playbook.name,
            option.id,
            option.summary,
            option.summary in incident.attempted_actions,
            option.id in pointed,
            f"orchestrator incidents try {incident.id} {option.id}",
        )
        for option in in_order(playbook.mitigate, causes)
    ]
    return sorted(options, key=lambda option: option.tried)

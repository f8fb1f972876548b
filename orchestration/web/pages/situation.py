"""What a person can do about an incident at once: by its runs and providers, and by what is in force for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestration.app.action_undo import UndoableAction, undoable_actions
from orchestration.app.project import ProjectRecords
from orchestration.config.overrides import Override
from orchestration.incidents.model import Incident
from orchestration.storage.playbooks import ActionRun
from orchestration.storage.runs import Run

# So many have buttons of their own; the others are one link away.
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Situation:
    """What can be mended by hand. `runs` and `providers` are some of those that are affected, `undoable` the actions
    of playbooks that can be undone, and `in_force` the overrides that were made for the incident otherwise."""

    runs: Sequence[Run]
    providers: Sequence[str]
    undoable: Sequence[UndoableAction]
    in_force: Sequence[Override]

    @property
    def resumable(self) -> Sequence[Run]:
        """The runs that go on from their last checkpoint when somebody says so."""
        return [run for run in self.runs if run.status.resumable]

    @property
    def pausable(self) -> Sequence[Run]:
        """The runs at work."""
        return [run for run in self.runs if not run.status.ended and not run.status.resumable]


def situation(here: ProjectRecords, incident: Incident, actions: Iterable[ActionRun]) -> Situation:
    """The situation of an open incident; nothing of one that is over but what can still be undone.

    `actions` are those of its playbooks.
    """
    undoable = undoable_actions(here, actions)
    covered = {override for one in undoable for override in one.overrides}
    made = [one for one in here.store.overrides if one.origin and one.origin.incident_id == incident.id]
    in_force = [one for one in made if one.id not in covered]
    if not incident.status.is_open:
        return Situation((), (), undoable, in_force)
    known = here.configuration.runtime.providers
    return Situation(
        here.runs.list_of(incident.blast_radius.runs[-_SHOWN:]),
        [name for name in incident.blast_radius.providers if name in known][:_SHOWN],
        undoable,
        in_force,
    )

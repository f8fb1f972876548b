"""Undoing what playbooks have done for an incident, because a person asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import anyio.to_thread
from pydantic import ValidationError

from orchestration.app.application import Application
from orchestration.app.playbooks import services_beside_control
from orchestration.app.project import ProjectRecords
from orchestration.domain.playbook_state import ActionState
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError
from orchestration.events.playbooks import ActionUndone
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.model import person
from orchestration.playbooks.actions import ActionContext, ActionError, AnyAction, ReversibleAction
from orchestration.playbooks.actions.override_effects import OverridesUndo
from orchestration.playbooks.actions.registry import find_action, find_action_or_none
from orchestration.storage.playbooks import ActionRun, PlaybookRecords


@dataclass(frozen=True, slots=True)
class UndoableAction:
    """An action that can be undone: what it has `done`, and what undoing it does. `overrides` are those of its making
    that are in force."""

    action: ActionRun
    undo: str
    overrides: tuple[str, ...]
    command: str

    @property
    def done(self) -> str:
        """What the action has done."""
        return self.action.summary


@dataclass(frozen=True, slots=True)
class UndoneAction:
    """What undoing an action has done."""

    incident: str
    step: str
    action: str
    summary: str


def undoable_actions(here: ProjectRecords, actions: Iterable[ActionRun]) -> list[UndoableAction]:
    """Those of the actions that can be undone, the newest first. Overrides that have ended by themselves leave nothing
    to undo."""
    in_force = {one.id for one in here.store.overrides}
    found = (_undoable(action, in_force) for action in actions)
    return sorted((one for one in found if one), key=lambda one: one.action.started_at, reverse=True)


async def undo_action(app: Application, incident: str, wanted: str, by: str) -> UndoneAction:
    """Undo the action of that key, or the newest that can be undone of that step.

    Raises NotFoundError, ConflictError where there is nothing to undo any more, and ActionError where it fails.
    """
    found = await anyio.to_thread.run_sync(app.incident_service.records.find, incident)
    records = PlaybookRecords(app.database)
    action = await anyio.to_thread.run_sync(_find, app, records, found.id, wanted)
    context = ActionContext(found.id, action.key, by, f"{found.id}: undone by {by}", app.clock.now(), found.drill)
    summary = app.redactor.text(
        await _undo(find_action(action.action)(services_beside_control(app)), context, action.undo or {})
    )

    def record() -> None:
        records.mark_undone(action, summary)
        app.incident_service.execute(found.id, person(by), AddNote(f"undone: {action.summary}; now {summary}"))

    await anyio.to_thread.run_sync(record)
    app.bus.publish(ActionUndone(incident=found.id, message=summary), actor=by)
    return UndoneAction(found.id, action.step, action.action, summary)


async def _undo(action: AnyAction, context: ActionContext, state: Mapping[str, object]) -> str:
    try:
        return await action.undo(context, state)
    except OrchestratorError:
        raise
    except Exception as error:  # (an action may be the user's own, with any fault)
        raise ActionError(f"{action.name} could not be undone: {type(error).__name__}: {error}") from error


def _find(app: Application, records: PlaybookRecords, incident: str, wanted: str) -> ActionRun:
    actions = records.list_actions(incident_id=incident)
    named = [one for one in actions if wanted in (one.key, one.step)]
    if not named:
        raise NotFoundError(
            f"No playbook has carried out the step '{wanted[:64]}' for {incident}. "
            f"See what was done: orchestrator playbooks history --incident {incident}"
        )
    undoable = undoable_actions(app, named)
    if not undoable:
        raise ConflictError(f"Of the step '{wanted[:64]}' there is nothing to undo: it is {named[-1].state.value}.")
    return undoable[0].action


def _undoable(action: ActionRun, in_force: set[str]) -> UndoableAction | None:
    kind = find_action_or_none(action.action)
    # An empty state belongs to an action whose undo changes nothing.
    if kind is None or action.state is not ActionState.DONE or not action.undo:
        return None
    overrides = _overrides(kind, action.undo)
    if overrides is not None and not overrides.leaves(in_force):
        return None
    made = tuple(one for one in overrides.overrides if one in in_force) if overrides else ()
    command = f"orchestrator incidents undo {action.incident_id} {action.step}"
    return UndoableAction(action, kind.undo_summary or "it is taken back", made, command)


def _overrides(kind: type[AnyAction], state: Mapping[str, object]) -> OverridesUndo | None:
    """The state, if undoing removes overrides; None if it does something else."""
    if not issubclass(kind, ReversibleAction) or not issubclass(kind.undo_state, OverridesUndo):
        return None
    try:
        return kind.undo_state.model_validate(dict(state))
    except ValidationError:  # of another release
        return None

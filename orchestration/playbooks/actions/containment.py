"""Actions that contain a security incident: turn isolation mode on, or quarantine single files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from orchestration.config.isolation import LIFT
from orchestration.config.overrides import IsolateOverride
from orchestration.config.textfile import replace_text
from orchestration.domain.duty import DutyKind, DutyOwner, DutyRequest
from orchestration.errors import NotFoundError, UsageError
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    NoParameters,
    Parameters,
    ReversibleAction,
    UndoState,
    action,
)
from orchestration.playbooks.actions.override_effects import add_override, made_by
from orchestration.playbooks.model import Risk
from orchestration.workflows.artifacts import QUARANTINE

_MANIFEST = "manifest.json"


class SomeArtifacts(Parameters):
    """Artifacts as `run/name`."""

    artifacts: tuple[str, ...]


@action
class IsolateAction(Action[NoParameters]):
    """Turn isolation mode on. Only a person lifts it, so that no failed verification opens the system again."""

    name = "security.isolate"
    summary = "no run starts or is resumed, agents have no tools, clients get no model calls, until a person lifts it"
    risk = Risk.REVERSIBLE
    undo_summary = "only by a person, with `orchestrator isolate off --reason …`"
    finds = ("override",)

    async def preview(self, context: ActionContext, parameters: NoParameters) -> str:
        if self.services.configuration().runtime.isolated:
            return "do nothing: the system is isolated already"
        return f"isolate the system: {self.summary}"

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        known = next((one for one in self.services.store.overrides if one.change.kind == "isolate"), None)
        if known is not None and not made_by(self, context):
            return ActionOutcome(
                f"the system was isolated already, by {known.actor}",
                {"override": known.id},
                duties=_lift(known.id),
            )
        # Without an end: isolation mode that ran out by itself would open the system with the cause still inside.
        made = add_override(self, context, IsolateOverride(), None)
        # No `undo`: the system must stay isolated although the verification cannot succeed while it is.
        return ActionOutcome(
            f"the system is isolated; a person lifts that with `{LIFT}`", {"override": made}, duties=_lift(made)
        )


def _lift(override: str) -> tuple[DutyRequest, ...]:
    return (DutyRequest(DutyKind.LIFT_ISOLATION, override, "lift the isolation", DutyOwner.ADMIN),)


class QuarantineUndo(UndoState):
    """The folder of the quarantine, and the artifacts that were moved into it."""

    folder: str
    artifacts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Move:
    """A file on its way into quarantine."""

    name: str
    source: Path
    target: Path


@action
class Quarantine(ReversibleAction[SomeArtifacts, QuarantineUndo]):
    """Move files that hold secrets out of reach."""

    name = "security.quarantine"
    summary = "move artifacts into `var/quarantine/`, where only their owner can read them"
    risk = Risk.REVERSIBLE
    undo_summary = "the files are moved back, as they were"
    finds = ("moved", "folder")

    def targets(self, parameters: SomeArtifacts) -> tuple[str, ...]:
        return parameters.artifacts

    async def preview(self, context: ActionContext, parameters: SomeArtifacts) -> str:
        names = [move.name for move in self._moves(context.incident_id, parameters) if move.source.is_file()]
        return f"move {', '.join(names) or 'nothing'} to {self._folder(context.incident_id)}"

    async def run(self, context: ActionContext, parameters: SomeArtifacts) -> ActionOutcome:
        return await anyio.to_thread.run_sync(self._quarantine, context, parameters)

    async def revert(self, context: ActionContext, state: QuarantineUndo) -> str:
        return await anyio.to_thread.run_sync(self._restore, Path(state.folder), state.artifacts)

    def _quarantine(self, context: ActionContext, parameters: SomeArtifacts) -> ActionOutcome:
        folder = self._folder(context.incident_id)
        moved = [move for move in self._moves(context.incident_id, parameters) if _move_in(folder, move)]
        if not moved:
            raise ActionError("none of these artifacts exists; nothing was moved")
        names = [move.name for move in moved]
        undo = QuarantineUndo(folder=str(folder), artifacts=tuple(names)).as_json()
        return ActionOutcome(
            f"moved {', '.join(names)} to {folder}",
            {"moved": names, "folder": str(folder)},
            undo=undo,
            duties=tuple(
                DutyRequest(DutyKind.CHECK_QUARANTINED_FILE, name, f"decide what becomes of {name}, in {folder}")
                for name in names
            ),
        )

    def _restore(self, folder: Path, names: Sequence[str]) -> str:
        manifest = _manifest(folder)
        for move in (self._move(folder, name) for name in names):
            if move.target.exists():
                if _checksum(move.target) != manifest[move.name]["sha256"]:
                    raise ActionError(f"{move.target} was changed since it was moved there; it stays in quarantine")
                move.target.chmod(int(manifest[move.name]["mode"]))
                move.source.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(move.target, move.source)
        return f"moved {', '.join(names)} back"

    def _folder(self, incident_id: str) -> Path:
        return self.services.state_folder / QUARANTINE / incident_id

    def _moves(self, incident_id: str, parameters: SomeArtifacts) -> list[_Move]:
        return [self._move(self._folder(incident_id), name) for name in parameters.artifacts]

    def _move(self, folder: Path, artifact: str) -> _Move:
        """Where an artifact is, and where it goes. Raises ActionError if no run of ours has such an artifact."""
        run_id, _, name = artifact.partition("/")
        try:
            source = self.services.artifacts.path(self.services.runs.get(run_id).id, name)
        except (NotFoundError, UsageError) as error:
            raise ActionError(f"expected an artifact of a run, got '{artifact}'; nothing was moved") from error
        return _Move(artifact, source, folder / run_id / name)


def _move_in(folder: Path, move: _Move) -> bool:
    """Move one file, unless it was moved before; False if there is no such file."""
    if move.source.is_symlink() or not move.source.is_file():
        return move.target.is_file()
    # `mkdir` applies its mode to the last folder only, and never to one that exists.
    for part in (folder.parent, folder, move.target.parent):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.chmod(0o700)
    about = {"sha256": _checksum(move.source), "mode": move.source.stat().st_mode & 0o777}
    path = folder / _MANIFEST
    path.touch(mode=0o600)
    # Written before the file is moved: a move without a record could not be undone.
    replace_text(path, json.dumps({**_manifest(folder), move.name: about}, indent=2) + "\n")
    shutil.move(move.source, move.target)
    move.target.chmod(0o600)
    return True


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return dict(json.loads(text)) if text else {}


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

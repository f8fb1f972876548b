"""Overrides that actions make: each records its origin, so that it can be found again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orchestration.config.overrides import AnyChange, Override, OverrideOrigin
from orchestration.domain.duty import DutyKind, DutyOwner, DutyRequest
from orchestration.errors import NotFoundError
from orchestration.playbooks.actions import ActionContext, AnyAction, UndoState


class OverridesUndo(UndoState):
    """The overrides that undoing removes, by identifier."""

    overrides: tuple[str, ...]

    def leaves(self, in_force: Collection[str]) -> bool:
        """Whether anything is left to undo, with these overrides in force."""
        return any(one in in_force for one in self.overrides)


def add_override(
    of: AnyAction, context: ActionContext, change: AnyChange, minutes: float | None, part: str = ""
) -> str:
    """Add an override for so long, or until it is removed; repeating this after a crash finds the one that exists.

    `part` tells several overrides of one target by the same action apart. Returns the override's identifier.
    """
    origin = OverrideOrigin(incident_id=context.incident_id, action_key=context.key, part=part)
    for known in of.services.store.overrides:
        if known.origin == origin and known.change.target == change.target:
            return known.id
    seconds = None if minutes is None else minutes * 60
    made = of.services.store.add_override(
        change, reason=context.reason, actor=context.actor, seconds=seconds, origin=origin
    )
    return made.id


def workaround_duties(ids: Sequence[str], summary: str, owner: DutyOwner) -> tuple[DutyRequest, ...]:
    """The duty to take each of these overrides back, before the incident may be resolved."""
    return tuple(DutyRequest(DutyKind.REMOVE_WORKAROUND, one, f"{summary} ({one})", owner) for one in ids)


def made_by(of: AnyAction, context: ActionContext) -> list[Override]:
    """The overrides that the same step has made already, in a process that died before it could record its result."""
    if not context.key:  # a preview: it has no key, and has made nothing
        return []
    return [one for one in of.services.store.overrides if one.origin and one.origin.action_key == context.key]


def made_for(of: AnyAction, context: ActionContext, kind: str) -> list[Override]:
    """The overrides of a kind that any step made for this incident."""
    known = (one for one in of.services.store.overrides if one.change.kind == kind)
    return [one for one in known if one.origin and one.origin.incident_id == context.incident_id]


def remove_overrides(of: AnyAction, context: ActionContext, ids: Sequence[str]) -> None:
    """Remove overrides, except those that have ended already."""
    for override_id in ids:
        try:
            of.services.store.remove_override(override_id, context.actor)
        except NotFoundError:
            continue

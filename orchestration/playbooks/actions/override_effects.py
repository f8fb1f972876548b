"""Changes of behaviour that actions make: overrides that name their incident, and that can be found again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestration.config.overrides import AnyChange, Override
from orchestration.errors import NotFoundError
from orchestration.playbooks.actions import Action, ActionContext


def add_override(
    of: Action[Any], context: ActionContext, change: AnyChange, minutes: float | None, part: str = ""
) -> str:
    """Put a change in force for so long, or until it is taken away; repeating it after a crash finds the one that is
    there.

    `part` tells several changes of one target by the same action apart. Returns the override's identifier.
    """
    mark = _mark(context, part)
    for known in of.services.store.overrides:
        if known.reason.endswith(mark) and known.change.target == change.target:
            return known.id
    reason = f"{context.reason} {mark}"
    seconds = None if minutes is None else minutes * 60
    return of.services.store.add_override(change, reason=reason, actor=context.actor, seconds=seconds).id


def made_by(of: Action[Any], context: ActionContext) -> list[Override]:
    """The changes that the same step has made already: those of a process that died before it could say so."""
    return [one for one in of.services.store.overrides if context.key and key_of(one.reason) == context.key]


def made_for(of: Action[Any], context: ActionContext, kind: str) -> list[Override]:
    """The changes of a kind that were made for this incident, by whatever step."""
    begins = f"{context.incident_id}: "
    known = of.services.store.overrides
    return [one for one in known if one.change.kind == kind and one.reason.startswith(begins)]


def _mark(context: ActionContext, part: str) -> str:
    return f"[{context.key}{'#' if part else ''}{part}]"


def key_of(reason: str) -> str:
    """The key of the action that made an override, from the override's reason; empty where no action did."""
    _, bracket, rest = reason.rpartition("[")
    return rest.rstrip("]").partition("#")[0] if bracket else ""


def remove_overrides(of: Action[Any], context: ActionContext, ids: Sequence[str]) -> None:
    """End changes; those that have ended already are left alone."""
    for override_id in ids:
        try:
            of.services.store.remove_override(override_id, context.actor)
        except NotFoundError:
            continue

"""Changes of behaviour that actions make: overrides that name their incident, and that can be found again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestration.config.overrides import AnyChange
from orchestration.errors import NotFoundError
from orchestration.playbooks.actions import Action, Context


def add_override(of: Action[Any], context: Context, change: AnyChange, minutes: float, part: str = "") -> str:
    """Put a change in force; repeating it after a crash finds the one that is there.

    `part` tells several changes of one target by the same action apart. Returns the override's identifier.
    """
    store, mark = of.handles.store, f"[{context.key}{'#' if part else ''}{part}]"
    for known in store.overrides:
        if known.reason.endswith(mark) and known.change.target == change.target:
            return known.id
    reason = f"{context.reason} {mark}"
    return store.add_override(change, reason=reason, actor=context.actor, seconds=minutes * 60).id


def key_of(reason: str) -> str:
    """The key of the action that made an override, from the override's reason; empty where no action did."""
    _, bracket, rest = reason.rpartition("[")
    return rest.rstrip("]").partition("#")[0] if bracket else ""


def remove_overrides(of: Action[Any], context: Context, ids: Sequence[str]) -> None:
    """End changes; those that have ended already are left alone."""
    for override_id in ids:
        try:
            of.handles.store.remove_override(override_id, context.actor)
        except NotFoundError:
            continue

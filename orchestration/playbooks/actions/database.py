"""Actions on the database: is it whole, what could be restored, make a backup, take in what was journalled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from orchestration.monitoring.databases import DatabaseWatch
from orchestration.playbooks.actions import Action, ActionError, Context, Outcome, Parameters, action
from orchestration.playbooks.model import Risk
from orchestration.playbooks.ports import Handles, Upkeep

# The engine's own file, which stands beside ours where both are SQLite.
_ENGINE_FILE = "engine.db"


class Nothing(Parameters):
    """Takes nothing."""


async def integrity_of(handles: Handles) -> tuple[bool, list[str]]:
    """Whether the database answers, and what is damaged in it; no damage is known of one that does not answer."""
    watch = DatabaseWatch(handles.database, handles.clock, (Path(handles.state_folder, _ENGINE_FILE),))
    signals = list(await watch.look())
    reachable = all(signal.value for signal in signals if signal.name == "database_up")
    if len(signals) == 1:
        signals += await anyio.to_thread.run_sync(watch.check, abandon_on_cancel=True)
    broken = [signal for signal in signals if signal.name == "database_intact" and not signal.value]
    return reachable, [str(finding) for signal in broken for finding in _list(signal.evidence.get("findings"))]


def upkeep_of(handles: Handles) -> Upkeep:
    """What looks after backups. Raises ActionError where nothing does."""
    if handles.upkeep is None:
        raise ActionError("expected something that makes and checks backups, found none in this process")
    return handles.upkeep


@action
class Check(Action[Any]):
    """See whether the database is well."""

    name = "database.check"
    summary = "see whether the database answers, and whether what is in it is whole"
    parameters = Nothing
    finds = ("reachable", "intact", "problems")

    async def run(self, context: Context, parameters: Nothing) -> Outcome:
        reachable, problems = await integrity_of(self.handles)
        answers = "the database answers" if reachable else "the database does not answer"
        says = f"{answers}; damaged: {'; '.join(problems)}" if problems else f"{answers}; no damage is known"
        return Outcome(says, {"reachable": reachable, "intact": not problems, "problems": problems})


@action
class Backups(Action[Any]):
    """See what could be restored."""

    name = "database.backups"
    summary = "list the backups, and see whether the newest is good"
    parameters = Nothing
    finds = ("count", "newest", "newest_good", "good")

    async def run(self, context: Context, parameters: Nothing) -> Outcome:
        backups = list(await upkeep_of(self.handles).backups())
        newest = backups[0] if backups else {}
        good = [str(one["name"]) for one in backups if one["good"]]
        name = f"{newest['name']}, of {newest['made_at']}" if backups else "none"
        verdict = "" if not backups else " (good)" if newest["good"] else " (not good)"
        says = f"{len(backups)} backups, {len(good)} of them good; the newest: {name}{verdict}"
        findings = {"count": len(backups), "newest": name, "newest_good": bool(newest.get("good")), "good": good}
        return Outcome(says, findings, {"backups": [dict(one) for one in backups[:20]]})


@action
class Backup(Action[Any]):
    """Make a backup."""

    name = "database.backup"
    summary = "make a backup, open it again and check it"
    risk = Risk.REVERSIBLE
    parameters = Nothing
    finds = ("name", "good")

    async def preview(self, context: Context, parameters: Nothing) -> str:
        upkeep_of(self.handles)
        return self.summary

    async def run(self, context: Context, parameters: Nothing) -> Outcome:
        made = await upkeep_of(self.handles).backup()
        if not made["good"]:
            raise ActionError(f"the backup {made['name']} is not good: {'; '.join(map(str, made['problems']))}")
        return Outcome(f"made the backup {made['name']}; it is good", {"name": made["name"], "good": True}, undo={})

    async def undo(self, context: Context, undo: Mapping[str, Any]) -> str:
        return "the backup is kept: a good one is never in the way"


@action
class Replay(Action[Any]):
    """Take in what was journalled."""

    name = "database.replay"
    summary = "take in what was journalled while the database was away"
    risk = Risk.REVERSIBLE
    parameters = Nothing
    finds = ("records",)

    async def preview(self, context: Context, parameters: Nothing) -> str:
        return self.summary if self.handles.journal.waiting else "do nothing: nothing is journalled"

    async def run(self, context: Context, parameters: Nothing) -> Outcome:
        count = await anyio.to_thread.run_sync(self.handles.journal.replay)
        says = f"took in {count} records" if count else "nothing was journalled that is not taken in already"
        return Outcome(says, {"records": count}, undo={})

    async def undo(self, context: Context, undo: Mapping[str, Any]) -> str:
        return "what was taken in stays: it happened"


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []

"""Actions on the database: check it, list and make backups, replay the journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from orchestration.domain.subject_kind import SubjectKind
from orchestration.monitoring.collectors.databases import DatabaseWatch
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    NoParameters,
    action,
)
from orchestration.playbooks.model import Risk
from orchestration.playbooks.ports import ActionServices, BackupPort

# The durable engine's own file, beside ours where both are SQLite.
_ENGINE_FILE = "engine.db"
# A day, and some time to make it: as the alert rule `backup-old` has it.
_OLD_SECONDS = 26 * 3600


async def integrity_of(services: ActionServices) -> tuple[bool, list[str]]:
    """Whether the database answers, and what is damaged in it. If it does not answer, no damage can be known."""
    watch = DatabaseWatch(services.database, services.clock, (Path(services.state_folder, _ENGINE_FILE),))
    signals = list(await watch.collect())
    reachable = all(signal.value for signal in signals if signal.name == "database_up")
    # A lone signal means that nothing hinted at damage, and then `collect` has not looked for any.
    if len(signals) == 1:
        signals += await anyio.to_thread.run_sync(watch.check, abandon_on_cancel=True)
    broken = [signal for signal in signals if signal.name == "database_intact" and not signal.value]
    return reachable, [str(finding) for signal in broken for finding in _list(signal.evidence.get("findings"))]


def backups_of(services: ActionServices) -> BackupPort:
    """What manages backups. Raises ActionError if nothing does."""
    if services.backups is None:
        raise ActionError("this process does not manage backups")
    return services.backups


@action
class DatabaseCheckAction(Action[NoParameters]):
    """Check the database."""

    name = "database.check"
    summary = "see whether the database answers, and whether what is in it is whole"
    proves = frozenset({SubjectKind.DATABASE})
    finds = ("reachable", "intact", "problems")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        reachable, problems = await integrity_of(self.services)
        answers = "the database answers" if reachable else "the database does not answer"
        summary = f"{answers}; damaged: {'; '.join(problems)}" if problems else f"{answers}; no damage is known"
        return ActionOutcome(summary, {"reachable": reachable, "intact": not problems, "problems": problems})


@action
class ListBackupsAction(Action[NoParameters]):
    """List what could be restored."""

    name = "database.backups"
    summary = "list the good backups, and see whether the newest is recent enough"
    proves = frozenset({SubjectKind.BACKUPS})
    finds = ("count", "newest", "newest_good")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        backups = list(await backups_of(self.services).backups())
        newest = f"{backups[0]['backup']}, of {backups[0]['made_at']}" if backups else "none"
        recent = bool(backups) and float(backups[0]["age_seconds"]) <= _OLD_SECONDS
        age = "" if not backups or recent else ", which is too old"
        findings = {"count": len(backups), "newest": newest, "newest_good": recent}
        summary = f"{len(backups)} good backups; the newest: {newest}{age}"
        return ActionOutcome(summary, findings, {"backups": [dict(one) for one in backups[:20]]})


@action
class BackupAction(Action[NoParameters]):
    """Make a backup."""

    name = "database.backup"
    summary = "make a backup, open it again and check it"
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: a good backup is never in the way"
    finds = ("backup",)

    async def preview(self, context: ActionContext, parameters: NoParameters) -> str:
        backups_of(self.services)
        return self.summary

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        made = await backups_of(self.services).back_up()
        return ActionOutcome(f"made the backup {made['backup']}; it is good", {"backup": made["backup"]}, undo={})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "the backup is kept: a good one is never in the way"


@action
class ReplayJournalAction(Action[NoParameters]):
    """Replay the journal."""

    name = "database.replay"
    summary = "take in what was journalled while the database was away"
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: what was taken in has happened"
    finds = ("records",)

    async def preview(self, context: ActionContext, parameters: NoParameters) -> str:
        return self.summary if self.services.journal.waiting else "do nothing: nothing is journalled"

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        count = await anyio.to_thread.run_sync(self.services.journal.replay)
        summary = f"took in {count} records" if count else "nothing was journalled that is not taken in already"
        return ActionOutcome(summary, {"records": count}, undo={})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "what was taken in stays: it happened"


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []

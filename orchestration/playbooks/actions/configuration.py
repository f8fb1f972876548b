"""Actions on the configuration: go back to the last good version, log more for a time. Neither rewrites the file."""

from __future__ import annotations

import json

import anyio.to_thread

from orchestration.config.overrides import PinConfiguration, SetLogLevel
from orchestration.config.versions import ConfigVersion
from orchestration.domain.duty import DutyOwner
from orchestration.domain.run_status import RunStatus
from orchestration.playbooks.actions import (
    ActionContext,
    ActionError,
    ActionOutcome,
    Minutes,
    Parameters,
    ReversibleAction,
    action,
)
from orchestration.playbooks.actions.override_effects import (
    OverridesUndo,
    add_override,
    remove_overrides,
    workaround_duties,
)
from orchestration.playbooks.model import Risk

# How far back a version with a run that succeeded is looked for.
_VERSIONS = 50
_RUNS = 200


class ForMinutes(Parameters):
    """For so many minutes."""

    minutes: Minutes = 60.0


@action
class LastGood(ReversibleAction[ForMinutes, OverridesUndo]):
    """Go back to the last version with which runs succeeded."""

    name = "config.last-good"
    summary = "put the last configuration with which a run succeeded in force, until the file is edited"
    risk = Risk.REVERSIBLE
    undo_summary = "the file counts again"
    finds = ("version",)

    async def preview(self, context: ActionContext, parameters: ForMinutes) -> str:
        version = await anyio.to_thread.run_sync(self._last_good)
        return f"put version {version.number}, of {version.loaded_at:%Y-%m-%d %H:%M} UTC, in force"

    async def run(self, context: ActionContext, parameters: ForMinutes) -> ActionOutcome:
        version = await anyio.to_thread.run_sync(self._last_good)
        change = PinConfiguration(number=version.number, document=json.loads(version.text))
        # An override and no edit: the file is the user's, and counts again when the time is up.
        made = add_override(self, context, change, parameters.minutes)
        summary = f"version {version.number} of the configuration is in force; the file was not touched"
        return ActionOutcome(
            summary,
            {"version": version.number},
            undo=OverridesUndo(overrides=(made,)).as_json(),
            duties=workaround_duties((made,), "mend the configuration file", DutyOwner.RESPONDER),
        )

    async def revert(self, context: ActionContext, state: OverridesUndo) -> str:
        remove_overrides(self, context, state.overrides)
        return self.undo_summary

    def _last_good(self) -> ConfigVersion:
        """The newest earlier version with which a run succeeded; without any, the one before the present."""
        versions = self.services.store.history(_VERSIONS)
        present = self.services.store.number
        earlier = [version for version in versions if version.number != present]
        if not earlier:
            raise ActionError("there is no earlier version of the configuration to go back to")
        good = {run.config_version for run in self.services.runs.list([RunStatus.SUCCEEDED], _RUNS)}
        return next((version for version in earlier if version.number in good), earlier[0])


@action
class Debug(ReversibleAction[ForMinutes, OverridesUndo]):
    """Log more for a time."""

    name = "log.debug"
    summary = "log everything for a time"
    risk = Risk.REVERSIBLE
    undo_summary = "the log level is as before"

    async def preview(self, context: ActionContext, parameters: ForMinutes) -> str:
        return f"log from DEBUG on for {parameters.minutes:g} min"

    async def run(self, context: ActionContext, parameters: ForMinutes) -> ActionOutcome:
        made = add_override(self, context, SetLogLevel(level="DEBUG"), parameters.minutes)
        return ActionOutcome(
            f"everything is logged for {parameters.minutes:g} min", undo=OverridesUndo(overrides=(made,)).as_json()
        )

    async def revert(self, context: ActionContext, state: OverridesUndo) -> str:
        remove_overrides(self, context, state.overrides)
        return self.undo_summary

"""Actions on the configuration: go back to the last good version, log more for a time. Neither rewrites the file."""

from __future__ import annotations

import json

import anyio.to_thread

from orchestration.config.overrides import PinConfiguration, SetLogLevel
from orchestration.config.versions import ConfigVersion
from orchestration.domain.duty import DutyOwner
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
    made_by,
    remove_overrides,
    workaround_duties,
)
from orchestration.playbooks.last_good import last_good
from orchestration.playbooks.model import Risk
from orchestration.storage.agent_outcomes import AgentOutcomes

# How far back a version that worked is looked for.
_VERSIONS = 50


class ForMinutes(Parameters):
    """For so many minutes."""

    minutes: Minutes = 60.0


class ForAgents(ForMinutes):
    """The version must have worked for these agents; where they are not given, for all of the configuration."""

    agents: tuple[str, ...] | None = None


@action
class LastGood(ReversibleAction[ForAgents, OverridesUndo]):
    """Go back to the last version with which the agents succeeded."""

    name = "config.last-good"
    summary = "put the last configuration with which the agents succeeded in force, until the file is edited"
    risk = Risk.REVERSIBLE
    undo_summary = "the configuration file applies again"
    finds = ("version",)

    def targets(self, parameters: ForAgents) -> tuple[str, ...]:
        if parameters.agents is None:
            return tuple(agent.id for agent in self.services.configuration().agents)
        return parameters.agents

    async def preview(self, context: ActionContext, parameters: ForAgents) -> str:
        version = await anyio.to_thread.run_sync(self._last_good, context, self.targets(parameters))
        return f"put version {version.number}, of {version.loaded_at:%Y-%m-%d %H:%M} UTC, in force"

    async def run(self, context: ActionContext, parameters: ForAgents) -> ActionOutcome:
        version = await anyio.to_thread.run_sync(self._last_good, context, self.targets(parameters))
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

    def _last_good(self, context: ActionContext, agents: tuple[str, ...]) -> ConfigVersion:
        """The version to go back to. Raises ActionError if none is known to have worked."""
        store = self.services.store
        versions = store.history(_VERSIONS)
        # After a crash in the middle of this step, the version that it has put in force already.
        pinned = [one.change.number for one in made_by(self, context) if isinstance(one.change, PinConfiguration)]
        if chosen := [version for version in versions if version.number in pinned]:
            return chosen[0]
        found = last_good(versions, AgentOutcomes(self.services.database).list(agents), store.number_in_force)
        if found is None:
            raise ActionError(
                f"no earlier version of the configuration is known with which {', '.join(agents)} succeeded"
            )
        return found


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

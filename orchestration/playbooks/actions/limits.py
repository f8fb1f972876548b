"""Actions on limits: send fewer calls to providers for a time, and return to normal step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from orchestration.config.overrides import EVERYTHING, LimitProvider
from orchestration.domain.duty import DutyOwner
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionOutcome,
    Minutes,
    NoParameters,
    Parameters,
    ReversibleAction,
    action,
)
from orchestration.playbooks.actions.override_effects import (
    OverridesUndo,
    add_override,
    made_by,
    made_for,
    remove_overrides,
    workaround_duties,
)
from orchestration.playbooks.model import Risk

# Half of the full limit for two minutes, then three quarters until the fourth: a provider that has just recovered from
# overload fails again if all the waiting calls return at once.
_RAMP = (0.5, 0.75)
_RAMP_MINUTES = (2.0, 4.0)


class LowerParameters(Parameters):
    """`providers` by name, `*` for all; `factor` times the present concurrency, at least 1; for so many minutes."""

    providers: tuple[str, ...]
    factor: float = Field(default=0.5, gt=0, lt=1)
    minutes: Minutes = 60.0


@action
class Lower(ReversibleAction[LowerParameters, OverridesUndo]):
    """Let fewer calls run at once."""

    name = "limit.lower"
    summary = "lower how many calls run at once"
    risk = Risk.REVERSIBLE
    undo_summary = "the limits are as before"
    finds = ("limits", "overrides")

    def targets(self, parameters: LowerParameters) -> tuple[str, ...]:
        return self._named(parameters)

    async def preview(self, context: ActionContext, parameters: LowerParameters) -> str:
        changes = ", ".join(f"{name} to {to}" for name, to in self._limits(parameters).items())
        return f"lower the concurrency of {changes} for {parameters.minutes:g} min"

    async def run(self, context: ActionContext, parameters: LowerParameters) -> ActionOutcome:
        known = {one.change.target: one.change for one in made_by(self, context)}
        # The present limit is the lowered one already if a crash came in between: it must not be lowered twice.
        limits = {
            name: change.concurrency if isinstance(change := known.get(name), LimitProvider) else to
            for name, to in self._limits(parameters).items()
        }
        made = [
            add_override(self, context, LimitProvider(target=name, concurrency=to), parameters.minutes)
            for name, to in limits.items()
        ]
        summary = "at most " + ", ".join(f"{to} calls at once to {name}" for name, to in limits.items())
        return ActionOutcome(
            summary,
            {"limits": limits, "overrides": made},
            undo=OverridesUndo(overrides=tuple(made)).as_json(),
            duties=workaround_duties(made, "lift the lowered limit", DutyOwner.AUTOMATION),
        )

    async def revert(self, context: ActionContext, state: OverridesUndo) -> str:
        remove_overrides(self, context, state.overrides)
        return self.undo_summary

    def _named(self, parameters: LowerParameters) -> tuple[str, ...]:
        providers = self.services.configuration().runtime.providers
        enabled = tuple(name for name, settings in providers.items() if settings.enabled)
        # All of them have to be asked for with `*`; an empty list stays empty, and the guard refuses it.
        return enabled if EVERYTHING in parameters.providers else tuple(n for n in parameters.providers if n in enabled)

    def _limits(self, parameters: LowerParameters) -> dict[str, int]:
        providers = self.services.configuration().runtime.providers
        # Never 0, which would pause the provider altogether.
        return {name: max(1, int(providers[name].concurrency * parameters.factor)) for name in self._named(parameters)}


@action
class Restore(Action[NoParameters]):
    """Return to the limits in the configuration file."""

    name = "limit.restore"
    summary = "bring lowered limits back step by step"
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: the limits continue to come back"
    finds = ("restored",)

    async def preview(self, context: ActionContext, parameters: NoParameters) -> str:
        return f"bring back the limits of {', '.join(self._lowered(context)) or 'no provider'} step by step"

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        lowered = self._lowered(context)
        full = {name: self._full(name) for name in lowered}
        for name, ids in lowered.items():
            # Overrides that expire one after the other. The newest in force counts, so the lowest is added last and the
            # limit climbs without anybody acting again.
            for share, minutes in reversed(list(zip(_RAMP, _RAMP_MINUTES, strict=True))):
                step = LimitProvider(target=name, concurrency=max(1, int(full[name] * share)))
                add_override(self, context, step, minutes, part=f"{share:g}")
            # Removed last, so that the full limit is at no moment in force.
            remove_overrides(self, context, ids)
        names = ", ".join(lowered) or "none had been lowered"
        return ActionOutcome(f"limits come back step by step: {names}", {"restored": sorted(lowered)}, undo={})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        # Undoing it would lower the limits of a provider that has just recovered.
        return "the limits continue to come back"

    def _lowered(self, context: ActionContext) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        ours = {override.id for override in made_by(self, context)}
        for override in made_for(self, context, "limit_provider"):
            if override.id not in ours:
                found.setdefault(override.change.target, []).append(override.id)
        return found

    def _full(self, name: str) -> int:
        # From the file, because the configuration in force has the lowered limit.
        return self.services.store.file.runtime.providers[name].concurrency

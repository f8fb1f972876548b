"""Overrides: changes of the running configuration, typed, with a reason, an actor and an expiry. The file stays the
user's.

`effective` applies those that are in force to the configuration. Nothing has to be undone when one ends: it is no
longer applied. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from orchestration.config.agents import AgentSettings
from orchestration.config.providers.settings import ProviderSettings
from orchestration.config.runtime import RuntimeSettings
from orchestration.config.schema import Configuration
from orchestration.config.section import LogLevel
from orchestration.config.usage_limits import UsageLimits
from orchestration.domain.provider_kind import ProviderKind

EVERYTHING = "*"


class OverrideChange(BaseModel):
    """What an override changes; `target` is a name, or `*` for all.

    `over` is the file's value when the override was added: a user who edits exactly that value afterwards means it, so
    the override no longer applies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Whether only a person may remove it.
    for_people: ClassVar[bool] = False

    target: str = EVERYTHING
    over: Any = None

    def apply(self, configuration: Configuration) -> Configuration:
        """The configuration with the change applied; unchanged if the target does not exist."""
        raise NotImplementedError

    def subject(self, file: Configuration) -> Any:  # noqa: ARG002
        """The file's value of what is changed, as JSON; None if no edit of the file ends the override."""
        return None

    def superseded(self, file: Configuration) -> bool:
        """Whether the user has edited the same value since."""
        return self.over is not None and self.over != self.subject(file)

    def affects(self, name: str) -> bool:
        """Whether the change affects the thing with this name."""
        return self.target in (EVERYTHING, name)


class PinConfiguration(OverrideChange):
    """Use an earlier version until the file is edited. Applied before all other overrides, whatever their age."""

    kind: Literal["pin_configuration"] = "pin_configuration"
    number: int
    document: dict[str, Any]

    # Checked when it is read back, too: a version that an older release stored may no longer be a configuration.
    @field_validator("document")
    @classmethod
    def _must_be_a_configuration(cls, document: dict[str, Any]) -> dict[str, Any]:
        Configuration.model_validate(document)
        return document

    def subject(self, file: Configuration) -> str:
        return sha256(file.model_dump_json().encode()).hexdigest()

    def apply(self, configuration: Configuration) -> Configuration:  # noqa: ARG002
        return Configuration.model_validate(self.document)


class RouteTo(OverrideChange):
    """Send the calls of an agent, or all calls, to this provider first; the present chain follows it."""

    kind: Literal["route_to"] = "route_to"
    provider: str

    def subject(self, file: Configuration) -> list[str | None]:
        agents = [agent.provider for agent in file.agents if agent.id == self.target]
        return agents or [file.runtime.default_provider]

    def superseded(self, file: Configuration) -> bool:
        # A provider that the user has removed from the file cannot be routed to.
        return super().superseded(file) or file.provider(self.provider) is None

    def apply(self, configuration: Configuration) -> Configuration:
        agents = tuple(
            agent.model_copy(update={"provider": self.provider}) if self.affects(agent.id) else agent
            for agent in configuration.agents
        )
        # `model_copy` does not validate (https://docs.pydantic.dev/latest/concepts/models/#model-copy);
        # `add_override` checks the result as a whole.
        rerouted = configuration.model_copy(update={"agents": agents})
        if self.target != EVERYTHING:
            return rerouted
        chain = _chain_behind(configuration, self.provider)
        return _with_runtime(rerouted, default_provider=self.provider, fallback_providers=chain)


class LimitProvider(OverrideChange):
    """Limit the concurrent calls to a provider; with 0, all calls wait."""

    kind: Literal["limit_provider"] = "limit_provider"
    concurrency: Annotated[int, Field(ge=0, le=10_000)]

    def subject(self, file: Configuration) -> dict[str, int]:
        return {name: provider.concurrency for name, provider in file.runtime.providers.items() if self.affects(name)}

    def apply(self, configuration: Configuration) -> Configuration:
        return _with_providers(configuration, self, concurrency=self.concurrency)


class SwitchOffProvider(OverrideChange):
    """Send no calls to a provider; the next in the chain replaces it. The only one of a chain is kept, so that calls
    wait for it rather than fail."""

    kind: Literal["switch_off_provider"] = "switch_off_provider"

    def subject(self, file: Configuration) -> dict[str, bool]:
        return {name: provider.enabled for name, provider in file.runtime.providers.items() if self.affects(name)}

    def apply(self, configuration: Configuration) -> Configuration:
        runtime = configuration.runtime
        chain = [name for name in (runtime.default_provider, *runtime.fallback_providers) if not self.affects(name)]
        chain = chain or [runtime.default_provider]
        agents = tuple(
            agent.model_copy(update={"provider": None}) if agent.provider and self.affects(agent.provider) else agent
            for agent in configuration.agents
        )
        remaining = _with_runtime(configuration, default_provider=chain[0], fallback_providers=tuple(chain[1:]))
        return _with_providers(remaining.model_copy(update={"agents": agents}), self, enabled=False)


class LimitAgent(OverrideChange):
    """Change limits of an agent; those that are not given stay as they are."""

    kind: Literal["limit_agent"] = "limit_agent"
    limits: UsageLimits

    def subject(self, file: Configuration) -> dict[str, Any]:
        return {agent.id: agent.limits.model_dump(mode="json") for agent in file.agents if self.affects(agent.id)}

    def apply(self, configuration: Configuration) -> Configuration:
        agents = tuple(self._limited(agent) if self.affects(agent.id) else agent for agent in configuration.agents)
        return configuration.model_copy(update={"agents": agents})

    def _limited(self, agent: AgentSettings) -> AgentSettings:
        given = {name: value for name, value in self.limits if value is not None}
        return agent.model_copy(update={"limits": agent.limits.model_copy(update=given)})


class LimitRuns(OverrideChange):
    """Change how long whole runs may work, except those that were started with a limit of their own."""

    kind: Literal["limit_runs"] = "limit_runs"
    seconds: Annotated[float, Field(gt=0)]

    def subject(self, file: Configuration) -> dict[str, Any]:
        return {"seconds": file.runtime.limits.seconds}

    def apply(self, configuration: Configuration) -> Configuration:
        limits = configuration.runtime.limits.model_copy(update={"seconds": self.seconds})
        return _with_runtime(configuration, limits=limits)


class SetLogLevel(OverrideChange):
    """Change the log level."""

    kind: Literal["set_log_level"] = "set_log_level"
    level: LogLevel

    def subject(self, file: Configuration) -> str:
        return file.monitoring.log_level

    def apply(self, configuration: Configuration) -> Configuration:
        monitoring = configuration.monitoring.model_copy(update={"log_level": self.level})
        return configuration.model_copy(update={"monitoring": monitoring})


class StopAutomation(OverrideChange):
    """The kill switch: no automatic action until this ends."""

    kind: Literal["stop_automation"] = "stop_automation"

    def apply(self, configuration: Configuration) -> Configuration:
        automation = configuration.automation.model_copy(update={"enabled": False})
        return configuration.model_copy(update={"automation": automation})


class IsolateOverride(OverrideChange):
    """Isolate the system until a person lifts it: no new runs, no tools for agents, no model calls for clients."""

    for_people: ClassVar[bool] = True

    kind: Literal["isolate"] = "isolate"

    def apply(self, configuration: Configuration) -> Configuration:
        return _with_runtime(configuration, isolated=True)


# Stored as JSON and told apart by `kind`, so a kind that was once released keeps its name.
AnyChange = Annotated[
    PinConfiguration
    | RouteTo
    | LimitProvider
    | SwitchOffProvider
    | LimitAgent
    | LimitRuns
    | SetLogLevel
    | StopAutomation
    | IsolateOverride,
    Field(discriminator="kind"),
]


class OverrideOrigin(BaseModel):
    """The action of a playbook that made an override, and the incident that it was made for.

    `action_key` is the same when the action is repeated after a crash; `part` tells several overrides of one target by
    the same action apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident_id: str
    action_key: str
    part: str = ""


class Override(BaseModel):
    """One change, in force from `created_at` until `expires_at` (None: until it is removed).

    `origin` is None for one that a person made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str
    change: AnyChange
    reason: Annotated[str, Field(min_length=1)]
    actor: Annotated[str, Field(min_length=1)]
    created_at: datetime
    expires_at: datetime | None = None
    origin: OverrideOrigin | None = None

    def in_force(self, now: datetime) -> bool:
        return self.created_at <= now and (self.expires_at is None or now < self.expires_at)


class OverrideStore(Protocol):
    """Stores overrides for all processes."""

    def add(self, override: Override) -> None:
        """Store an override."""
        ...

    def remove(self, override_id: str, now: datetime) -> None:
        """End an override now. Raises NotFoundError if no override with this id is in force."""
        ...

    def list_active(self, now: datetime) -> tuple[Override, ...]:
        """Overrides that have neither expired nor been removed, oldest first."""
        ...


def effective(file: Configuration, overrides: Iterable[Override], now: datetime) -> Configuration:
    """The file with every override that is in force; the newer of two that change the same value wins."""
    in_force = [override for override in overrides if override.in_force(now) and not override.change.superseded(file)]
    # A pin replaces the whole configuration, and would undo every change that was applied before it.
    in_force.sort(key=lambda override: (not isinstance(override.change, PinConfiguration), override.created_at))
    configuration = file
    for override in in_force:
        configuration = override.change.apply(configuration)
    return configuration


def _chain_behind(configuration: Configuration, first: str) -> tuple[str, ...]:
    """The present chain without `first`. A rehearsal and a real provider are never fallbacks of each other: an answer
    must not change its kind silently."""
    runtime = configuration.runtime
    rehearsing = _rehearses(configuration.provider(first))
    names = dict.fromkeys((runtime.default_provider, *runtime.fallback_providers))
    return tuple(name for name in names if name != first and _rehearses(configuration.provider(name)) == rehearsing)


def _rehearses(provider: ProviderSettings | None) -> bool:
    return provider is not None and provider.type is ProviderKind.REHEARSAL


def _with_providers(configuration: Configuration, change: OverrideChange, **update: Any) -> Configuration:
    providers = {
        name: provider.model_copy(update=update) if change.affects(name) else provider
        for name, provider in configuration.runtime.providers.items()
    }
    return _with_runtime(configuration, providers=providers)


def _with_runtime(configuration: Configuration, **update: Any) -> Configuration:
    runtime: RuntimeSettings = configuration.runtime.model_copy(update=update)
    return configuration.model_copy(update={"runtime": runtime})

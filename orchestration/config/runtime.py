"""The section `runtime`: how runs are executed, what they may use, and what their commands may access."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from orchestration.config.providers.settings import WELL_KNOWN_PROVIDERS, ProviderSettings, is_provider_section
from orchestration.config.section import EnvironmentName, PositiveSeconds, Section
from orchestration.config.usage_limits import UsageLimits
from orchestration.domain.host_rule import read_rule


def _command_host(text: str) -> str:
    read_rule(text)
    return text


CommandHost = Annotated[str, AfterValidator(_command_host)]


class CommandSettings(Section):
    """What the commands of agents, and the checks of a run, may access besides their workspace.

    `writable` are further files and folders that they may change: absolute, from `~`, or relative to the project.
    `wall` says how they are isolated: as far as this machine permits (`possible`), completely or not at all started
    (`required`), or not (`off`). Without `network` they reach the `hosts` alone, through a proxy of ours: a host is
    `packages.example.org`, `*.example.net` (all names below it) or `git.example.org:8443`. `variables` are names of
    variables of the environment that they get; `caches` are those of package managers, `shared` by all commands below
    the state directory or of each command alone (`none`).

    Keys in the home folder, such as `~/.ssh` and `~/.aws`, appear empty to commands; `visible` are those that do not.
    """

    network: bool = False
    hosts: tuple[CommandHost, ...] = ()
    variables: tuple[EnvironmentName, ...] = ()
    caches: Literal["shared", "none"] = "shared"
    writable: tuple[str, ...] = ()
    visible: tuple[str, ...] = ()
    wall: Literal["possible", "required", "off"] = "possible"


class RuntimeSettings(Section):
    """How runs are executed. The daily limits apply to all model calls of a day (UTC).

    `workspace` says where runs work in a git repository: each in a worktree and on a branch of its own, or in your own
    tree. Folders without git are always worked in directly.

    `python_path` are further folders from which functions of your own are imported, besides the project's.

    `isolated` turns isolation mode on: no run starts or is resumed, agents have no tools, clients get no model calls.
    """

    default_provider: str = "ollama"
    fallback_providers: tuple[str, ...] = ()
    when_busy: Literal["fallback", "wait"] = "fallback"
    fallback_on_content_filter: bool = False
    log_directory: str = "logs"
    artifacts_directory: str = "artifacts"
    state_directory: str = "var"
    workspace: Literal["worktree", "in-place"] = "worktree"
    database_url_env: EnvironmentName | None = None
    # A run without any limit could go on, and spend, for ever.
    limits: UsageLimits = UsageLimits(seconds=3600)
    commands: CommandSettings = CommandSettings()
    python_path: tuple[str, ...] = ()
    isolated: bool = False
    daily_tokens: Annotated[int, Field(gt=0)] | None = None
    daily_usd: Annotated[float, Field(gt=0)] | None = None
    review_rounds: Annotated[int, Field(ge=0, le=20)] = 2
    parallel_steps: Annotated[int, Field(ge=1, le=64)] = 4
    agent_retries: Annotated[int, Field(ge=0, le=20)] = 2
    workers: Annotated[int, Field(ge=0, le=64)] = 2
    worker_memory_mb: Annotated[int, Field(ge=128)] = 2048
    # Workers send one heartbeat a second. A shorter limit would kill sound ones on a machine that swaps.
    worker_heartbeat_seconds: PositiveSeconds = 15.0
    worker_stop_seconds: PositiveSeconds = 10.0
    providers: dict[str, ProviderSettings] = Field(default_factory=dict)

    # Before validation, because a section with an unknown name would otherwise be an unknown key.
    @model_validator(mode="before")
    @classmethod
    def _gather_providers(cls, data: Any) -> Any:
        """Collect the providers, which are sections of `runtime` itself (`runtime.ollama`), under one key."""
        if not isinstance(data, dict):
            return data
        gathered = data.get("providers", {})
        if not isinstance(gathered, dict):
            return data
        sections = {name: section for name, section in data.items() if is_provider_section(name, section)}
        rest = {name: value for name, value in data.items() if name not in sections}
        both = {**gathered, **sections}
        return {**rest, "providers": {name: _with_type(name, section) for name, section in both.items()}}


def _with_type(name: str, section: object) -> object:
    if isinstance(section, dict) and name in WELL_KNOWN_PROVIDERS:
        # The section's own `type` comes last and wins: a section `azure` may be a compatible server.
        return {"type": WELL_KNOWN_PROVIDERS[name], **section}
    return section

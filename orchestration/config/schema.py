"""The structure of `config/agents.config.json`.

Keys in the file are camelCase, attributes here are snake_case. Unknown keys are kept, so that files for other versions
still load; a warning names them. All values are immutable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator
from pydantic_core import PydanticKnownError

from orchestration.config.alerting import AlertingSettings
from orchestration.config.maintenance import MaintenanceSettings
from orchestration.config.providers.kinds import ProviderType, find_provider_kind
from orchestration.config.response import ResponseSettings
from orchestration.config.section import EnvironmentName, Identifier, LogLevel, PositiveSeconds, Section
from orchestration.config.vendors.settings import RevokerSettings
from orchestration.domain.framework import Framework
from orchestration.domain.host_rule import read_rule
from orchestration.domain.prompt_cache_mode import PromptCacheMode
from orchestration.domain.provider_kind import ProviderKind
from orchestration.proxies import DIRECT, problem_of

# Section names under `runtime` that are providers without saying so; any other section needs a `type`.
WELL_KNOWN_PROVIDERS: dict[str, ProviderKind] = {
    "ollama": ProviderKind.OLLAMA,
    "azure": ProviderKind.AZURE,
    "azureOpenAI": ProviderKind.AZURE,
    "azureOpenai": ProviderKind.AZURE,
    "github": ProviderKind.GITHUB,
    "githubModels": ProviderKind.GITHUB,
    "openai": ProviderKind.OPENAI,
    "anthropic": ProviderKind.ANTHROPIC,
    "rehearsal": ProviderKind.REHEARSAL,
}


class Metadata(Section):
    """What this configuration is for; free text, shown in reports. `writtenBy` says that a program writes the file, so
    that an edit by hand would be lost."""

    name: str = "agents"
    version: str = "1"
    description: str = ""
    written_by: str = ""


class Timeouts(Section):
    """Time limits of one model call, in seconds. The first token has its own limit: a model may have to be loaded
    first."""

    # A TCP handshake needs no longer on any working network; waiting would only delay the fallback.
    connect: PositiveSeconds = 5.0
    # Ollama loads a model of several gigabytes from disk before the first token.
    first_token: PositiveSeconds = 120.0
    next_token: PositiveSeconds = 30.0
    call: PositiveSeconds = 600.0


class BreakerSettings(Section):
    """When the circuit breaker of a route opens, and when the route is probed again."""

    # One failure may be chance; a third would cost another run its time limit.
    failures: Annotated[int, Field(ge=1, le=100)] = 2
    window: PositiveSeconds = 60.0
    probe_after: PositiveSeconds = 5.0
    probe_at_most: PositiveSeconds = 60.0


def _proxy_address(text: str) -> str:
    if text != DIRECT and (problem := problem_of(text)):
        raise ValueError(problem)
    return text


ProxyAddress = Annotated[str, AfterValidator(_proxy_address)]


class ProviderSettings(Section):
    """One provider: its address, its credentials, its limits."""

    type: ProviderType = ProviderKind.OPENAI
    enabled: bool = True
    # The shipped file uses the word of each vendor: `host` for Ollama, `endpoint` for Azure, `baseUrl` for OpenAI.
    base_url: str | None = Field(default=None, validation_alias=AliasChoices("host", "endpoint", "baseUrl", "base_url"))
    default_model: str | None = None
    # 0 pauses the provider: its calls wait, which `limit_provider` uses.
    concurrency: Annotated[int, Field(ge=0, le=10_000)] = 4
    streaming: bool = True
    timeouts: Timeouts = Timeouts()
    breaker: BreakerSettings = BreakerSettings()
    api_key_env: EnvironmentName | None = Field(
        default=None, validation_alias=AliasChoices("apiKeyEnv", "tokenEnv", "api_key_env")
    )
    auth: Literal["key", "entra", "none"] | None = None
    api_version: str | None = None
    requests_per_minute: Annotated[int, Field(gt=0)] | None = None
    tokens_per_minute: Annotated[int, Field(gt=0)] | None = None
    # A deep probe generates tokens, which costs money at most vendors.
    deep_probe: bool = False
    # Whether a playbook may start `ollama serve` on this machine: the user decides what runs on it.
    allow_start: bool = False
    prompt_cache: PromptCacheMode = PromptCacheMode.AUTOMATIC
    status_url: str | None = None
    status_services: tuple[str, ...] = ()
    # Whether a public name in `statusUrl` may lead to a private address.
    status_private_network: bool = False
    # Who gets a request for more quota: contacts, rotations or levels, as in the response.
    quota_contacts: tuple[str, ...] = ()
    # The address of a proxy for HTTP, or `none`; without one, HTTPS_PROXY and NO_PROXY count for encrypted addresses.
    proxy: ProxyAddress | None = None
    # In the PEM format: further authorities, and a certificate of our own with its key.
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def effective_base_url(self) -> str | None:
        """The address: the one given, or the one that all customers of the vendor share."""
        kind = find_provider_kind(self.type)
        return self.base_url or (kind.base_url if kind else None)

    @property
    def is_local(self) -> bool:
        """Whether the provider runs on this machine; False for an invalid address."""
        try:
            host = urlsplit(self.effective_base_url or "").hostname or ""
        except ValueError:
            return False
        return host in ("localhost", "::1") or host.startswith("127.")

    @property
    def effective_api_key_env(self) -> str | None:
        """The variable with the key; None if no key is sent.

        A compatible server of one's own, told by its `baseUrl`, needs none unless the section says so.
        """
        if self.auth in ("entra", "none"):
            return None
        kind = find_provider_kind(self.type)
        if self.api_key_env or kind is None:
            return self.api_key_env
        return kind.default_key(self.base_url if self.auth is None else None)


class UsageLimits(Section):
    """The most that one run or one agent may use before it is stopped. None means no limit of its own."""

    seconds: PositiveSeconds | None = None
    model_calls: Annotated[int, Field(gt=0)] | None = None
    tokens: Annotated[int, Field(gt=0)] | None = None
    usd: Annotated[float, Field(gt=0)] | None = None
    memory_mb: Annotated[int, Field(ge=32)] | None = None
    cpu_seconds: Annotated[int, Field(gt=0)] | None = None
    command_seconds: PositiveSeconds | None = None
    output_bytes: Annotated[int, Field(ge=1024)] | None = None
    disk_mb: Annotated[int, Field(ge=1)] | None = None


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


def is_provider_section(name: str, section: object) -> bool:
    """Whether a key of `runtime` describes a provider."""
    if name in WELL_KNOWN_PROVIDERS:
        return True
    return isinstance(section, dict) and "type" in section and name not in ("limits", "commands", "providers")


def _with_type(name: str, section: object) -> object:
    if isinstance(section, dict) and name in WELL_KNOWN_PROVIDERS:
        # The section's own `type` comes last and wins: a section `azure` may be a compatible server.
        return {"type": WELL_KNOWN_PROVIDERS[name], **section}
    return section


class ModelParameters(Section):
    """How a model is asked to answer. What is not set is left to the server.

    `extra` holds further fields of the request, in the words of the vendor, such as `{"seed": 1}`.
    """

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def request_fields(self) -> dict[str, Any]:
        """The fields of a request in the chat wire format."""
        named = self.model_dump(exclude={"extra"}, exclude_none=True)
        return {**{name: value for name, value in self.extra.items() if name not in _OURS}, **named}


# Fields of a request that say what is asked, not how: a configuration that replaced them would break every call.
_OURS = frozenset({"model", "messages", "tools", "stream", "stream_options", "response_format", "n"})


class ModelSettings(Section):
    """One model: its prices, the size of its context, and how it is asked to answer. Without prices of their own,
    tokens from the vendor's prompt cache, and those written to it, cost as much as all others."""

    name: str
    input_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    cached_input_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    cache_write_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    output_usd_per_million: Annotated[float, Field(ge=0)] | None = None
    context_tokens: Annotated[int, Field(gt=0)] | None = None
    parameters: ModelParameters = ModelParameters()


# What every vendor accepts as the name of a function.
# A part of the names of its tools, which have 64 characters at most.
McpServerName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,30}$")]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]


class AgentRole(StrEnum):
    """The part that an agent plays in a run."""

    PLANNER = "planner"
    EXECUTOR = "executor"
    REVIEWER = "reviewer"
    WORKER = "worker"


def _checked_entry_point(value: object) -> object:
    """One error at the key itself; a union would report one for each of its types, below keys that no file has."""
    if isinstance(value, str):
        well_formed = re.fullmatch(_FUNCTION, value) is not None
    else:
        well_formed = isinstance(value, list | tuple) and bool(value) and all(map(_is_word, value)) and bool(value[0])
    if not well_formed:
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": _FUNCTION})
    return value


def _is_word(value: object) -> bool:
    # The kernel takes no longer word, and ends each at a NUL (execve(2)).
    return isinstance(value, str) and len(value) < _LONGEST_WORD and "\0" not in value


_FUNCTION = r"^[\w.]+:[\w.]+$"
_LONGEST_WORD = 131_072
EntryPoint = Annotated[
    Annotated[str, Field(pattern=_FUNCTION)] | Annotated[tuple[str, ...], Field(min_length=1)],
    BeforeValidator(_checked_entry_point),
]


class AgentSettings(Section):
    """One agent: its role, its model, its tools, its limits.

    With `entryPoint`, code of one's own takes the place of a model: `module:function`, or the words of a command line,
    run without a shell. With a `framework`, it is `module:object`: a crew, a graph or an agent of that framework. With
    `runsOn`, only workers with that label work on it.
    """

    id: Identifier
    description: str = ""
    role: AgentRole | None = None
    default_model: str | None = None
    provider: str | None = None
    tools: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    limits: UsageLimits = UsageLimits()
    entry_point: EntryPoint | None = None
    framework: Framework | None = None
    runs_on: Identifier | None = None
    prompt: str | None = None
    # They win over those of the model.
    parameters: ModelParameters = ModelParameters()

    @model_validator(mode="after")
    def _framework_has_an_object(self) -> AgentSettings:
        # Without one it would be taken for an agent that asks a model by itself.
        if self.framework is not None and self.function is None:
            raise ValueError("an `entryPoint` of the form module:object beside `framework`")
        return self

    @property
    def function(self) -> str | None:
        """`module:function` or `module:object` of one's own; None for any other agent."""
        return self.entry_point if isinstance(self.entry_point, str) else None

    @property
    def program(self) -> tuple[str, ...]:
        """The command line that is the agent; empty for any other agent."""
        return self.entry_point if isinstance(self.entry_point, tuple) else ()

    @property
    def effective_role(self) -> AgentRole:
        """The role; agents called `planner`, `executor` or `reviewer` have it by their name."""
        if self.role is not None:
            return self.role
        known = {role.value: role for role in AgentRole}
        return known.get(self.id, AgentRole.WORKER)


class ToolLimits(Section):
    """The limits of one call of a tool."""

    seconds: PositiveSeconds | None = None
    output_bytes: Annotated[int, Field(ge=256, le=1_000_000)] | None = None
    memory_mb: Annotated[int, Field(ge=32)] | None = None


class ToolSettings(Section):
    """A tool of your own: a Python function, which runs in a process of its own.

    `description` and `parameters` (a JSON Schema) are what the model is shown; without them, the function's docstring
    and annotations are. A tool that `readsOnly` may run beside others. Only one that is `idempotent`, or reads only,
    is called again after a failure or a crash. `approval` asks a person before each call. `agents` are those that may
    use it, all that list it if empty; `variables` are the names of variables of `.env` or the environment that it gets.
    """

    entry_point: Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")]
    description: str = ""
    parameters: dict[str, Any] | None = None
    reads_only: bool = False
    idempotent: bool = False
    approval: bool = False
    agents: tuple[str, ...] = ()
    variables: tuple[EnvironmentName, ...] = ()
    limits: ToolLimits = ToolLimits()


class McpServerSettings(Section):
    """A server of the Model Context Protocol whose tools agents may use, under the names `SERVER__TOOL`.

    It is a `command`, which runs isolated in the workspace of the run, or has a `url`. `variables` are the variables
    of `.env` or the environment that a command gets; `tokenEnv` is the one whose value is sent as a bearer token, and
    `headersEnv` those of further headers. In `tools`, `approval`, `readsOnly` and `idempotent` are names of its tools,
    or patterns such as `search_*`: which may be used (all if empty), before which a person is asked, which change
    nothing, and which may be called again when a call has failed. `agents` are those that may use the server, all that
    list its tools if empty. What the server itself says about that is not believed.
    """

    command: tuple[str, ...] = ()
    url: str | None = None
    enabled: bool = True
    variables: tuple[EnvironmentName, ...] = ()
    token_env: EnvironmentName | None = None
    headers_env: dict[str, EnvironmentName] = Field(default_factory=dict)
    network: bool = True
    tools: tuple[str, ...] = ()
    approval: tuple[str, ...] = ()
    reads_only: tuple[str, ...] = ()
    idempotent: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    limits: ToolLimits = ToolLimits()

    @model_validator(mode="after")
    def _has_one_address(self) -> McpServerSettings:
        if bool(self.command) == bool(self.url):
            raise ValueError("a command, or a url, and not both")
        return self


class WorkflowEdge(Section):
    """`to` starts when `from` has produced `artifact`."""

    source: str = Field(alias="from", validation_alias=AliasChoices("from", "source"))
    target: str = Field(alias="to", validation_alias=AliasChoices("to", "target"))
    artifact: str | None = None


class Thresholds(Section):
    """Thresholds from the incident response playbook, over which alerts fire."""

    cpu_percent: Annotated[float, Field(gt=0, le=100)] = 90
    memory_percent: Annotated[float, Field(gt=0, le=100)] = 95
    disk_free_percent: Annotated[float, Field(gt=0, le=100)] = 10
    agent_failure_percent: Annotated[float, Field(gt=0, le=100)] = 50
    # Longer than the longest silence of a sound agent: the wait for a first token.
    stalled_seconds: PositiveSeconds = 120
    # A warm-up is over by then.
    leak_seconds: PositiveSeconds = 600


class CollectorSettings(Section):
    """A collector from an installed package, by its name: whether it runs, how often, and its own options."""

    enabled: bool = True
    seconds: PositiveSeconds | None = None
    options: Annotated[dict[str, Any], Field(default_factory=dict)]


class OpenTelemetrySettings(Section):
    """Where traces, metrics and logs are sent, by OTLP over HTTP. `headersEnv` names a variable with headers, such as
    `Authorization=Bearer …`, with commas between them. It needs the extra `otel`."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] = "http://localhost:4318"
    headers_env: EnvironmentName | None = None


class MonitoringSettings(Section):
    """What is monitored, how often, and how long records are kept. The installed packages are audited against the OSV
    records in `advisories_directory`, one JSON file each.

    While `record_calls` is on, prompts, answers, arguments and outputs of the calls of runs are kept for their pages,
    without secrets, as long as other records.

    Exposed credentials are probed at their vendors until they are refused: first every `credential_probe_seconds`, then
    less and less often.
    """

    metrics: Any = True
    log_level: LogLevel = "INFO"
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    record_calls: bool = True
    thresholds: Thresholds = Thresholds()
    probe_seconds: PositiveSeconds = 15.0
    resource_seconds: PositiveSeconds = 5.0
    integrity_seconds: PositiveSeconds = 600.0
    scan_secrets: bool = True
    scan_seconds: PositiveSeconds = 10.0
    read_status_pages: bool = True
    status_page_seconds: PositiveSeconds = 300.0
    probe_credentials: bool = True
    credential_probe_seconds: PositiveSeconds = 60.0
    audit_dependencies: bool = True
    audit_seconds: PositiveSeconds = 6 * 3600.0
    advisories_directory: str = "var/advisories"
    # OSV's export of all Python packages, or a mirror of it: https://google.github.io/osv.dev/data/#data-dumps
    advisories_url: str = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
    # Below the shortest period that common dead man's switch services accept, with room for a lost request.
    dead_man_seconds: PositiveSeconds = 60.0
    open_telemetry: OpenTelemetrySettings | None = None
    collectors: Annotated[dict[str, CollectorSettings], Field(default_factory=dict)]


class ScheduleSettings(Section):
    """A run that starts on a schedule; or, with `drills` instead of a goal, a game day: drills by name or scenario, or
    `all`."""

    name: Identifier
    cron: str
    goal: str = ""
    drills: tuple[str, ...] = ()
    time_zone: str = "UTC"
    workspace: str | None = None
    agent: str | None = None
    provider: str | None = None
    priority: Literal["low", "normal", "high"] = "normal"

    @model_validator(mode="after")
    def _has_something_to_do(self) -> ScheduleSettings:
        # Exactly one: a schedule with both would have to decide which comes first, and one with neither starts
        # nothing.
        if bool(self.goal.strip()) == bool(self.drills):
            raise ValueError("a goal, or drills, and not both")
        return self


ActionMode = Literal["off", "suggest", "ask", "auto"]
# Actions that cannot be undone, but affect only what the system itself has created.
_HARMLESS_ACTIONS: Mapping[str, ActionMode] = MappingProxyType(
    {"cleanup.logs": "auto", "cleanup.artifacts": "auto", "process.kill": "auto"}
)


class AutomationSettings(Section):
    """What the system may do automatically. `enabled` is the kill switch of all automatic actions; `actions` sets the
    mode of single ones and overrides the playbooks."""

    enabled: bool = True
    actions: dict[str, ActionMode] = Field(default_factory=dict)

    def mode_of(self, action: str) -> ActionMode | None:
        """The configured mode of an action; None if its playbook decides."""
        return self.actions.get(action, _HARMLESS_ACTIONS.get(action))


class Configuration(Section):
    """The whole file."""

    schema_reference: str | None = Field(default=None, alias="$schema")
    metadata: Metadata = Metadata()
    runtime: RuntimeSettings = RuntimeSettings()
    models: dict[str, tuple[ModelSettings, ...]] = Field(default_factory=dict)
    agents: tuple[AgentSettings, ...] = ()
    tools: dict[ToolName, ToolSettings] = Field(default_factory=dict)
    mcp_servers: dict[McpServerName, McpServerSettings] = Field(default_factory=dict)
    workflow: tuple[WorkflowEdge, ...] = ()
    schedules: tuple[ScheduleSettings, ...] = ()
    monitoring: MonitoringSettings = MonitoringSettings()
    automation: AutomationSettings = AutomationSettings()
    response: ResponseSettings = ResponseSettings()
    alerting: AlertingSettings = AlertingSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    revokers: dict[Identifier, RevokerSettings] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _accept_short_forms(cls, data: Any) -> Any:
        """Accept a model that is just a name, and a workflow that is wrapped as `{"edges": [...]}`."""
        if not isinstance(data, dict):
            return data
        result = dict(data)
        if isinstance(workflow := data.get("workflow"), dict) and "edges" in workflow:
            result["workflow"] = workflow["edges"]
        if isinstance(models := data.get("models"), dict):
            result["models"] = {provider: _expand_models(entries) for provider, entries in models.items()}
        return result

    def agent(self, agent_id: str) -> AgentSettings | None:
        """The agent of that name, or None."""
        return next((agent for agent in self.agents if agent.id == agent_id), None)

    def provider(self, name: str) -> ProviderSettings | None:
        """The provider of that name, or None."""
        return self.runtime.providers.get(name)

    def model(self, provider: str, name: str) -> ModelSettings | None:
        """The settings of a provider's model, or None."""
        return next((model for model in self.models.get(provider, ()) if model.name == name), None)


def _expand_models(entries: object) -> object:
    if not isinstance(entries, list):
        return entries
    return [{"name": entry} if isinstance(entry, str) else entry for entry in entries]

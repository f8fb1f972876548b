"""The registry of provider kinds: those that ship with the product, and users' own.

To add one to the product, add its name to `ProviderKind`, a descriptor here, and a module in `providers` if it differs
from the OpenAI dialect. A user's package names its descriptor under the entry point `orchestration.providers`.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from orchestration import logs
from orchestration.config.providers.descriptor import ProviderDescriptor
from orchestration.domain.answer_continuation import AnswerContinuation
from orchestration.domain.provider_kind import ProviderKind
from orchestration.plugins import PluginError, plugin_registry

GROUP = "orchestration.providers"
# With a full stop in it, as the names of a user's own actions have, so that no kind that we ship later can take it.
OWN_KIND = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*")
_KEYS = frozenset({"baseUrl", "defaultModel", "apiKeyEnv", "auth", "apiVersion", "api"})
_MODULES = "orchestration.providers"
_RESPONSES = f"{_MODULES}.responses:ResponsesEndpoint"
_log = logs.get_logger("providers")

_SHIPPED = (
    ProviderDescriptor(
        ProviderKind.OLLAMA,
        "Ollama, on this machine or another",
        f"{_MODULES}.ollama:OllamaEndpoint",
        # https://docs.ollama.com/faq: OLLAMA_HOST, 127.0.0.1 and port 11434 unless set.
        base_url="http://localhost:11434",
        optional=(),
        # Its server handles each request by itself; only the work on a model is queued.
        answers_during_calls=True,
        # As its maintainers say: https://github.com/ollama/ollama/issues/6778.
        answer_continuation=AnswerContinuation.LAST_MESSAGE,
    ),
    ProviderDescriptor(
        ProviderKind.AZURE,
        "Azure OpenAI and AI Foundry; `defaultModel` is the name of the deployment",
        f"{_MODULES}.azure:AzureEndpoint",
        api_key_env="AZURE_OPENAI_API_KEY",
        responses_factory=f"{_MODULES}.responses:AzureResponsesEndpoint",
        optional=("apiKeyEnv", "auth", "apiVersion", "api"),
        answers_during_calls=True,
        # https://learn.microsoft.com/azure/service-health/azure-status-overview
        status_url="https://azure.status.microsoft/en-us/status/feed/",
        status_hosts=("azure.com",),
        status_services=("Azure OpenAI", "AI Foundry", "Azure AI", "AI Services", "Cognitive Services"),
    ),
    ProviderDescriptor(
        ProviderKind.OPENAI,
        "OpenAI, or with a `baseUrl` any server with a compatible API",
        f"{_MODULES}.endpoint:Endpoint",
        responses_factory=_RESPONSES,
        optional=("apiKeyEnv", "api"),
        base_url="https://api.openai.com/v1",
        api_key_env="OPENAI_API_KEY",
        sends_key_to_own_address=False,
        status_url="https://status.openai.com/api/v2/summary.json",
        status_hosts=("api.openai.com",),
        status_services=("Chat Completions", "Responses"),
    ),
    ProviderDescriptor(
        ProviderKind.ANTHROPIC,
        "Anthropic, by its own Messages API",
        f"{_MODULES}.anthropic:AnthropicEndpoint",
        base_url="https://api.anthropic.com",
        api_key_env="ANTHROPIC_API_KEY",
        sends_key_to_own_address=False,
        answers_during_calls=True,
        status_url="https://status.claude.com/api/v2/summary.json",
        status_hosts=("api.anthropic.com",),
        status_services=("Claude API",),
    ),
    ProviderDescriptor(
        ProviderKind.GITHUB,
        "GitHub Models, retired on 2026-07-30, and servers with a compatible API",
        f"{_MODULES}.github:GitHubEndpoint",
        base_url="https://models.github.ai",
        api_key_env="GITHUB_TOKEN",
        answers_during_calls=True,
        status_url="https://www.githubstatus.com/api/v2/summary.json",
        status_hosts=("github.ai", "github.com"),
        status_services=("API Requests", "Models"),
    ),
    ProviderDescriptor(
        ProviderKind.REHEARSAL,
        "answers from a script, for drills and demonstrations; no model is called",
        f"{_MODULES}.endpoint:Endpoint",
        responses_factory=_RESPONSES,
        required=(),
        optional=("baseUrl", "defaultModel", "api"),
        answers_during_calls=True,
    ),
)
SHIPPED_PROVIDERS = MappingProxyType({descriptor.name: descriptor for descriptor in _SHIPPED})


def _known_form(kind: str) -> str:
    if kind in SHIPPED_PROVIDERS:
        return ProviderKind(kind)
    # Whether a user's own kind is installed is a finding of the checks, not an error of the file's shape: a package
    # that disappears must not keep the whole configuration, with every other provider in it, from being loaded.
    if not OWN_KIND.fullmatch(kind):
        raise ValueError(f"one of {', '.join(SHIPPED_PROVIDERS)}, or a kind of your own such as own.lab")
    return kind


ProviderType = Annotated[
    str,
    AfterValidator(_known_form),
    # Written by hand, so that the published schema is the same whatever packages are installed.
    WithJsonSchema({"anyOf": [{"enum": list(ProviderKind)}, {"type": "string", "pattern": f"^{OWN_KIND.pattern}$"}]}),
]


def find_provider_kind(name: str) -> ProviderDescriptor | None:
    """The descriptor of a kind; None where no package that can be used has it.

    Nothing of a user's is imported until one of their kinds is asked for.
    """
    shipped = SHIPPED_PROVIDERS.get(name)
    if shipped is not None:
        return shipped
    return next((descriptor for descriptor in own_provider_kinds().usable if descriptor.name == name), None)


def _validate(found: object) -> ProviderDescriptor:
    if not isinstance(found, ProviderDescriptor):
        raise PluginError(f"it names {found!r}, which is not a ProviderDescriptor")
    if not OWN_KIND.fullmatch(found.name):
        raise PluginError(f"its name '{found.name}' is not of the form own.lab")
    if ":" not in found.factory:
        raise PluginError(f"its factory '{found.factory}' is not of the form module:class")
    if unknown := [key for key in (*found.required, *found.optional) if key not in _KEYS]:
        raise PluginError(f"the keys {', '.join(unknown)} do not exist; settings of its own go into `options`")
    return found


own_provider_kinds = plugin_registry(
    GROUP, "provider", _validate, lambda problem: _log.warning("provider.plugin_broken", message=problem)
)

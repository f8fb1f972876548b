"""The names under which models can be requested. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind
from orchestration.errors import NotFoundError

AUTO = "auto"


def resolve_model(configuration: Configuration, name: str) -> tuple[str, str | None]:
    """The provider and the model that a name stands for. Raises NotFoundError."""
    providers = configuration.runtime.providers
    provider, slash, model = name.partition("/")
    # Names of models contain slashes, too (`meta-llama/Llama-3.1-8B`): only a known provider makes the part before the
    # slash a provider's name.
    if slash and provider in providers:
        return provider, model
    runtime = configuration.runtime
    order = dict.fromkeys((runtime.default_provider, *runtime.fallback_providers, *providers))
    for one in order:
        if one in providers and providers[one].enabled and name in _models(configuration, one):
            return one, name
    raise NotFoundError(f"There is no model '{name}'. `GET /v1/models` lists the names that can be used.")


def list_models(configuration: Configuration) -> Iterator[dict[str, Any]]:
    """Every name that can be requested, in OpenAI's format."""
    yield model_entry(AUTO, "orchestrator")
    for name, settings in configuration.runtime.providers.items():
        if settings.enabled:
            label = {"rehearsal": True} if settings.type is ProviderKind.REHEARSAL else {}
            for model in _models(configuration, name):
                yield model_entry(f"{name}/{model}", name) | label


def model_entry(name: str, owner: str) -> dict[str, Any]:
    """One model in OpenAI's format. Clients require `created`; no provider says when that was."""
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def messages_models(models: list[dict[str, Any]]) -> dict[str, Any]:
    """A list of models in Anthropic's format: https://platform.claude.com/docs/en/api/models/list. It has one page."""
    data = [messages_model(model) for model in models]
    return {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}


def messages_model(entry: dict[str, Any]) -> dict[str, Any]:
    """One model in Anthropic's format."""
    return {"type": "model", "id": entry["id"], "display_name": entry["id"], "created_at": "1970-01-01T00:00:00Z"}


def _models(configuration: Configuration, provider: str) -> tuple[str, ...]:
    default = configuration.runtime.providers[provider].default_model
    listed = [model.name for model in configuration.models.get(provider, ())]
    return tuple(dict.fromkeys([*([default] if default else []), *listed]))

"""The providers that this machine offers: keys in its environment, and an Ollama that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

from orchestration.config.credentials import EnvironmentCredentials
from orchestration.config.schema import Configuration
from orchestration.tls import shared_tls_context

_OLLAMA = "127.0.0.1:11434"
_ASK_SECONDS = 1.0
# What Microsoft's samples and LangChain call the deployment (both are in use).
_DEPLOYMENTS = ("AZURE_OPENAI_DEPLOYMENT", "AZURE_OPENAI_DEPLOYMENT_NAME", "AZURE_OPENAI_CHAT_DEPLOYMENT_NAME")
# What suits agents that edit code, the best first: by the name, since Ollama says nothing else about it.
_SUITED = ("coder", "qwen", "devstral", "gpt-oss", "llama")


@dataclass(frozen=True, slots=True)
class FoundProvider:
    """A provider of the shipped configuration that can be used here: why, and what its section needs beside the key."""

    name: str
    reason: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def find_providers(environment: Mapping[str, str], models: Sequence[str]) -> tuple[FoundProvider, ...]:
    """What can be used, that which was most likely meant for this first. `models` are those of a running Ollama. Pure.

    GITHUB_TOKEN comes last: many have it for other reasons.
    """
    return (*_keys(environment), *_ollama(environment, models), *_github(environment))


def _keys(environment: Mapping[str, str]) -> Iterator[FoundProvider]:
    if environment.get("OPENAI_API_KEY"):
        address = environment.get("OPENAI_BASE_URL") or environment.get("OPENAI_API_BASE")
        yield FoundProvider("openai", "OPENAI_API_KEY is set", {"baseUrl": address} if address else {})
    if environment.get("ANTHROPIC_API_KEY"):
        yield FoundProvider("anthropic", "ANTHROPIC_API_KEY is set", _anthropic(environment))
    endpoint = environment.get("AZURE_OPENAI_ENDPOINT", "").rstrip("/")
    if environment.get("AZURE_OPENAI_API_KEY") and endpoint:
        deployment = next((environment[name] for name in _DEPLOYMENTS if environment.get(name)), None)
        settings = {"endpoint": endpoint if endpoint.endswith("/v1") else f"{endpoint}/openai/v1/"}
        chosen = {"defaultModel": deployment} if deployment else {}
        yield FoundProvider("azure", "AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT are set", {**settings, **chosen})


def _anthropic(environment: Mapping[str, str]) -> Mapping[str, str]:
    """As Anthropic's own programs read the environment: the address comes without the version, and need not be set."""
    address, model = environment.get("ANTHROPIC_BASE_URL", "").rstrip("/"), environment.get("ANTHROPIC_MODEL")
    found = {"baseUrl": address if address.endswith("/v1") else f"{address}/v1"} if address else {}
    return {**found, "defaultModel": model} if model else found


def _ollama(environment: Mapping[str, str], models: Sequence[str]) -> Iterator[FoundProvider]:
    if models:
        number = f"{len(models)} model{'s' if len(models) > 1 else ''}"
        settings = {"host": ollama_address(environment), "defaultModel": _suited(models)}
        yield FoundProvider("ollama", f"Ollama runs here with {number}", settings)


def _github(environment: Mapping[str, str]) -> Iterator[FoundProvider]:
    if environment.get("GITHUB_TOKEN"):
        yield FoundProvider("github", "GITHUB_TOKEN is set")


def _suited(models: Sequence[str]) -> str:
    return next((model for part in _SUITED for model in models if part in model), models[0])


def unused_providers(
    configuration: Configuration, credentials: EnvironmentCredentials
) -> tuple[tuple[FoundProvider, str], ...]:
    """What this machine offers and the configuration does not use, each with what to do to use it. Blocks for a second
    at most."""
    environment = {**credentials.env_file, **credentials.environment}
    found = find_providers(environment, ollama_models(environment))
    return tuple((one, _advice(one, configuration)) for one in found if not _is_used(one, configuration))


def _is_used(found: FoundProvider, configuration: Configuration) -> bool:
    settings = configuration.provider(found.name)
    return settings is not None and settings.enabled


def _advice(found: FoundProvider, configuration: Configuration) -> str:
    missing = configuration.provider(found.name) is None
    how = f"add runtime.{found.name}" if missing else f"set runtime.{found.name}.enabled to true"
    return f"could be used: {found.reason}; {how}"


def ollama_address(environment: Mapping[str, str]) -> str:
    """Where Ollama listens: by OLLAMA_HOST, as it reads it itself (https://docs.ollama.com/faq). Pure."""
    text = environment.get("OLLAMA_HOST", "").strip() or _OLLAMA
    try:
        address = urlsplit(text if "://" in text else f"http://{text}")
        host, port = address.hostname or "127.0.0.1", address.port or 11434
    except ValueError:  # no host, or no port
        return f"http://{_OLLAMA}"
    # What it listens on is not always what it can be asked at.
    host = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 (nothing is bound)
    scheme = "https" if address.scheme == "https" else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def ollama_models(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The models of a running Ollama, the one used last first; none if nothing answers. Blocks for a second at most."""
    try:
        # Without proxies: it is on this machine, or named by an address.
        with httpx2.Client(verify=shared_tls_context(), timeout=_ASK_SECONDS, trust_env=False) as client:
            answer = client.get(f"{ollama_address(environment)}/api/tags")
            answer.raise_for_status()
            listed = answer.json()["models"]
            return tuple(str(model["name"]) for model in listed)
    except (httpx2.HTTPError, httpx2.InvalidURL, json.JSONDecodeError, KeyError, TypeError):
        return ()

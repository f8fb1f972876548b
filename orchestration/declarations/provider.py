"""Providers of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from orchestration.declarations.sections import camel, without_empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model with its prices (USD for a million tokens) and the size of its context. Without prices, a budget in USD
    cannot count it."""

    name: str
    input_usd_per_million: float | None = None
    output_usd_per_million: float | None = None
    context_tokens: int | None = None

    def section(self) -> dict[str, Any]:
        """The model as the configuration has it."""
        values = {camel(one): getattr(self, one) for one in ("input_usd_per_million", "output_usd_per_million")}
        return without_empty({"name": self.name, **values, "contextTokens": self.context_tokens})


@dataclass(frozen=True, slots=True)
class Provider:
    """A server that answers model calls. `type` is one of the shipped kinds, such as `openai` for any server that
    speaks that protocol, or one that a package adds. The key itself stays in `.env` or the environment, under the name
    `api_key_env`. `options` are further settings, in the configuration's words."""

    name: str
    type: str
    model: str | Model | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    concurrency: int | None = None
    models: Sequence[str | Model] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def ollama(cls, model: str, base_url: str = "http://localhost:11434") -> Self:
        """Ollama, on this machine unless another address is given."""
        return cls("ollama", "ollama", model, base_url)

    @classmethod
    def openai(cls, model: str, base_url: str | None = None, api_key_env: str | None = None) -> Self:
        """OpenAI, with the key in `OPENAI_API_KEY`; with `base_url`, any server of the same protocol."""
        return cls("openai", "openai", model, base_url, api_key_env or (None if base_url else "OPENAI_API_KEY"))

    @classmethod
    def rehearsal(cls, base_url: str | None = None) -> Self:
        """The scripted model for tests, which needs neither key nor network."""
        return cls("rehearsal", "rehearsal", "rehearsal-1", base_url)

    @property
    def known_models(self) -> tuple[Model, ...]:
        """The models that it was declared with, its first choice first."""
        listed = (*((self.model,) if self.model else ()), *self.models)
        return tuple(Model(name=one) if isinstance(one, str) else one for one in listed)

    def section(self) -> dict[str, Any]:
        """The provider as the configuration has it."""
        chosen = self.known_models[0].name if self.known_models else None
        return {
            "type": self.type,
            **without_empty(
                {
                    "baseUrl": self.base_url,
                    "defaultModel": chosen,
                    "apiKeyEnv": self.api_key_env,
                    "concurrency": self.concurrency,
                }
            ),
            **self.options,
        }

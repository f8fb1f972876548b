"""The models of a provider: what they cost, and how they are asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestration.config.section import Section


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

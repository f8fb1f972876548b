"""The gateway's input and output: the OpenAI chat format, with types of our own around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestration.domain.work_phase import WorkPhase

# An OpenAI chat-completions request without `model` and `stream`: messages, tools, response_format, temperature …
ChatBody = Mapping[str, Any]
ProgressCallback = Callable[["CallProgress"], None]

THINKING_BLOCKS = "thinking_blocks"
"""The field of a message of the assistant with its thoughts as Anthropic gives and wants them: in blocks, signed."""
OUTPUT_OUTLINE = "output_outline"
"""The field of a message of the assistant with the order of its texts, thoughts and calls in the Responses API, and
with the thoughts as that API wants them back: encrypted."""
SEALED_THOUGHTS = (THINKING_BLOCKS, OUTPUT_OUTLINE)
"""Thoughts that only the model can read that gave them; each other one refuses them."""
THOUGHTS_OF = "thoughts_of"
"""The field of a message of an agent's conversation with the route that its sealed thoughts are of."""


class ModelApi(StrEnum):
    """What is asked of a model: an answer in a conversation, or vectors for texts."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """A model at a provider."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens as counted by the provider; if it does not report them, estimated and marked so. Of the prompt,
    `cached_tokens` were read from the vendor's cache, and `cache_written_tokens` written to it; of the answer,
    `thinking_tokens` were thoughts, as far as the provider says so."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cached_tokens: int = 0
    cache_written_tokens: int = 0
    thinking_tokens: int = 0

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class CallProgress:
    """How far a call has come: reported when its phase changes, for the first token, then at most a few times a second.

    `about` is the route, or the provider while the call is queued behind `ahead` others. `prompt_tokens` are estimated;
    `text` is what has come since the last report: of thoughts, of the answer, or of a tool call.
    """

    phase: WorkPhase
    about: str
    completion_tokens: int = 0
    prompt_tokens: int = 0
    ahead: int | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class RouteTry:
    """One attempt on one route within a call, and how it ended (`ok` or a failure class)."""

    route: Route
    outcome: str
    seconds: float
    detail: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many tokens and dollars may be used; None for no limit."""

    tokens: int | None = None
    usd: float | None = None


_UNLIMITED = Allowance()


@dataclass(frozen=True, slots=True)
class ClientKey:
    """The token of a client of the gateway, as far as budgets are concerned. Of its own limits, `soft_percent` is where
    people are notified."""

    id: str
    name: str
    team: str | None = None
    daily: Allowance = _UNLIMITED
    monthly: Allowance = _UNLIMITED
    soft_percent: float | None = None

    @classmethod
    def of(cls, identifier: str, name: str, team: str | None, limits: Mapping[str, float]) -> ClientKey:
        """The same, from the limits as a token has them."""
        daily, monthly = (
            Allowance(None if tokens is None else int(tokens), limits.get(f"{period}_usd"))
            for period in ("daily", "monthly")
            for tokens in [limits.get(f"{period}_tokens")]
        )
        return cls(identifier, name, team, daily, monthly, limits.get("soft_percent"))


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """How a budget of a day or a month stood when a call was let through: what is used, without calls in progress, and
    its limits. `resets_in` is in seconds."""

    subject: str
    period: str
    used_tokens: int
    used_usd: float
    soft: Allowance
    hard: Allowance
    resets_in: float


@dataclass(frozen=True, slots=True)
class NativeRequest:
    """A request in the client's own API, which the gateway's form was translated from.

    A provider that speaks that API is sent `body` itself, with `headers`. Any other provider is sent the translation,
    unless something was lost in it: `lost` says what.
    """

    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """The caller and its preferences, beside the request itself.

    `provider` and `model` are preferences: the default provider's default model otherwise. `only` keeps the call on
    that provider. `key` makes the call's accounting idempotent: the same key is charged once. `client` is the token
    that it was made with, `allowance` what all calls of the run may use. Routes that are `closed` to it are not tried.
    `adaptable` allows the request to be put in another way for a route that does not understand it: the caller reads
    tool calls and answers from a text, too. Routes in `avoided` ("provider/model") have answered badly: they come last,
    and are asked in words. A caller that `condenses` shortens a conversation itself before turns of it are left out: it
    gets a ConversationTooLongError. `on_start` receives the route whose answer is about to be streamed, and how many
    attempts there were; `on_budget` the budgets that the call counts for, before it is sent.
    The provider is told that the call belongs to the trace of `traceparent`.
    A call that is `hedged` may be sent to a second route, and paid for twice, when its first token is late.
    `native` is the request as the client has put it in another API. The fields in `optional` come from a translation:
    where a model refuses one, the request is sent without it.
    `shown` is what a client has seen of an answer that broke off: routes whose models can go on from there are asked
    for the rest.
    """

    run_id: str | None = None
    agent: str | None = None
    key: str | None = None
    provider: str | None = None
    model: str | None = None
    only: bool = False
    seconds: float | None = None
    progress: ProgressCallback | None = None
    client: ClientKey | None = None
    allowance: Allowance | None = None
    closed: frozenset[Route] = frozenset()
    adaptable: bool = False
    avoided: frozenset[str] = frozenset()
    condenses: bool = False
    on_start: Callable[[Route, int], None] | None = None
    on_budget: Callable[[Sequence[BudgetStanding]], None] | None = None
    hedged: bool = False
    api: ModelApi = ModelApi.CHAT
    native: NativeRequest | None = None
    optional: frozenset[str] = frozenset()
    shown: str = ""
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer.

    `message` is the OpenAI assistant message (`content`, `tool_calls`); `usd` is None where no price is known;
    `rehearsal` marks an answer that no real model gave, and has to be shown wherever the answer is. Of embeddings, the
    vectors are in `extra`, and there is no message. `reported_usage`,
    `choice_extra` and `extra` are what the provider has sent beside that: its own account of the tokens, and the other
    fields of the choice and of the answer.
    """

    message: Mapping[str, Any]
    finish_reason: str
    usage: TokenUsage
    route: Route
    tries: tuple[RouteTry, ...] = field(default=())
    first_token_seconds: float | None = None
    seconds: float = 0.0
    usd: float | None = None
    rehearsal: bool = False
    reported_usage: Mapping[str, Any] | None = None
    choice_extra: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

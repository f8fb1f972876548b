"""Budgets: what a key, a team, an agent, a provider or a model may use in a day or a month."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from orchestration.config.response import TimeZone
from orchestration.config.section import Section

Tokens = Annotated[int, Field(gt=0, le=10**15)]
Dollars = Annotated[float, Field(gt=0, le=10**9, allow_inf_nan=False)]
OWNERS = ("key", "team", "agent", "provider", "model")
EACH = "*"
"""In the place of a name: each one has the budget for itself."""


class BudgetSettings(Section):
    """What `key` (the name or the id of a token), `team`, `agent`, `provider` or `model` may use in a `period`; without
    any of them, the whole project. `*` gives each one a budget of its own.

    At a soft limit people are notified, once in each period, and answers say so in a header. At a hard one, calls are
    refused; a model or a provider is no longer asked, and the next route is. Days and months are those of `timeZone`.
    """

    key: str | None = None
    team: str | None = None
    agent: str | None = None
    provider: str | None = None
    model: str | None = None
    period: Literal["day", "month"] = "month"
    soft_tokens: Tokens | None = None
    soft_usd: Dollars | None = None
    hard_tokens: Tokens | None = None
    hard_usd: Dollars | None = None
    time_zone: TimeZone = "UTC"

    @property
    def owner(self) -> str:
        """What kind of owner it has: `key`, `team`, `agent`, `provider`, `model` or `project`."""
        return next((owner for owner in OWNERS if getattr(self, owner) is not None), "project")

    @property
    def name(self) -> str:
        """The name of its owner; empty for the project."""
        return "" if self.owner == "project" else str(getattr(self, self.owner))

    @model_validator(mode="after")
    def _is_whole(self) -> BudgetSettings:
        if len([name for name in OWNERS if getattr(self, name) is not None]) > 1:
            raise ValueError("one of key, team, agent, provider and model, or none for the whole project")
        pairs = ((self.soft_tokens, self.hard_tokens), (self.soft_usd, self.hard_usd))
        if all(limit is None for pair in pairs for limit in pair):
            raise ValueError("at least one of softTokens, softUsd, hardTokens and hardUsd")
        if any(soft is not None and hard is not None and soft > hard for soft, hard in pairs):
            raise ValueError("a soft limit that is not above the hard one")
        return self

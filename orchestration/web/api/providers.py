"""Providers and agents: how they are, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from orchestration.config.overrides import LimitProvider, Override
from orchestration.config.schema import AgentRole
from orchestration.errors import NotFoundError
from orchestration.providers.provider_summary import ProviderSummary, overview
from orchestration.providers.route import ProbeResult
from orchestration.security.principal import Role
from orchestration.storage.route_states import RouteStates
from orchestration.web.api.services import ApiServices, Here, Name, Seconds, Text, Who, needs

router = APIRouter()
_AREA = "providers"
_LOOK = needs(Role.VIEWER, _AREA)
_ACT = needs(Role.OPERATOR, _AREA)


class ProbeRequest(BaseModel):
    """`deep` has the model write a few tokens, too; that may cost something."""

    deep: bool = False


class LimitRequest(BaseModel):
    """How many calls at once, 0 to pause; why, and for how long (until it is ended where there is no time)."""

    concurrency: Annotated[int, Field(ge=0, le=10_000)]
    reason: Text
    seconds: Seconds | None = None


class AgentView(BaseModel):
    """An agent of the configuration."""

    id: str
    description: str
    role: AgentRole
    provider: str | None
    model: str | None
    tools: tuple[str, ...]
    limits: Mapping[str, Any]


@router.get("/providers", dependencies=_LOOK)
def list_providers(here: Here) -> list[ProviderSummary]:
    """Every provider with its models: state, use and limit, place in the fallback chain."""
    app = here.app
    credentials, states = app.store.credentials, RouteStates(app.database).load()
    return list(overview(app.effective(), lambda name: credentials.get(name) is not None, states, app.clock.now()))


@router.post("/providers/{provider}/probe", dependencies=_ACT)
async def probe(here: Here, provider: Name, asked: ProbeRequest) -> ProbeResult:
    """Ask a provider now whether it works."""
    return await here.app.gateway.probe(_known(here, provider), deep=asked.deep)


@router.post("/providers/{provider}/reset", dependencies=_ACT, status_code=204)
async def reset(here: Here, provider: Name) -> None:
    """Have a provider's broken routes probed now."""
    here.app.gateway.reset(_known(here, provider))


@router.put("/providers/{provider}/limit", dependencies=_ACT)
async def limit(here: Here, who: Who, provider: Name, asked: LimitRequest) -> Override:
    """Change how many calls a provider is given at once: an override, for every process."""
    change = LimitProvider(target=_known(here, provider), concurrency=asked.concurrency)
    reason = here.app.redactor.text(asked.reason)
    return here.app.store.add_override(change, reason=reason, actor=who.name, seconds=asked.seconds)


@router.get("/agents", dependencies=needs(Role.VIEWER, "agents"))
def list_agents(here: Here) -> list[AgentView]:
    """The agents of the configuration in force."""
    return [
        AgentView(
            id=agent.id,
            description=agent.description,
            role=agent.effective_role,
            provider=agent.provider,
            model=agent.default_model,
            tools=agent.tools,
            limits=agent.limits.model_dump(mode="json", exclude_none=True),
        )
        for agent in here.app.configuration.agents
    ]


def _known(here: ApiServices, name: str) -> str:
    known = here.app.configuration.runtime.providers
    if name not in known:
        raise NotFoundError(f"expected a provider of the configuration ({', '.join(known) or 'none'}), got '{name}'")
    return name

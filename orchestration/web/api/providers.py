"""Providers and agents: list providers, probe and limit them; list agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from orchestration.config.agents import AgentRole
from orchestration.config.isolation import require_not_isolated
from orchestration.config.overrides import LimitProvider, Override
from orchestration.errors import NotFoundError
from orchestration.providers.provider_summary import ProviderSummary, overview
from orchestration.providers.route import ProbeResult
from orchestration.security.principal import Role
from orchestration.storage.route_states import RouteStates
from orchestration.web.api.services import ApiServices, Caller, Name, Seconds, Services, Text, requires

router = APIRouter()
_AREA = "providers"
_VIEW = requires(Role.VIEWER, _AREA)
_OPERATE = requires(Role.OPERATOR, _AREA)


class ProbeRequest(BaseModel):
    """With `deep`, the probe also has the model write a few tokens, which may cost something."""

    deep: bool = False


class LimitRequest(BaseModel):
    """The limit on concurrent calls, where 0 pauses the provider, and its reason. Without `seconds` it stays in force
    until it is ended."""

    concurrency: Annotated[int, Field(ge=0, le=10_000)]
    reason: Text
    seconds: Seconds | None = None


class AgentView(BaseModel):
    """A configured agent."""

    id: str
    description: str
    role: AgentRole
    provider: str | None
    model: str | None
    tools: tuple[str, ...]
    limits: Mapping[str, Any]


@router.get("/providers", dependencies=_VIEW)
def list_providers(services: Services) -> list[ProviderSummary]:
    """List all providers with their models, state, usage, limit and position in the fallback chain."""
    app = services.app
    credentials, states = app.store.credentials, RouteStates(app.database).load()
    return list(overview(app.effective(), lambda name: credentials.get(name) is not None, states, app.clock.now()))


@router.post("/providers/{provider}/probe", dependencies=_OPERATE)
async def probe(services: Services, provider: Name, body: ProbeRequest) -> ProbeResult:
    """Probe a provider now."""
    require_not_isolated(services.app.store, "probe a provider")
    return await services.app.gateway.probe(_known(services, provider), deep=body.deep)


@router.post("/providers/{provider}/reset", dependencies=_OPERATE, status_code=204)
async def reset(services: Services, provider: Name) -> None:
    """Probe the open routes of a provider now, without waiting for their circuit breakers."""
    require_not_isolated(services.app.store, "probe a provider")
    services.app.gateway.reset(_known(services, provider))


@router.put("/providers/{provider}/limit", dependencies=_OPERATE)
async def limit(services: Services, principal: Caller, provider: Name, body: LimitRequest) -> Override:
    """Limit the concurrent calls to a provider in all processes, by an override."""
    change = LimitProvider(target=_known(services, provider), concurrency=body.concurrency)
    reason = services.app.redactor.text(body.reason)
    return services.app.store.add_override(change, reason=reason, actor=principal.name, seconds=body.seconds)


@router.get("/agents", dependencies=requires(Role.VIEWER, "agents"))
def list_agents(services: Services) -> list[AgentView]:
    """List the agents of the configuration in force."""
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
        for agent in services.app.configuration.agents
    ]


def _known(services: ApiServices, name: str) -> str:
    known = services.app.configuration.runtime.providers
    if name not in known:
        raise NotFoundError(f"There is no provider '{name}'. Configured are: {', '.join(known) or 'none'}.")
    return name

"""Who may use which route: for every route and every role, as generated from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount, Route

from orchestration.security.access import AREAS
from orchestration.security.principal import Role
from orchestration.web import api
from orchestration.web.api.services import RequiredRole
from tests.support.web import RunningWebServer

# The address of a link in a message is its own key, and says no more than that this one is not valid; so is a feed's.
_PUBLIC = {
    *("/healthz", "/readyz", "/setup", "/answer/{token}", "/oncall/{rotation}.ics"),
    *("/sign-in", "/sign-in/code", "/sign-in/provider", "/sign-in/provider/return", "/sign-in/provider/leave"),
}


def api_routes() -> Iterator[tuple[str, APIRoute, RequiredRole]]:
    """Each route of the API with its method and with what it needs."""
    for module in api.ROUTERS.values():
        for route in module.router.routes:
            assert isinstance(route, APIRoute)
            needs = [one.dependency for one in route.dependencies if isinstance(one.dependency, RequiredRole)]
            assert len(needs) == 1, f"{route.path} has to say once what it needs"
            for method in sorted(route.methods):
                yield method, route, needs[0]


ROUTES = list(api_routes())
NAMES = [f"{method} {route.path}" for method, route, _ in ROUTES]


def address(path: str) -> str:
    """The route's address with something in the place of its parameters that is the end of no identifier."""
    return "/api/v1" + re.sub(r"\{[^}]*\}", "no.such", path)


@pytest.mark.parametrize(("method", "route", "need"), ROUTES, ids=NAMES)
def test_each_role_may_use_a_route_exactly_if_it_includes_what_the_route_needs(
    server: RunningWebServer, method: str, route: APIRoute, need: RequiredRole
) -> None:
    for role in Role:
        status = status_of(server, method, route, role)
        if role.includes(need.role):
            assert status not in (401, 403), f"{role} should be let in"
        else:
            assert status == 403, f"{role} should be refused"


@pytest.mark.parametrize(("method", "route", "need"), ROUTES, ids=NAMES)
def test_a_stranger_is_let_into_no_route(
    server: RunningWebServer, method: str, route: APIRoute, need: RequiredRole
) -> None:
    assert status_of(server, method, route, None) == 401


@pytest.mark.parametrize(("method", "route", "need"), ROUTES, ids=NAMES)
def test_a_token_for_other_areas_is_refused_whatever_its_role(
    server: RunningWebServer, method: str, route: APIRoute, need: RequiredRole
) -> None:
    others = tuple(sorted(area for area in AREAS if area != need.area))
    status = status_of(server, method, route, Role.ADMIN, others)
    assert status == 403 if need.area else status not in (401, 403)


def test_every_area_that_a_route_needs_can_be_named_in_a_token() -> None:
    assert {need.area for _, _, need in ROUTES if need.area} <= set(AREAS)


def test_what_changes_something_needs_more_than_a_viewer() -> None:
    assert [name for name, (method, _, need) in zip(NAMES, ROUTES, strict=True)
            if method != "GET" and need.role is Role.VIEWER] == []  # fmt: skip


def test_nothing_else_is_served_to_strangers_than_what_is_public(server: RunningWebServer) -> None:
    """The gateway endpoint, metrics, and whatever is mounted beside the API."""
    open_to_all = set()
    with server.client(None) as stranger:
        for route in server.web.asgi.routes:
            if isinstance(route, Mount):
                assert isinstance(route.app, FastAPI) or route.path == "/static"
            elif isinstance(route, Route) and "GET" in (route.methods or ()):
                answer = stranger.get(re.sub(r"\{[^}]*\}", "1", route.path), headers={"Accept": "text/html"})
                # 403 is the refusal of a heartbeat where no token is configured.
                if answer.status_code not in (401, 403, 303):
                    open_to_all.add(route.path)
    assert open_to_all == _PUBLIC


@pytest.mark.parametrize("role", list(Role))
def test_models_are_listed_for_everybody_and_asked_by_operators(server: RunningWebServer, role: Role) -> None:
    with server.client(role) as client:
        assert client.get("/v1/models").status_code == 200
        asked = client.post("/v1/chat/completions", json={"model": "no-such", "messages": [{"role": "user"}]})
        assert asked.status_code == (404 if role.includes(Role.OPERATOR) else 403)


def test_a_gateway_client_reaches_nothing_but_the_gateway(server: RunningWebServer) -> None:
    with server.client(Role.OPERATOR, ("gateway",)) as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/api/v1/runs").status_code == 403
        assert client.get("/metrics").status_code == 403


def status_of(
    server: RunningWebServer, method: str, route: APIRoute, role: Role | None, scopes: tuple[str, ...] | None = None
) -> int:
    """The status of an empty request: whoever is let in is told that something is missing, or that it is not there."""

    client = server.shared_client(role, scopes)
    with client.stream(method, address(route.path)) as answer:
        return answer.status_code

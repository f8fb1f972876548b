"""The HTTP API under `/api/v1`: everything that the console can do. `/api/v1/openapi.json` describes it (OpenAPI 3.1).

Only this package imports FastAPI, and only a server imports this package: FastAPI takes long to
load, and no console command should have to wait for it.
"""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from orchestration import logs
from orchestration.errors import OrchestratorError
from orchestration.web.api import (
    accounts,
    ag_ui,
    alerts,
    configuration,
    drills,
    incidents,
    isolation,
    maintenance,
    oncall,
    people,
    playbooks,
    providers,
    push,
    runs,
    stream,
    usage,
)
from orchestration.web.api.idempotency import IdempotencyKeys
from orchestration.web.api.services import ApiServices, RequiredRole
from orchestration.web.problems import of_error, problem

PREFIX = "/api/v1"
ROUTERS = {
    "runs": runs,
    "front ends": ag_ui,
    "incidents": incidents,
    "alerts": alerts,
    "providers": providers,
    "configuration": configuration,
    "isolation": isolation,
    "people": people,
    "on-call": oncall,
    "push messages": push,
    "playbooks": playbooks,
    "drills": drills,
    "maintenance": maintenance,
    "access": accounts,
    "usage": usage,
    "events": stream,
}
_PROBLEM = {"description": "Problem details (RFC 9457).", "content": {"application/problem+json": {}}}
_log = logs.get_logger("web")


def build(services: ApiServices) -> FastAPI:
    """The API, to be mounted at its prefix."""
    api = FastAPI(
        title="Agent orchestration",
        version=version("agent-orchestration"),
        description="Start and control runs, respond to incidents, and do all else that the console command does.",
        # FastAPI's documentation pages load scripts from a CDN, which the Content-Security-Policy forbids.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
        generate_unique_id_function=_operation_id,
        # A browser sends a form or `text/plain` to another site without asking that site first (CORS). Accepting only
        # JSON bodies closes this way of forging requests.
        strict_content_type=True,
    )
    api.state.services = services
    for tag, module in ROUTERS.items():
        api.include_router(module.router, tags=[tag])
    api.add_middleware(IdempotencyKeys, table=services.access.table, clock=services.app.clock)
    api.add_exception_handler(RequestValidationError, _invalid_request)
    api.add_exception_handler(HTTPException, _http)
    # `Exception` last, for bugs: the client gets no details, which may contain secrets; the log has them, redacted.
    for kind in (OrchestratorError, SQLAlchemyError, Exception):
        api.add_exception_handler(kind, _on_error)
    return api


def required_role(route: APIRoute) -> RequiredRole:
    """The role that a route requires."""
    return next(one.dependency for one in route.dependencies if isinstance(one.dependency, RequiredRole))


def _operation_id(route: APIRoute) -> str:
    return route.name


def _invalid_request(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """What is wrong with a request, without the values in it, since those may be secrets."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in found]
    summary = "; ".join(f"{one['where']}: {one['what']}" for one in errors[:3])
    return problem(422, f"The request is invalid: {summary}", errors=errors)


def _http(request: Request, error: Exception) -> Response:  # noqa: ARG001
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else "Internal error. The log has the details."
    return problem(status, detail, headers=getattr(error, "headers", None))


def _on_error(request: Request, error: Exception) -> Response:
    response = of_error(error)
    if response.status_code == 500:
        _log.error("request.failed", method=request.method, path=request.url.path, error=repr(error)[:500])
    return response

"""The API, `/api/v1`: everything that the console can do, described by OpenAPI 3.1 at `/api/v1/openapi.json`.

FastAPI is imported here and nowhere else; only a server that is to serve it imports this package.
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
    alerts,
    configuration,
    drills,
    incidents,
    maintenance,
    people,
    playbooks,
    providers,
    runs,
    stream,
)
from orchestration.web.api.idempotency import IdempotencyKeys
from orchestration.web.api.services import ApiServices, RequiredRole
from orchestration.web.problems import of_error, problem

PREFIX = "/api/v1"
ROOMS = {
    "runs": runs,
    "incidents": incidents,
    "alerts": alerts,
    "providers": providers,
    "configuration": configuration,
    "people": people,
    "playbooks": playbooks,
    "drills": drills,
    "maintenance": maintenance,
    "access": accounts,
    "events": stream,
}
_PROBLEM = {"description": "A problem (RFC 9457).", "content": {"application/problem+json": {}}}
_log = logs.get_logger("web")


def build(handles: ApiServices) -> FastAPI:
    """The API, to be mounted at its prefix."""
    api = FastAPI(
        title="Agent orchestration",
        version=version("agent-orchestration"),
        description="Runs, incidents and everything else that the console shows and does.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        responses={"4XX": _PROBLEM, "5XX": _PROBLEM},
        generate_unique_id_function=_operation,
        strict_content_type=True,
    )
    api.state.handles = handles
    for tag, room in ROOMS.items():
        api.include_router(room.router, tags=[tag])
    api.add_middleware(IdempotencyKeys, table=handles.access.table, clock=handles.app.clock)
    api.add_exception_handler(RequestValidationError, _wrong_request)
    api.add_exception_handler(HTTPException, _http)
    for kind in (OrchestratorError, SQLAlchemyError, Exception):
        api.add_exception_handler(kind, _failed)
    return api


def need_of(route: APIRoute) -> RequiredRole:
    """What somebody has to be to use a route."""
    return next(one.dependency for one in route.dependencies if isinstance(one.dependency, RequiredRole))


def _operation(route: APIRoute) -> str:
    return route.name


def _wrong_request(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """What is wrong with a request, without what was in it: that may be a secret."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in found]
    said = "; ".join(f"{one['where']}: {one['what']}" for one in errors[:3])
    return problem(422, f"the request is not as described: {said}", errors=errors)


def _http(request: Request, error: Exception) -> Response:  # noqa: ARG001
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else "the log says what happened"
    return problem(status, detail, headers=getattr(error, "headers", None))


def _failed(request: Request, error: Exception) -> Response:
    answer = of_error(error)
    if answer.status_code == 500:
        _log.error("request.failed", method=request.method, path=request.url.path, error=repr(error)[:500])
    return answer

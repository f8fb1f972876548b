"""`/healthz`, `/readyz` and `/metrics`: for those who look after the process."""

from __future__ import annotations

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestration.metrics import Metrics
from orchestration.security.principal import Role
from orchestration.storage.database import Database
from orchestration.web.problems import problem

_PATIENCE_SECONDS = 2.0
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthEndpoints:
    """Says whether this process is there, and whether it can work. Neither tells a stranger anything else."""

    def __init__(self, database: Database, metrics: Metrics | None) -> None:
        self._database = database
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return [
            Route("/healthz", self._health, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/metrics", self._show_metrics, methods=["GET"]),
        ]

    async def _health(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse({"status": "ok"})

    async def _ready(self, request: Request) -> Response:  # noqa: ARG002
        with anyio.move_on_after(_PATIENCE_SECONDS):
            try:
                await anyio.to_thread.run_sync(self._database.version, abandon_on_cancel=True)
            except SQLAlchemyError:
                return JSONResponse({"status": "no database"}, 503)
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "the database is slow"}, 503)

    async def _show_metrics(self, request: Request) -> Response:
        if not request.state.principal.may(Role.VIEWER, "metrics"):
            return problem(403, "expected a token with the scope 'metrics', got one without")
        if self._metrics is None:
            return problem(404, "expected a control process, which has metrics, got another")
        return Response(self._metrics.render(), media_type=_CONTENT_TYPE)

"""`/healthz`, `/readyz` and `/metrics`, for supervisors, load balancers and Prometheus."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestration import metrics
from orchestration.config.isolation import Isolation
from orchestration.metrics import Metrics
from orchestration.security.principal import Role
from orchestration.web.problems import problem

_READY_TIMEOUT_SECONDS = 2.0
# The version of the text format that Prometheus expects
# (https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format).
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthEndpoints:
    """Reports whether this process is alive, and whether it is ready, and whether the system is isolated. They need no
    sign-in, so they disclose nothing else."""

    def __init__(
        self,
        has_leader: Callable[[], bool],
        metrics: Metrics | None,
        isolation: Callable[[], Isolation | None],
    ) -> None:
        """`has_leader` asks the database, and raises SQLAlchemyError while that is away."""
        self._has_leader = has_leader
        self._metrics = metrics
        self._isolation = isolation

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return [
            Route("/healthz", self._health, methods=["GET"]),
            Route("/readyz", self._ready, methods=["GET"]),
            Route("/metrics", self._show_metrics, methods=["GET"]),
        ]

    async def _health(self, request: Request) -> Response:  # noqa: ARG002
        # Without a look at the database: a supervisor restarts a process that is not healthy, and that would not bring
        # the database back but would lose the incident response that runs without it.
        return self._answer("ok")

    async def _ready(self, request: Request) -> Response:  # noqa: ARG002
        with anyio.move_on_after(_READY_TIMEOUT_SECONDS):
            try:
                # Abandoned on timeout: a query on a hanging database cannot be cancelled from here.
                leads = await anyio.to_thread.run_sync(self._has_leader, abandon_on_cancel=True)
            except SQLAlchemyError:
                return self._answer("no database", 503)
            # Without one no alert is judged, no timer fires and no schedule starts a run.
            return self._answer("ready") if leads else self._answer("no control process leads", 503)
        return self._answer("the database is slow", 503)

    def _answer(self, word: str, status: int = 200) -> Response:
        """The body begins with the isolation, if there is one; by whom and why is for those who have signed in."""
        isolation = self._isolation()
        since = isolation.as_json()["since"] if isolation else None
        first = {"isolated": True, "since": since} if isolation else {}
        return JSONResponse({**first, "status": word}, status)

    async def _show_metrics(self, request: Request) -> Response:
        if not request.state.principal.may(Role.VIEWER, "metrics"):
            return problem(403, "This requires a token with the scope 'metrics'.")
        if self._metrics is None:
            return problem(404, "This process collects no metrics; the control process does.")
        self._metrics.set(metrics.ISOLATED, 0.0 if self._isolation() is None else 1.0)
        return Response(self._metrics.render(), media_type=_CONTENT_TYPE)

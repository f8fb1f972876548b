"""The dashboard of a project, served on loopback from a thread of its own, with a principal that tests choose."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestration.app import Application, application
from orchestration.rehearsal import samples
from orchestration.security.principal import Principal, Role
from orchestration.storage.runs import Run
from orchestration.web.pages import Streams, routes, streams_of
from tests.support.patience import patient
from tests.support.project import wait_until

T = TypeVar("T")
ADMIN = Principal("ada", Role.ADMIN)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class Gate:
    """Stands where the server's sign-in stands: says who asks, and sets the policy."""

    def __init__(self, app: ASGIApp, dashboard: Dashboard) -> None:
        self._app = app
        self._dashboard = dashboard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {}).update(principal=self._dashboard.principal, csrf=self._dashboard.csrf)

        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start" and b"content-security-policy" not in dict(message["headers"]):
                message["headers"].append((b"content-security-policy", POLICY.encode()))
            await send(message)

        try:
            await self._app(scope, receive, with_policy)
        except Exception as error:
            self._dashboard.faults.append(error)
            raise


class Dashboard:
    """A dashboard that is served. `principal` and `csrf` may be changed at any time."""

    def __init__(self, app: Application, portal: BlockingPortal) -> None:
        self.app = app
        self.portal = portal
        self.principal: Principal | None = ADMIN
        self.csrf = ""
        self.faults: list[Exception] = []
        self.streams: Streams = streams_of(app)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._client = httpx2.Client(base_url=self.url, timeout=patient(30))
        gated = Gate(Starlette(routes=routes(app, self.streams)), self)
        settings = uvicorn.Config(gated, log_config=None, lifespan="off", timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(settings)

    def start(self) -> None:
        self._served = self.portal.start_task_soon(self._server.serve, [self._socket])
        wait_until(lambda: self._server.started, "for the server to start")

    def stop(self) -> float:
        """Stop as the real server does; returns how many seconds that took."""
        self._client.close()
        begun = time.monotonic()
        self.portal.call(self.streams.close)
        self._server.should_exit = True
        self._served.result(timeout=patient(30))  # at once where it has stopped before
        return time.monotonic() - begun

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self._client.get(path, **options)

    def post(self, path: str, **fields: str) -> httpx2.Response:
        """Send a form as a browser does, and do not follow where it leads."""
        data: Mapping[str, str] = {"csrf": self.csrf, **fields}
        return self._client.post(path, data=dict(data))

    def call(self, function: Callable[[], Any]) -> Any:
        """Await something of the application on its own event loop."""
        return self.portal.call(function)

    def begin_run(self, **options: Any) -> Run:
        """Begin a run on a fresh copy of the sample."""
        sample = samples.copy_to(self.app.new_demo_folder())
        check = [list(sample.test_command)]
        more = {"options": {"checks": check, **options.pop("options", {})}, **options}
        run: Run = self.portal.call(lambda: self.app.launcher.start(sample.goal, sample.workspace, **more))
        return run

    def wait_for(self, run: Run, *statuses: str) -> None:
        """Return when the run has one of these statuses."""
        wait_until(lambda: self.app.runs.get(run.id).status.value in statuses, f"for {run.id} to be {statuses}")


@contextmanager
def a_dashboard(configuration_file: Path) -> Iterator[Dashboard]:
    """Serve the dashboard of a project for as long as the block lasts."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(application(str(configuration_file))) as app,
    ):
        dashboard = Dashboard(app, portal)
        dashboard.start()
        try:
            yield dashboard
        finally:
            dashboard.stop()

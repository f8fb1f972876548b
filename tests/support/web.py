"""A control process with its web server, in a thread of the tests, so that they may look inside."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import httpx2

from orchestration.app import Application, application
from orchestration.app.control import ControlProcess, serving
from orchestration.security.principal import Role
from orchestration.web.exposure import Exposure
from orchestration.web.server import WebServer as Server
from orchestration.web.server import serving_web
from tests.support.console import ConsoleProject
from tests.support.patience import patient

PASSWORD = "correct horse battery"


class RunningWebServer:
    """What the thread serves. Calls into `app` that belong to its event loop go through `portal`."""

    def __init__(
        self, project: ConsoleProject, app: Application, control: ControlProcess, web: Server, url: str
    ) -> None:
        self.project = project
        self.app = app
        self.control = control
        self.web = web
        self.url = url
        self.portal = anyio.from_thread.BlockingPortal()
        self._clients: list[httpx2.Client] = []
        self._shared: dict[tuple[Role | None, tuple[str, ...] | None], httpx2.Client] = {}
        self._tokens: dict[tuple[Role, tuple[str, ...] | None], str] = {}

    def token(self, role: Role, scopes: tuple[str, ...] | None = None, **values: Any) -> str:
        """A token's secret."""
        if values:
            return self.web.access.add_token("test", role, actor="tests", scopes=scopes, **values)[0]
        if (role, scopes) not in self._tokens:
            self._tokens[role, scopes] = self.token(role, scopes, limits={})
        return self._tokens[role, scopes]

    def client(
        self, role: Role | None = Role.ADMIN, scopes: tuple[str, ...] | None = None, **more: Any
    ) -> httpx2.Client:
        """A client of the server, by default with everything allowed."""
        headers = {} if role is None else {"Authorization": f"Bearer {self.token(role, scopes)}"}
        made = httpx2.Client(base_url=self.url, headers=headers | more.pop("headers", {}), timeout=patient(30), **more)
        self._clients.append(made)
        return made

    def shared_client(self, role: Role | None, scopes: tuple[str, ...] | None = None) -> httpx2.Client:
        """The same client again, for tests that ask the same server hundreds of times."""
        if (role, scopes) not in self._shared:
            self._shared[role, scopes] = self.client(role, scopes)
            self._clients.pop()
        return self._shared[role, scopes]

    def close_clients(self) -> None:
        """Close every client that was made; the server goes on."""
        while self._clients:
            self._clients.pop().close()

    def close_shared(self) -> None:
        """Close the clients that are used again and again."""
        for client in self._shared.values():
            client.close()


@contextmanager
def a_web_server(
    root: Path, exposure: Exposure | None = None, settings: Mapping[str, Any] | None = None, **runtime: Any
) -> Iterator[RunningWebServer]:
    """A server on a project of its own, without workers; `settings` are sections of the configuration."""
    project = ConsoleProject(root, **runtime)
    project.document |= settings or {}
    project.write()
    ready: Future[tuple[RunningWebServer, anyio.Event]] = Future()

    async def serve() -> None:
        try:
            async with (
                application(str(project.file)) as app,
                serving(app, project.file, 0) as control,
                serving_web(app, control, exposure or Exposure(port=0)) as (web, url),
            ):
                server, end = RunningWebServer(project, app, control, web, url), anyio.Event()
                async with server.portal:
                    ready.set_result((server, end))
                    await end.wait()
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=lambda: anyio.run(serve), name="web-server")
    thread.start()
    server, end = ready.result(timeout=patient(60))
    try:
        yield server
    finally:
        server.close_clients()
        server.close_shared()
        server.portal.start_task_soon(end.set)
        thread.join(timeout=patient(60))
        assert not thread.is_alive(), "the server did not stop"

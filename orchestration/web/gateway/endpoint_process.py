"""One of the processes that serve the gateway endpoint on one port: requests for models, and nothing else.

All of them accept from the same socket, which their supervisor has opened: a connection that none of them has accepted
yet survives the death of any of them, and one that hangs accepts nothing.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from orchestration.app.live_credentials import LiveCredentials
from orchestration.app.model_host import ModelHost
from orchestration.config.isolation import isolation_of
from orchestration.embedded_server import EmbeddedServer
from orchestration.errors import OrchestratorError
from orchestration.security.access import AccessControl
from orchestration.security.audit_trail import AuditTrail
from orchestration.storage.audit import AuditTable
from orchestration.web.auth_middleware import AuthMiddleware
from orchestration.web.connection_limits import connection_counts
from orchestration.web.counted_listener import CountedListener
from orchestration.web.exposure import Exposure
from orchestration.web.forwarded import SECRET_VARIABLE, ForwardedHeaders
from orchestration.web.gateway.endpoint import GatewayEndpoint
from orchestration.web.gateway.refusals import refusal_response
from orchestration.web.health import HealthEndpoints
from orchestration.web.listener import server_settings
from orchestration.web.security_headers import SecurityHeaders
from orchestration.workers.worker_process import WorkerProcess, WorkerServices, claim_standard_output

ENTRY_POINT = "orchestration.web.gateway.endpoint_process:main"


def settings_of(exposure: Exposure, descriptor: int) -> str:
    """The settings of a process that accepts from this descriptor, as its argument."""
    return json.dumps({"exposure": asdict(exposure), "descriptor": descriptor}, default=str)


def main(config_file: str, settings: str) -> int:
    """Serve until asked to stop; returns the exit code."""
    wanted = json.loads(settings)
    given: dict[str, Any] = wanted["exposure"]
    for name in ("certificate", "key"):
        given[name] = None if given[name] is None else Path(given[name])
    exposure = Exposure(**{**given, "names": tuple(given["names"]), "proxies": tuple(given["proxies"])})
    process = WorkerProcess(_services(Path(config_file), exposure, int(wanted["descriptor"])), claim_standard_output())
    try:
        anyio.run(process.run)
    except OrchestratorError as error:
        sys.stderr.write(f"endpoint: {error}\n")
        return 2
    return 0


@contextlib.asynccontextmanager
async def _services(config_file: Path, exposure: Exposure, descriptor: int) -> AsyncIterator[WorkerServices]:
    host = ModelHost(config_file)
    with host.opened(or_last_good=True):
        async with host.answering():
            server = EmbeddedServer(server_settings(_application(host, exposure), exposure))
            listening: socket.socket = _listener(exposure, descriptor)
            with listening:
                async with anyio.create_task_group() as group:
                    group.start_soon(server.serve, [listening])
                    await server.until_started()
                    yield WorkerServices(
                        host.bus,
                        anyio.sleep_forever,
                        _mark_nothing,
                        host.configuration.runtime.worker_stop_seconds,
                        server.stop,
                        lambda: f"{len(server.server_state.tasks)} requests",
                    )


def _listener(exposure: Exposure, descriptor: int) -> CountedListener:
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    return CountedListener(listening, connection_counts(exposure.proxies), encrypted=exposure.certificate is not None)


def _application(host: ModelHost, exposure: Exposure) -> ASGIApp:
    access = AccessControl(host.database, host.bus, host.clock, lambda: host.configuration.access.require_second_factor)
    trail = AuditTrail(AuditTable(host.database), host.bus, host.clock, host.redactor.data)

    def answers() -> bool:
        """Whether the database answers; raises what it raises. No leader is needed for an answer of a model."""
        host.leases.list("")
        return True

    health = HealthEndpoints(answers, None, lambda: isolation_of(host.store))
    authentication = Middleware(AuthMiddleware, access=access, trail=trail, exposure=exposure, recorded=host.recorded)
    asgi: ASGIApp = SecurityHeaders(
        Starlette(
            routes=[*health.routes(), *GatewayEndpoint(host).routes()],
            middleware=[authentication],
            exception_handlers={HTTPException: _refuse},
        )
    )
    if exposure.proxies:
        asgi = ForwardedHeaders(asgi, exposure.proxies, partial(LiveCredentials(host.store).get, SECRET_VARIABLE))
    return asgi


async def _refuse(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = "This port serves the gateway endpoint only; the dashboard and the API are those of `orchestrator serve`."
    return refusal_response(request.url.path, request.headers, status, message)


async def _mark_nothing(_: Iterable[str]) -> None:
    """It works on no runs."""

"""Where heartbeats report: `GET`, `HEAD` or `POST /heartbeat/NAME`, with `/start`, `/fail` or an exit status behind it.

The addresses mean the same as those of healthchecks (https://healthchecks.io/docs/http_api/), so that scripts need
another address and a token only. The token is sent like that of an alert source.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orchestration import logs
from orchestration.alerts.heartbeats.reception import LISTEN_SECONDS, HeartbeatReception
from orchestration.alerts.payload import PayloadRefusedError
from orchestration.alerts.webhook_auth import WebhookAuth
from orchestration.app.application import Application
from orchestration.app.live_credentials import LiveCredentials
from orchestration.errors import NotFoundError
from orchestration.events.security import SignInFailed
from orchestration.storage.database import StorageError
from orchestration.web.auth_middleware import HEARTBEATS
from orchestration.web.intake import read_body

# Of the output of a job; what is longer is refused, as by the other endpoints, rather than read into memory.
_MAX_BYTES = 100_000
_RETRY_AFTER = {"Retry-After": "5"}
_log = logs.get_logger("heartbeats")


class HeartbeatEndpoint:
    """Receives heartbeats over HTTP."""

    def __init__(self, app: Application, reception: HeartbeatReception) -> None:
        self._app = app
        self._reception = reception
        self._credentials = LiveCredentials(app.store)

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        paths = (f"{HEARTBEATS}{{name}}", f"{HEARTBEATS}{{name}}/{{signal}}")
        return [Route(path, self._handle, methods=["GET", "POST"]) for path in paths]

    async def listen(self) -> None:
        """Note again and again that heartbeats can be heard, until cancelled. Without the database they cannot."""
        begins = True
        while True:
            listen = partial(self._reception.listen, self._app.clock.now(), begins=begins)
            try:
                await anyio.to_thread.run_sync(listen)
                begins = False
            except (SQLAlchemyError, StorageError) as error:
                _log.debug("heartbeats.deaf", error=type(error).__name__)
            await self._app.clock.sleep(LISTEN_SECONDS)

    async def _handle(self, request: Request) -> Response:
        try:
            await self._receive(request)
        except PayloadRefusedError as refusal:
            return self._refuse(request, refusal)
        except NotFoundError as error:
            return PlainTextResponse(f"{error}\n", HTTPStatus.NOT_FOUND)
        except (SQLAlchemyError, StorageError) as error:
            _log.error("heartbeats.unwritten", error=type(error).__name__)
            message = "it could not be written; send it again\n"
            return PlainTextResponse(message, HTTPStatus.SERVICE_UNAVAILABLE, _RETRY_AFTER)
        return PlainTextResponse("OK\n")

    async def _receive(self, request: Request) -> None:
        name, signal = request.path_params["name"], request.path_params.get("signal", "")
        headers = {key.lower(): value for key, value in request.headers.items()}
        authentication, now = self._authentication(name), self._app.clock.now()
        # Before the name is looked up: whoever has no token does not learn which names there are.
        authentication.precheck(headers, now.timestamp())
        body = await read_body(request, _MAX_BYTES)
        authentication.verify(headers, body, now.timestamp())
        output = body.decode("utf-8", "replace")
        await anyio.to_thread.run_sync(self._reception.receive, name, signal, output, self._app.clock.now())

    def _authentication(self, name: str) -> WebhookAuth:
        intake, settings = self._app.configuration.alerting.intake, self._reception.settings(name)
        own = settings.token_env if settings is not None else None
        if own is not None:
            return WebhookAuth(self._credentials.get(own), None, intake.replay_seconds)
        token, secret = (self._value(variable) for variable in (intake.token_env, intake.secret_env))
        return WebhookAuth(token, secret, intake.replay_seconds)

    def _value(self, variable: str | None) -> str | None:
        return self._credentials.get(variable) if variable else None

    def _refuse(self, request: Request, refusal: PayloadRefusedError) -> Response:
        if refusal.status == HTTPStatus.UNAUTHORIZED:
            host = request.client.host if request.client else ""
            self._app.bus.publish(SignInFailed(source=host, user="heartbeat", reason=str(refusal)))
        return PlainTextResponse(f"{refusal}\n", refusal.status)

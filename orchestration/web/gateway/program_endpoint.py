"""The gateway endpoint as one program sees it that is an agent: on a port of its own, for as long as it runs.

It speaks every API of the gateway endpoint. Each call counts for the run and the agent that the program works for,
under their budgets. The key is known to the program alone, kept nowhere, and worth nothing once it has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestration.agents.model_account import ModelAccount
from orchestration.agents.own_code import AskModel
from orchestration.app.model_host import ModelHost
from orchestration.embedded_server import EmbeddedServer
from orchestration.providers.attempt import ChunkCallback
from orchestration.providers.wire import ChatBody, Completion, GatewayCall
from orchestration.security.access import GATEWAY
from orchestration.security.principal import Principal, Role
from orchestration.web.gateway.endpoint import GatewayEndpoint
from orchestration.web.gateway.refusals import refusal_response


async def serve(app: ModelHost, account: ModelAccount, ask: AskModel, listening: socket.socket) -> None:
    """Serve on a socket until cancelled."""
    host = _ProgramHost(app, _AccountGateway(account, ask))
    routed = Starlette(routes=GatewayEndpoint(cast("ModelHost", host)).routes())
    call = account.call
    principal = Principal(f"{call.run_id}/{call.agent}", Role.OPERATOR, frozenset({GATEWAY}))
    listening.setblocking(False)
    async with _serving(_KeyCheck(routed, account.key, principal), listening):
        await asyncio.get_running_loop().create_future()


class _ProgramHost:
    """What the endpoint uses of an application, with a gateway that knows one account only."""

    def __init__(self, app: ModelHost, gateway: _AccountGateway) -> None:
        self.gateway = gateway
        self.clock = app.clock
        self.store = app.store
        self.database = app.database
        self.redactor = app.redactor
        self.effective = app.effective
        self.slots = app.slots
        self.rates_folder = app.rates_folder


class _AccountGateway:
    """Asks the gateway for an account, and adds to its usage."""

    def __init__(self, account: ModelAccount, ask: AskModel) -> None:
        self._account = account
        self._ask = ask

    async def complete(self, body: ChatBody, call: GatewayCall, on_chunk: ChunkCallback | None = None) -> Completion:
        """As that of the gateway. Raises BudgetExceededError if the account has used up its calls."""
        own = self._account.next_call()
        if call.provider is not None:
            own = replace(own, provider=call.provider, model=call.model)
        own = replace(
            own,
            only=call.only,
            hedged=call.hedged,
            native=call.native,
            optional=call.optional,
            api=call.api,
            on_start=call.on_start,
        )
        completion = await self._ask(body, own, on_chunk)
        self._account.add(completion)
        return completion

    def can_continue(self, _: GatewayCall) -> bool:
        """No: nobody reads along, so streams that shall not break off are held back until they are complete."""
        return False


class _KeyCheck:
    """Lets requests with the program's own key in, as the principal that it is."""

    def __init__(self, app: ASGIApp, key: str, principal: Principal) -> None:
        self._app = app
        self._key = key.encode()
        self._principal = principal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        # As Azure's, Anthropic's and OpenAI's clients send it.
        key = headers.get("api-key") or headers.get("x-api-key") or bearer
        if not hmac.compare_digest(key.encode("utf-8", "surrogateescape"), self._key):
            message = "The key must be the one in the program's environment, such as OPENAI_API_KEY."
            await refusal_response(scope["path"], headers, 401, message)(scope, receive, send)
            return
        scope["state"] = {"principal": self._principal, "token": None}
        await self._app(scope, receive, send)


@contextlib.asynccontextmanager
async def _serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    server = EmbeddedServer.of(app)
    task = asyncio.create_task(server.serve([listening]))
    try:
        yield
    finally:
        server.begin_stop()
        await asyncio.wait({task})

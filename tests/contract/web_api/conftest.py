from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from orchestration.app.model_host import ModelHost
from orchestration.clock import SystemClock
from orchestration.providers.shared_slots import LockFile
from orchestration.rehearsal.listener import LoopbackListener
from orchestration.security.principal import Principal, Role
from orchestration.storage.access import TokenRow
from orchestration.web.gateway.endpoint import GatewayEndpoint
from tests.support.database import migrated
from tests.support.gateway import Desk, configuration
from tests.support.patience import patient
from tests.support.vendor import Vendor, vendor


class Endpoint:
    """The gateway endpoint over HTTP, and the gateway behind it."""

    def __init__(self, desk: Desk, client: httpx2.AsyncClient, listener: LoopbackListener) -> None:
        self.desk = desk
        self.client = client
        self.url = f"http://127.0.0.1:{listener.port}"

    async def ask(self, **body: Any) -> httpx2.Response:
        headers = body.pop("headers", {})
        return await self.client.post("/v1/chat/completions", json={**ASKED, **body}, headers=headers)


ASKED = {"model": "auto", "messages": [{"role": "user", "content": "Is it up?"}]}
OPERATOR = Principal("tests", Role.OPERATOR, frozenset({"gateway"}))

Serve = Callable[..., Awaitable[Endpoint]]


def a_token(**limits: float) -> TokenRow:
    return TokenRow("token-1", "", "tests", "operator", ["gateway"], "tests", datetime(2026, 1, 5, tzinfo=UTC), limits)


@asynccontextmanager
async def an_endpoint(
    desk: Desk, principal: Principal = OPERATOR, token: TokenRow | None = None
) -> AsyncIterator[Endpoint]:
    store = SimpleNamespace(current=desk.configuration, overrides=())
    app = SimpleNamespace(
        gateway=desk.gateway,
        effective=lambda: desk.configuration,
        clock=desk.clock,
        store=store,
        database=desk.database,
        redactor=SimpleNamespace(text=lambda text: text.replace("sk-secret", "[redacted]")),
        slots=LockFile(None),
        rates_folder=Path(os.devnull, "rates"),  # its own, since nothing can be written there
    )
    served = Starlette(routes=GatewayEndpoint(cast("ModelHost", app)).routes())

    async def let_in(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"principal": principal, "token": token}
        await served(scope, receive, send)

    listener = LoopbackListener(0, SystemClock())
    await listener.open(cast("Starlette", let_in))
    try:
        async with (
            desk.gateway.running(),
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", timeout=patient(20)) as client,
        ):
            yield Endpoint(desk, client, listener)
    finally:
        await listener.close()


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves providers; `principal` and `token` say who asks, the rest goes into the configuration."""
    async with AsyncExitStack() as stack:
        database = migrated(f"sqlite:///{tmp_path / 'orchestrator.db'}")
        stack.callback(database.close)

        async def make(providers: Mapping[str, Any], **more: Any) -> Endpoint:
            who = {name: more.pop(name) for name in ("principal", "token") if name in more}
            desk = Desk(configuration(providers, **more), database)
            return await stack.enter_async_context(an_endpoint(desk, **who))

        yield make


@pytest.fixture
async def first() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


@pytest.fixture
async def second() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running

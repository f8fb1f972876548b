"""The authentication middleware without sign-in; the rest is tested with a whole server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestration.clock import FakeClock
from orchestration.events import EventBus
from orchestration.security.access import AccessControl
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Role
from orchestration.storage.audit import AuditTable
from orchestration.storage.database import Database
from orchestration.web.auth_middleware import AuthMiddleware
from orchestration.web.exposure import Exposure
from tests.support.database import migrated


async def say(request: Request) -> Response:
    return JSONResponse({"who": request.state.principal.name, "csrf": request.state.csrf})


async def fail(request: Request) -> Response:
    raise RuntimeError("a fault of ours")


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    database = migrated(f"sqlite:///{tmp_path / 'orchestrator.db'}")
    return AuditTrail(AuditTable(database), EventBus(FakeClock()), FakeClock(), lambda data: data)


Serve = Callable[..., httpx2.AsyncClient]


@pytest.fixture
def serve(trail: AuditTrail, tmp_path: Path) -> Serve:
    def make() -> httpx2.AsyncClient:
        database = Database(f"sqlite:///{tmp_path / 'orchestrator.db'}")
        access = AccessControl(database, EventBus(FakeClock()), FakeClock())
        authentication = Middleware(
            AuthMiddleware,
            access=access,
            trail=trail,
            exposure=Exposure(sign_in=False),
            recorded=checkpoint,
        )
        methods = ["GET", "POST", "DELETE"]
        app = Starlette(
            routes=[Route("/fail", fail, methods=methods), Route("/{path:path}", say, methods=methods)],
            middleware=[authentication],
        )
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url="http://localhost:8642")

    return make


async def test_without_sign_in_whoever_is_on_this_machine_may_do_everything(serve: Serve) -> None:
    async with serve() as client:
        assert (await client.get("/anything")).json()["who"] == "local"
        assert (await client.post("/api/v1/runs")).status_code == 200


async def test_without_sign_in_a_token_still_says_whose_limits_count(serve: Serve, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'orchestrator.db'}")
    secret, _ = AccessControl(database, EventBus(FakeClock()), FakeClock()).add_token("app", Role.OPERATOR, actor="t")
    async with serve() as client:
        for key, name in {secret: "app", "none": "local"}.items():
            assert (await client.get("/x", headers={"Authorization": f"Bearer {key}"})).json()["who"] == name


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://["},
        {"Origin": "null"},
        {"Origin": "localhost:8642"},
    ],
)
async def test_without_sign_in_a_page_elsewhere_may_do_nothing(serve: Serve, headers: dict[str, str]) -> None:
    async with serve() as client:
        assert (await client.post("/api/v1/runs", headers=headers)).status_code == 403
        assert (await client.get("/api/v1/runs", headers={"Host": "evil.example"})).status_code == 421


@pytest.mark.parametrize(
    ("path", "headers", "shape"),
    [
        ("/v1/chat/completions", {"anthropic-version": "x"}, "openai"),
        ("/v1/responses", {}, "openai"),
        ("/v1/messages", {}, "anthropic"),
        ("/v1/messages/count_tokens", {}, "anthropic"),
        ("/v1/models", {"anthropic-version": "x"}, "anthropic"),
        ("/v1/models", {}, "openai"),
        ("/api/chat", {}, "ollama"),
        ("/api/v1/runs", {}, "ours"),
    ],
)
async def test_a_refusal_has_the_shape_of_the_api_that_was_called(
    serve: Serve, path: str, headers: dict[str, str], shape: str
) -> None:
    async with serve() as client:
        answers = [
            await client.post(path, headers={**headers, "Origin": "http://evil.example"}),
            await client.get(path, headers={**headers, "Host": "evil.example"}),
        ]
    assert [answer.status_code for answer in answers] == [403, 421]
    for answer in answers:
        body = answer.json()
        found = {
            "openai": isinstance(body.get("error"), dict) and "code" in body["error"],
            "anthropic": body.get("type") == "error" and set(body["error"]) == {"type", "message"},
            "ollama": isinstance(body.get("error"), str),
            "ours": "detail" in body,
        }
        assert [name for name, is_it in found.items() if is_it] == [shape]


async def test_pages_have_a_token_for_their_forms_even_without_sign_in(serve: Serve) -> None:
    async with serve() as client:
        first, second = [(await client.get("/x")).json()["csrf"] for _ in range(2)]
    assert first == second
    assert len(first) > 20


async def test_a_write_is_on_the_trail_before_anybody_is_told_that_it_is_done(serve: Serve, trail: AuditTrail) -> None:
    seen: list[tuple[str, int]] = []
    async with serve() as client:
        app = client._transport.app  # type: ignore[attr-defined]

        async def send(message: Any) -> None:
            seen.append((message["type"], len(list(trail.table.iterate()))))

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        scope = {"type": "http", "method": "POST", "path": "/x", "headers": [(b"host", b"localhost:8642")]}
        await app({**scope, "query_string": b"", "client": ("127.0.0.1", 1)}, receive, send)
    assert seen == [("http.response.start", 1), ("http.response.body", 1)]


async def test_a_write_is_on_the_trail_even_when_it_fails_by_a_fault_of_ours(serve: Serve, trail: AuditTrail) -> None:
    async with serve() as client:
        assert (await client.post("/fail")).status_code == 500
        await client.get("/x")
        await client.post("/v1/chat/completions")
    lines = trail.table.list()
    assert [(one.actor, one.action, one.outcome) for one in lines] == [("local", "POST /fail", "failed")]

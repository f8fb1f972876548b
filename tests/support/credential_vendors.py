"""Vendors of credentials on loopback, in the shape of the real ones: each knows its valid values, and can be upset."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import anyio
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestration.clock import SystemClock
from orchestration.rehearsal.listener import LoopbackListener

METHODS = ["GET", "POST", "DELETE"]
ADMIN = "admin-key-of-the-test-4711"


@dataclass(frozen=True)
class Received:
    """One request as a vendor saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    text: str

    @property
    def data(self) -> Any:
        return json.loads(self.text)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.text).items()}

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass
class VendorServer:
    """A server; `valid` are the credentials that it accepts. `upset` answers in its place while it is set."""

    url: str = ""
    valid: set[str] = field(default_factory=set)
    upset: Callable[[Received], Response] | None = None
    delay: float = 0.0
    received: list[Received] = field(default_factory=list)


Behaviour = Callable[[VendorServer, Received], Response]


def github(server: VendorServer, request: Received) -> Response:
    """https://docs.github.com/rest/credentials/revoke and https://docs.github.com/rest/users/users."""
    if (request.method, request.path) == ("POST", "/credentials/revoke"):
        if "authorization" in request.headers:
            return JSONResponse({"message": "Forbidden"}, 403)
        server.valid -= set(request.data["credentials"])
        return Response(status_code=202)
    if request.path == "/user" and request.bearer in server.valid:
        return JSONResponse({"login": "somebody"})
    return JSONResponse({"message": "Bad credentials", "status": "401"}, 401)


def gitlab(server: VendorServer, request: Received) -> Response:
    """https://docs.gitlab.com/api/personal_access_tokens/."""
    token = request.headers.get("private-token", "")
    if request.path != "/api/v4/personal_access_tokens/self" or token not in server.valid:
        return JSONResponse({"message": "401 Unauthorized"}, 401)
    if request.method == "DELETE":
        server.valid.discard(token)
        return Response(status_code=204)
    return JSONResponse({"id": 4, "active": True, "revoked": False})


def slack(server: VendorServer, request: Received) -> Response:
    """https://docs.slack.dev/reference/methods/auth.revoke."""
    if request.bearer not in server.valid:
        return JSONResponse({"ok": False, "error": "token_revoked"})
    if request.path == "/auth.revoke":
        server.valid.discard(request.bearer)
        return JSONResponse({"ok": True, "revoked": True})
    return JSONResponse({"ok": True, "team": "T1", "user": "bot"})


def openai(server: VendorServer, request: Received) -> Response:
    """https://developers.openai.com/api/reference/resources/organization; two pages of keys."""
    keys = {f"key_{value[-4:]}": value for value in sorted(server.valid)}
    if request.path == "/v1/models":
        if request.bearer in server.valid:
            return JSONResponse({"object": "list", "data": []})
        return JSONResponse({"error": {"code": "invalid_api_key", "type": "invalid_request_error"}}, 401)
    if request.bearer != ADMIN:
        return JSONResponse({"error": {"code": "invalid_api_key"}}, 401)
    if request.path == "/v1/organization/projects":
        return JSONResponse({"object": "list", "data": [{"id": "proj_1"}], "has_more": False})
    if request.method == "DELETE":
        name = request.path.rpartition("/")[2]
        server.valid.discard(keys[name])
        return JSONResponse({"object": "organization.project.api_key.deleted", "id": name, "deleted": True})
    other = {"id": "key_other", "redacted_value": "sk-proj-zzz...9999"}
    if "after" not in request.query:
        return JSONResponse({"object": "list", "data": [other], "last_id": "key_other", "has_more": True})
    shown = [{"id": name, "redacted_value": f"{value[:11]}...{value[-4:]}"} for name, value in keys.items()]
    return JSONResponse({"object": "list", "data": shown, "has_more": False})


def anthropic(server: VendorServer, request: Received) -> Response:
    """https://platform.claude.com/docs/en/api/admin/api_keys."""
    key = request.headers.get("x-api-key", "")
    if request.path == "/v1/models":
        if key in server.valid:
            return JSONResponse({"data": [], "has_more": False})
        return JSONResponse({"type": "error", "error": {"type": "authentication_error"}}, 401)
    if key != ADMIN or "anthropic-version" not in request.headers:
        return JSONResponse({"type": "error", "error": {"type": "authentication_error"}}, 401)
    if request.method == "POST":
        assert request.data == {"status": "inactive"}
        server.valid.clear()
        return JSONResponse({"id": request.path.rpartition("/")[2], "type": "api_key", "status": "inactive"})
    shown = [
        {"id": "apikey_1", "partial_key_hint": f"{value[:16]}...{value[-4:]}", "status": "active"}
        for value in server.valid
    ]
    return JSONResponse({"data": shown, "has_more": False, "last_id": None})


def azure(server: VendorServer, request: Received) -> Response:
    """https://learn.microsoft.com/rest/api/aiservices/accountmanagement/accounts/regenerate-key, and Entra's tokens.

    The valid values are the two keys in the order of their names' last digits: key1 ends in 1."""
    if request.path.endswith("/oauth2/v2.0/token"):
        good = request.form == {
            "grant_type": "client_credentials",
            "client_id": "app-1",
            "client_secret": ADMIN,
            "scope": "https://management.azure.com/.default",
        }
        return JSONResponse({"access_token": "arm"} if good else {"error": "invalid_client"}, 200 if good else 401)
    if request.path == "/openai/v1/models":
        return JSONResponse({"data": []}, 200 if request.headers.get("api-key") in server.valid else 401)
    account = "/subscriptions/sub/resourceGroups/group/providers/Microsoft.CognitiveServices/accounts/lab"
    if request.bearer != "arm" or not request.path.startswith(account) or "api-version" not in request.query:
        return JSONResponse({"error": {"code": "AuthenticationFailed"}}, 401)
    if request.path.endswith("/regenerateKey"):
        number = request.data["keyName"].removeprefix("Key")
        server.valid = {value for value in server.valid if value[-1] != number} | {f"fresh-azure-key-00000{number}"}
    keys = {f"key{value[-1]}": value for value in server.valid}
    return JSONResponse(keys)


def aws(server: VendorServer, request: Received) -> Response:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html, and GetCallerIdentity of STS."""
    error = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>no</Message></Error></ErrorResponse>"
    signer = request.headers["authorization"].partition("Credential=")[2].partition("/")[0]
    if request.form["Action"] == "GetCallerIdentity":
        if signer in server.valid:
            return Response("<GetCallerIdentityResponse/>", media_type="text/xml")
        return Response(error.format("InvalidClientTokenId"), 403, media_type="text/xml")
    key = request.form["AccessKeyId"]
    if signer != "AKIAADMINADMINADMIN1" or request.form["Status"] != "Inactive":
        return Response(error.format("AccessDenied"), 403, media_type="text/xml")
    if key not in server.valid:
        return Response(error.format("NoSuchEntity"), 404, media_type="text/xml")
    server.valid.discard(key)
    return Response("<UpdateAccessKeyResponse/>", media_type="text/xml")


def sendgrid(server: VendorServer, request: Received) -> Response:
    """https://www.twilio.com/docs/sendgrid/api-reference/api-keys/delete-api-keys."""
    if request.bearer not in server.valid and request.bearer != ADMIN:
        return JSONResponse({"errors": [{"message": "authorization required"}]}, 401)
    if request.method == "DELETE":
        found = [value for value in server.valid if value.split(".")[1] == request.path.rpartition("/")[2]]
        server.valid -= set(found)
        return Response(status_code=204 if found else 404)
    return JSONResponse({"scopes": ["mail.send"]})


def google(server: VendorServer, request: Received) -> Response:
    """https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke."""
    token = request.form.get("token") or request.form.get("access_token")
    if token not in server.valid:
        return JSONResponse({"error": "invalid_token", "error_description": "Token expired or revoked"}, 400)
    if request.path == "/revoke":
        server.valid.discard(token)
    return JSONResponse({})


def bearer(server: VendorServer, request: Received) -> Response:
    """npm, Hugging Face and Stripe: a GET that is answered 200 or 401."""
    return JSONResponse({}, 200 if request.bearer in server.valid else 401)


def google_api_key(server: VendorServer, request: Received) -> Response:
    """https://ai.google.dev/api/models."""
    if request.headers.get("x-goog-api-key") in server.valid:
        return JSONResponse({"models": []})
    return JSONResponse({"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}, 400)


@asynccontextmanager
async def vendor_server(behaviour: Behaviour, *valid: str) -> AsyncIterator[VendorServer]:
    """Run a vendor for as long as the block lasts."""
    server = VendorServer(valid=set(valid))
    listener = LoopbackListener(0, SystemClock())

    async def serve(request: Request) -> Response:
        text = (await request.body()).decode()
        path = request.url.path
        received = Received(request.method, path, dict(request.query_params), dict(request.headers), text)
        server.received.append(received)
        await anyio.sleep(server.delay)
        return server.upset(received) if server.upset else behaviour(server, received)

    server.url = f"http://127.0.0.1:{listener.port}"
    await listener.open(Starlette(routes=[Route("/{path:path}", serve, methods=METHODS)]))
    try:
        yield server
    finally:
        await listener.close()


@contextmanager
def vendor_in_a_thread(behaviour: Behaviour, *valid: str) -> Iterator[VendorServer]:
    """The same for a test that has no event loop."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(vendor_server(behaviour, *valid)) as server,
    ):
        yield server

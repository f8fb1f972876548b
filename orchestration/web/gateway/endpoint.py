"""The routes under `/v1`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.app.application import Application
from orchestration.config.isolation import IsolatedError, require_not_isolated
from orchestration.errors import NotFoundError, OrchestratorError
from orchestration.providers.wire import Allowance, Completion, GatewayCall, ModelApi
from orchestration.security.access import GATEWAY
from orchestration.security.principal import Principal, Role
from orchestration.storage.access import TokenRow
from orchestration.web.gateway.addresses import PREFIXES
from orchestration.web.gateway.admission import RequestAdmission
from orchestration.web.gateway.completions import (
    END_OF_STREAM,
    completion_body,
    completion_chunks,
    completion_headers,
    event_line,
)
from orchestration.web.gateway.disconnection import unless_disconnected
from orchestration.web.gateway.embeddings import embeddings_body, parse_embeddings_request
from orchestration.web.gateway.errors import BadRequestError, error_response, refusal_response
from orchestration.web.gateway.json_bytes import JsonResponse
from orchestration.web.gateway.models import AUTO, list_models, model_entry, resolve_model
from orchestration.web.gateway.requests import ChatRequest, parse_request
from orchestration.web.gateway.streaming import CompletionStream
from orchestration.web.intake import read_body

# Room for several images in one request, which clients send as base64 inside the JSON.
_MAX_BYTES = 32_000_000
Handler = Callable[[Request], Awaitable[Response]]
_ALLOWED = {"/v1/chat/completions": "POST", "/v1/embeddings": "POST", "/v1/models": "GET"}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# The length of the column that holds the name of the agent of a call.
_MAX_AGENT_NAME = 64


class GatewayEndpoint:
    """Serves chat completions, embeddings and the list of models."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._admission = RequestAdmission()

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        served: list[tuple[str, Handler, str]] = [
            ("/chat/completions", self._complete, "POST"),
            ("/embeddings", self._embed, "POST"),
            ("/models", self._list_models, "GET"),
            ("/models/{model:path}", self._show_model, "GET"),
        ]
        # Azure's clients put the model into the address, or use its newer address without one:
        # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle.
        prefixes = {"/v1": served, "/openai/v1": served, "/openai/deployments/{deployment:path}": served[:2]}
        routes = [
            Route(prefix + path, handler, methods=[method])
            for prefix, some in prefixes.items()
            for path, handler, method in some
        ]
        unknown = [Route(f"{prefix}{{path:path}}", _refuse_unknown, methods=list(_METHODS)) for prefix in PREFIXES]
        return [*routes, *unknown]

    async def _complete(self, request: Request) -> Response:
        token: TokenRow | None = request.state.token
        try:
            _check_role(request, Role.OPERATOR)
            self._check_isolation()
            chat = parse_request(await _read_body(request), request.headers, _deployment(request))
            call = replace(self._call(chat.model, request), only=chat.only, hedged=chat.hedged)
            self._admission.admit(token, self._app.clock.monotonic())
            if chat.stream and not chat.whole:
                return CompletionStream(self._app, self._admission, token, chat, call)
            with self._admission.in_progress(token):
                work = self._app.gateway.complete(chat.body, call)
                completion = await unless_disconnected(request.receive, work)
        except OrchestratorError as error:
            return error_response(error, self._app.clock.monotonic())
        # Nobody reads what is sent to a client that has gone; the number is nginx's for that.
        return Response(status_code=499) if completion is None else self._respond(chat, completion)

    async def _embed(self, request: Request) -> Response:
        token: TokenRow | None = request.state.token
        try:
            _check_role(request, Role.OPERATOR)
            self._check_isolation()
            asked = parse_embeddings_request(await _read_body(request), request.headers, _deployment(request))
            call = replace(self._call(asked.model, request), only=asked.only, api=ModelApi.EMBEDDINGS)
            self._admission.admit(token, self._app.clock.monotonic())
            with self._admission.in_progress(token):
                work = self._app.gateway.complete(asked.body, call)
                completion = await unless_disconnected(request.receive, work)
        except OrchestratorError as error:
            return error_response(error, self._app.clock.monotonic())
        if completion is None:
            return Response(status_code=499)
        return JsonResponse(embeddings_body(completion), headers=completion_headers(completion))

    def _respond(self, chat: ChatRequest, completion: Completion) -> Response:
        now, headers = int(self._app.clock.now().timestamp()), completion_headers(completion)
        if not chat.stream:
            return JsonResponse(completion_body(completion, now), headers=headers)
        text = b"".join(map(event_line, completion_chunks(completion, now, usage=chat.usage))) + END_OF_STREAM
        return Response(text, headers=headers, media_type="text/event-stream")

    async def _list_models(self, request: Request) -> Response:
        try:
            _check_role(request, Role.VIEWER)
        except BadRequestError as error:
            return error_response(error, self._app.clock.monotonic())
        return JsonResponse({"object": "list", "data": list(list_models(self._app.effective()))})

    async def _show_model(self, request: Request) -> Response:
        name = request.path_params["model"]
        try:
            _check_role(request, Role.VIEWER)
            if name != AUTO:
                resolve_model(self._app.effective(), name)
        except (BadRequestError, NotFoundError) as error:
            return error_response(error, self._app.clock.monotonic())
        return JsonResponse(model_entry(name, name.partition("/")[0] if "/" in name else "orchestrator"))

    def _check_isolation(self) -> None:
        try:
            require_not_isolated(self._app.store, "call a model")
        except IsolatedError as error:
            raise BadRequestError(str(error), 503, "isolated") from None

    def _call(self, name: str, request: Request) -> GatewayCall:
        provider, model = (None, None) if name == AUTO else resolve_model(self._app.effective(), name)
        token: TokenRow | None = request.state.token
        limits = token.limits if token else {}
        tokens = limits.get("daily_tokens")
        daily = Allowance(None if tokens is None else int(tokens), limits.get("daily_usd"))
        # By the token's identifier and not its name: names may be used again, and spending is counted by agent.
        agent = f"client:{token.id if token else request.state.principal.name}"[:_MAX_AGENT_NAME]
        return GatewayCall(agent=agent, provider=provider, model=model, daily=daily)


def _deployment(request: Request) -> str | None:
    """The model in an address of Azure's kind."""
    deployment: str | None = request.path_params.get("deployment")
    return deployment


async def _refuse_unknown(request: Request) -> Response:
    """Refuse an address or a method that is not served, so that clients can read why."""
    path, method = request.url.path, request.method
    if allowed := _ALLOWED.get(path.removeprefix("/openai")):
        message = f"{path} takes {allowed} requests only."
        return refusal_response(405, message, {"Allow": allowed})
    served = ", ".join(sorted(_ALLOWED))
    return refusal_response(404, f"There is nothing at {method} {path}. Served are: {served}.")


def _check_role(request: Request, role: Role) -> None:
    principal: Principal = request.state.principal
    if not principal.may(role, GATEWAY):
        message = (
            f"This requires a token with the scope '{GATEWAY}' and the role {role.value}. '{principal.name}' has not."
        )
        raise BadRequestError(message, 403, "permission_denied")


async def _read_body(request: Request) -> bytes:
    try:
        return await read_body(request, _MAX_BYTES)
    except PayloadRefusedError:
        raise BadRequestError(f"The request is larger than {_MAX_BYTES:,} bytes.", 413) from None

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
from orchestration.storage.model_responses import ModelResponses
from orchestration.web.gateway.addresses import MESSAGES, PREFIXES, speaks_messages
from orchestration.web.gateway.admission import RequestAdmission
from orchestration.web.gateway.completions import (
    completion_chunks,
    completion_headers,
)
from orchestration.web.gateway.dialect import ModelRequest
from orchestration.web.gateway.disconnection import unless_disconnected
from orchestration.web.gateway.embeddings import embeddings_body, parse_embeddings_request
from orchestration.web.gateway.errors import BadRequestError, error_response
from orchestration.web.gateway.json_bytes import JsonResponse
from orchestration.web.gateway.messages.errors import messages_error_response
from orchestration.web.gateway.messages.request import parse_messages, parse_token_count
from orchestration.web.gateway.models import (
    AUTO,
    list_models,
    messages_model,
    messages_models,
    model_entry,
    resolve_model,
)
from orchestration.web.gateway.refusals import refusal_response
from orchestration.web.gateway.requests import parse_request
from orchestration.web.gateway.responses.response_store import ResponseStore
from orchestration.web.gateway.streaming import AnswerStream
from orchestration.web.intake import read_body

# Room for several images in one request, which clients send as base64 inside the JSON.
_MAX_BYTES = 32_000_000
Handler = Callable[[Request], Awaitable[Response]]
_ALLOWED = {
    "/v1/chat/completions": "POST", "/v1/embeddings": "POST", "/v1/responses": "POST", "/v1/models": "GET",
    MESSAGES: "POST", f"{MESSAGES}/count_tokens": "POST",
}  # fmt: skip
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# The length of the column that holds the name of the agent of a call.
_MAX_AGENT_NAME = 64


class GatewayEndpoint:
    """Serves chat completions, messages, embeddings and the list of models."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._admission = RequestAdmission()
        self._responses = ResponseStore(ModelResponses(app.database), app.redactor.text, app.clock)

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        served: list[tuple[str, Handler, str]] = [
            ("/chat/completions", self._complete, "POST"),
            ("/embeddings", self._embed, "POST"),
            ("/responses", self._response, "POST"),
            ("/responses/{response}", self._kept_response, "GET"),
            ("/responses/{response}", self._kept_response, "DELETE"),
            ("/responses/{response}/input_items", self._kept_response, "GET"),
            ("/models", self._list_models, "GET"),
            ("/models/{model:path}", self._show_model, "GET"),
        ]
        messages = [Route(MESSAGES, self._message, methods=["POST"])]
        messages.append(Route(f"{MESSAGES}/count_tokens", self._count, methods=["POST"]))
        # Azure's clients put the model into the address, or use its newer address without one:
        # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle.
        prefixes = {"/v1": served, "/openai/v1": served, "/openai/deployments/{deployment:path}": served[:2]}
        routes = [
            Route(prefix + path, handler, methods=[method])
            for prefix, some in prefixes.items()
            for path, handler, method in some
        ]
        unknown = [Route(f"{prefix}{{path:path}}", _refuse_unknown, methods=list(_METHODS)) for prefix in PREFIXES]
        return [*routes, *messages, *unknown]

    async def _complete(self, request: Request) -> Response:
        async def parse(body: bytes) -> ModelRequest:
            return parse_request(body, request.headers, _deployment(request))

        return await self._serve(request, parse, error_response)

    async def _message(self, request: Request) -> Response:
        async def parse(body: bytes) -> ModelRequest:
            return parse_messages(body, request.headers)

        return await self._serve(request, parse, messages_error_response)

    async def _response(self, request: Request) -> Response:
        async def parse(body: bytes) -> ModelRequest:
            return await self._responses.request(body, request.headers, _owner(request))

        return await self._serve(request, parse, error_response)

    async def _kept_response(self, request: Request) -> Response:
        """Show or delete a response that was kept, or show its input."""
        identifier, owner = request.path_params["response"], _owner(request)
        try:
            _check_role(request, Role.OPERATOR)
            if request.method == "DELETE":
                return JsonResponse(await self._responses.delete(identifier, owner))
            if request.url.path.endswith("/input_items"):
                return JsonResponse(await self._responses.items(identifier, owner))
            return JsonResponse(await self._responses.show(identifier, owner))
        except BadRequestError as error:
            return error_response(error, self._app.clock.monotonic())

    async def _count(self, request: Request) -> Response:
        """Count the tokens of a message. They are estimated: only the provider knows how its model splits a text."""
        try:
            _check_role(request, Role.OPERATOR)
            model, tokens = parse_token_count(await _read_body(request))
            self._resolve(model)
        except OrchestratorError as error:
            return messages_error_response(error, self._app.clock.monotonic())
        return JsonResponse({"input_tokens": tokens})

    async def _serve(
        self,
        request: Request,
        parse: Callable[[bytes], Awaitable[ModelRequest]],
        refuse: Callable[[OrchestratorError, float], Response],
    ) -> Response:
        """Answer a request for an answer of a model, in whatever API it came."""
        token: TokenRow | None = request.state.token
        try:
            _check_role(request, Role.OPERATOR)
            self._check_isolation()
            asked = await parse(await _read_body(request))
            call = self._call(asked.model, request)
            call = replace(call, only=asked.only, hedged=asked.hedged, native=asked.native, optional=asked.optional)
            self._admission.admit(token, self._app.clock.monotonic())
            if asked.stream and not asked.whole:
                return AnswerStream(self._app, self._admission, token, asked, call)
            with self._admission.in_progress(token):
                work = self._app.gateway.complete(asked.body, call)
                completion = await unless_disconnected(request.receive, work)
        except OrchestratorError as error:
            return refuse(error, self._app.clock.monotonic())
        # Nobody reads what is sent to a client that has gone; the number is nginx's for that.
        return Response(status_code=499) if completion is None else await self._respond(asked, completion)

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

    async def _respond(self, asked: ModelRequest, completion: Completion) -> Response:
        now, headers = int(self._app.clock.now().timestamp()), completion_headers(completion)
        if asked.on_answer is not None:
            await asked.on_answer(completion)
        if not asked.stream:
            return JsonResponse(asked.dialect.answer(completion, now), headers=headers)
        writer = asked.dialect.writer(now)
        text = [writer.begin(str(completion.route)), *map(writer.chunk, completion_chunks(completion, now))]
        return Response(b"".join([*text, writer.end(completion)]), headers=headers, media_type="text/event-stream")

    async def _list_models(self, request: Request) -> Response:
        native = speaks_messages(request.url.path, request.headers)
        try:
            _check_role(request, Role.VIEWER)
        except BadRequestError as error:
            return self._refuse(error, native=native)
        models = list(list_models(self._app.effective()))
        return JsonResponse(messages_models(models) if native else {"object": "list", "data": models})

    async def _show_model(self, request: Request) -> Response:
        name = request.path_params["model"]
        native = speaks_messages(request.url.path, request.headers)
        try:
            _check_role(request, Role.VIEWER)
            self._resolve(name)
        except (BadRequestError, NotFoundError) as error:
            return self._refuse(error, native=native)
        entry = model_entry(name, name.partition("/")[0] if "/" in name else "orchestrator")
        return JsonResponse(messages_model(entry) if native else entry)

    def _refuse(self, error: OrchestratorError, *, native: bool) -> Response:
        return (messages_error_response if native else error_response)(error, self._app.clock.monotonic())

    def _check_isolation(self) -> None:
        try:
            require_not_isolated(self._app.store, "call a model")
        except IsolatedError as error:
            raise BadRequestError(str(error), 503, "isolated") from None

    def _call(self, name: str, request: Request) -> GatewayCall:
        provider, model = self._resolve(name)
        token: TokenRow | None = request.state.token
        limits = token.limits if token else {}
        tokens = limits.get("daily_tokens")
        daily = Allowance(None if tokens is None else int(tokens), limits.get("daily_usd"))
        return GatewayCall(agent=_owner(request), provider=provider, model=model, daily=daily)

    def _resolve(self, name: str) -> tuple[str | None, str | None]:
        """The provider and the model that a name stands for. Raises NotFoundError."""
        return (None, None) if name == AUTO else resolve_model(self._app.effective(), name)


def _owner(request: Request) -> str:
    """Whose calls and responses these are: the client's, as an agent's name."""
    # By the token's identifier and not its name: names may be used again, and spending is counted by agent.
    token: TokenRow | None = request.state.token
    return f"client:{token.id if token else request.state.principal.name}"[:_MAX_AGENT_NAME]


def _deployment(request: Request) -> str | None:
    """The model in an address of Azure's kind."""
    deployment: str | None = request.path_params.get("deployment")
    return deployment


async def _refuse_unknown(request: Request) -> Response:
    """Refuse an address or a method that is not served, so that clients can read why."""
    path, method = request.url.path, request.method
    if allowed := _ALLOWED.get(path.removeprefix("/openai")):
        message = f"{path} takes {allowed} requests only."
        return refusal_response(path, request.headers, 405, message, {"Allow": allowed})
    served = ", ".join(sorted(_ALLOWED))
    message = f"There is nothing at {method} {path}. Served are: {served}."
    return refusal_response(path, request.headers, 404, message)


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

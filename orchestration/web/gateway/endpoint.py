"""The routes of the gateway endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestration.app.model_host import ModelHost
from orchestration.errors import NotFoundError, OrchestratorError
from orchestration.security.principal import Role
from orchestration.storage.model_responses import ModelResponses
from orchestration.web.gateway.addresses import MESSAGES, OLLAMAS, PREFIXES, speaks_messages
from orchestration.web.gateway.dialect import ModelRequest
from orchestration.web.gateway.embeddings import EmbeddingsRequest, embeddings_body, parse_embeddings_request
from orchestration.web.gateway.errors import BadRequestError, error_response
from orchestration.web.gateway.json_bytes import JsonResponse
from orchestration.web.gateway.messages.errors import messages_error_response
from orchestration.web.gateway.messages.request import parse_messages, parse_token_count
from orchestration.web.gateway.model_service import ModelService, Refuse, check_role, owner_of, read_request
from orchestration.web.gateway.models import messages_model, messages_models, model_entry
from orchestration.web.gateway.ollama.answer import VERSION, embeddings, listed_models, ollama_error_response
from orchestration.web.gateway.ollama.request import parse_chat, parse_embed, parse_generate
from orchestration.web.gateway.refusals import refusal_response
from orchestration.web.gateway.requests import parse_request
from orchestration.web.gateway.responses.response_store import ResponseStore

Handler = Callable[[Request], Awaitable[Response]]
_ALLOWED = {
    "/v1/chat/completions": "POST", "/v1/embeddings": "POST", "/v1/responses": "POST", "/v1/models": "GET",
    MESSAGES: "POST", f"{MESSAGES}/count_tokens": "POST",
    "/api/chat": "POST", "/api/generate": "POST", "/api/embed": "POST", "/api/tags": "GET", "/api/version": "GET",
}  # fmt: skip
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class GatewayEndpoint:
    """Serves chat completions, messages, responses, embeddings and the list of models, in the vendors' own APIs."""

    def __init__(self, app: ModelHost) -> None:
        self._clock = app.clock
        self._service = ModelService(app)
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
        others: list[tuple[str, Handler, str]] = [
            (MESSAGES, self._message, "POST"),
            (f"{MESSAGES}/count_tokens", self._count, "POST"),
            ("/api/chat", self._ollama(parse_chat), "POST"),
            ("/api/generate", self._ollama(parse_generate), "POST"),
            ("/api/embed", self._ollama_embed, "POST"),
            ("/api/tags", self._ollama_models, "GET"),
            ("/api/version", self._ollama_version, "GET"),
        ]
        # Azure's clients put the model into the address, or use its newer address without one:
        # https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle.
        prefixes = {"/v1": served, "/openai/v1": served, "/openai/deployments/{deployment:path}": served[:2]}
        routes = [
            Route(prefix + path, handler, methods=[method])
            for prefix, some in {**prefixes, "": others}.items()
            for path, handler, method in some
        ]
        unknown = [f"{prefix}{{path:path}}" for prefix in PREFIXES if prefix.endswith("/")]
        return [*routes, *(Route(path, _refuse_unknown, methods=list(_METHODS)) for path in (*unknown, *OLLAMAS))]

    async def _complete(self, request: Request) -> Response:
        async def parse(body: bytes) -> ModelRequest:
            return parse_request(body, request.headers, _deployment(request))

        return await self._service.answer(request, parse, error_response)

    async def _message(self, request: Request) -> Response:
        async def parse(body: bytes) -> ModelRequest:
            return parse_messages(body, request.headers)

        return await self._service.answer(request, parse, messages_error_response)

    async def _response(self, request: Request) -> Response:
        async def parse(body: bytes) -> ModelRequest:
            return await self._responses.request(body, request.headers, owner_of(request))

        return await self._service.answer(request, parse, error_response)

    def _ollama(self, read: Callable[[bytes, Mapping[str, str]], ModelRequest]) -> Handler:
        async def endpoint(request: Request) -> Response:
            async def parse(body: bytes) -> ModelRequest:
                return read(body, request.headers)

            return await self._service.answer(request, parse, ollama_error_response)

        return endpoint

    async def _kept_response(self, request: Request) -> Response:
        """Show or delete a response that was kept, or show its input."""
        identifier, owner = request.path_params["response"], owner_of(request)
        try:
            check_role(request, Role.OPERATOR)
            if request.method == "DELETE":
                return JsonResponse(await self._responses.delete(identifier, owner))
            if request.url.path.endswith("/input_items"):
                return JsonResponse(await self._responses.items(identifier, owner))
            return JsonResponse(await self._responses.show(identifier, owner))
        except BadRequestError as error:
            return self._refused(error, error_response)

    async def _count(self, request: Request) -> Response:
        """Count the tokens of a message. They are estimated: only the provider knows how its model splits a text."""
        try:
            check_role(request, Role.OPERATOR)
            model, tokens = parse_token_count(await read_request(request))
            self._service.resolve(model)
        except OrchestratorError as error:
            return self._refused(error, messages_error_response)
        return JsonResponse({"input_tokens": tokens})

    async def _embed(self, request: Request) -> Response:
        def parse(body: bytes) -> EmbeddingsRequest:
            return parse_embeddings_request(body, request.headers, _deployment(request))

        return await self._service.embed(request, parse, embeddings_body, error_response)

    async def _ollama_embed(self, request: Request) -> Response:
        def parse(body: bytes) -> EmbeddingsRequest:
            return parse_embed(body, request.headers)

        return await self._service.embed(request, parse, embeddings, ollama_error_response)

    async def _ollama_models(self, request: Request) -> Response:
        try:
            return JsonResponse(listed_models(self._service.models(request)))
        except BadRequestError as error:
            return self._refused(error, ollama_error_response)

    async def _ollama_version(self, _: Request) -> Response:
        return JsonResponse({"version": VERSION})

    async def _list_models(self, request: Request) -> Response:
        native = speaks_messages(request.url.path, request.headers)
        try:
            models = self._service.models(request)
        except BadRequestError as error:
            return self._refused(error, messages_error_response if native else error_response)
        return JsonResponse(messages_models(models) if native else {"object": "list", "data": models})

    async def _show_model(self, request: Request) -> Response:
        name = request.path_params["model"]
        native = speaks_messages(request.url.path, request.headers)
        try:
            check_role(request, Role.VIEWER)
            self._service.resolve(name)
        except (BadRequestError, NotFoundError) as error:
            return self._refused(error, messages_error_response if native else error_response)
        entry = model_entry(name, name.partition("/")[0] if "/" in name else "orchestrator")
        return JsonResponse(messages_model(entry) if native else entry)

    def _refused(self, error: OrchestratorError, refuse: Refuse) -> Response:
        return refuse(error, self._clock.monotonic())


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

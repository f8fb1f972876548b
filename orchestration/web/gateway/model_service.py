"""One request of a client: who sends it, what it may use, the call of a model, and the answer, in any of the APIs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.app.model_host import ModelHost
from orchestration.config.isolation import IsolatedError, require_not_isolated
from orchestration.errors import OrchestratorError
from orchestration.providers.wire import BudgetStanding, ClientKey, Completion, GatewayCall, ModelApi
from orchestration.security.access import GATEWAY
from orchestration.security.principal import Principal, Role
from orchestration.storage.access import TokenRow
from orchestration.storage.charge import CLIENT_PREFIX
from orchestration.web.gateway.admission import RequestAdmission
from orchestration.web.gateway.budget_headers import budget_headers
from orchestration.web.gateway.completions import completion_chunks, completion_headers
from orchestration.web.gateway.dialect import ModelRequest, StreamDelivery
from orchestration.web.gateway.disconnection import unless_disconnected
from orchestration.web.gateway.embeddings import EmbeddingsRequest
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.json_bytes import JsonResponse
from orchestration.web.gateway.models import AUTO, list_models, resolve_model
from orchestration.web.gateway.streaming import AnswerStream
from orchestration.web.intake import read_body

# Room for several images in one request, which clients send as base64 inside the JSON.
_MAX_BYTES = 32_000_000
# The length of the column that holds the name of the agent of a call.
_MAX_AGENT_NAME = 64

Refuse = Callable[[OrchestratorError, float], Response]
"""Makes the response to an error at a monotonic time."""


class ModelService:
    """Serves requests for answers and vectors of models."""

    def __init__(self, app: ModelHost) -> None:
        self._app = app
        self._admission = RequestAdmission(app.slots, app.rates_folder)

    async def answer(
        self, request: Request, parse: Callable[[bytes], Awaitable[ModelRequest]], refuse: Refuse
    ) -> Response:
        """Answer a request for an answer."""
        token: TokenRow | None = request.state.token
        try:
            self._check(request)
            asked = await parse(await read_request(request))
            call = self._call(asked.model, request)
            routing = asked.routing
            call = replace(call, only=routing.only, hedged=routing.hedged, native=asked.native, optional=asked.optional)
            may_show = asked.stream and self._may_show(asked, call)
            admission = self._admission.admit(token, self._app.clock.monotonic())
            if may_show:
                return AnswerStream(self._app, admission, asked, call, request.state.budget_headers)
            with admission:
                work = self._app.gateway.complete(asked.body, call)
                completion = await unless_disconnected(request.receive, work)
        except OrchestratorError as error:
            return refuse(error, self._app.clock.monotonic())
        # Nobody reads what is sent to a client that has gone; the number is nginx's for that.
        if completion is None:
            return Response(status_code=499)
        response = await self._respond(asked, completion)
        response.headers.update(request.state.budget_headers)
        return response

    async def embed(
        self,
        request: Request,
        parse: Callable[[bytes], EmbeddingsRequest],
        shape: Callable[[Completion], Mapping[str, Any]],
        refuse: Refuse,
    ) -> Response:
        """Answer a request for vectors."""
        token: TokenRow | None = request.state.token
        try:
            self._check(request)
            asked = parse(await read_request(request))
            call = replace(self._call(asked.model, request), only=asked.only, api=ModelApi.EMBEDDINGS)
            with self._admission.admit(token, self._app.clock.monotonic()):
                work = self._app.gateway.complete(asked.body, call)
                completion = await unless_disconnected(request.receive, work)
        except OrchestratorError as error:
            return refuse(error, self._app.clock.monotonic())
        if completion is None:
            return Response(status_code=499)
        headers = {**completion_headers(completion), **request.state.budget_headers}
        return JsonResponse(shape(completion), headers=headers)

    def models(self, request: Request) -> list[dict[str, Any]]:
        """Every name that can be requested. Raises BadRequestError."""
        check_role(request, Role.VIEWER)
        return list(list_models(self._app.effective()))

    def resolve(self, name: str) -> tuple[str | None, str | None]:
        """The provider and the model that a name stands for. Raises NotFoundError."""
        return (None, None) if name == AUTO else resolve_model(self._app.effective(), name)

    async def _respond(self, asked: ModelRequest, completion: Completion) -> Response:
        now, headers = int(self._app.clock.now().timestamp()), completion_headers(completion)
        if asked.on_answer is not None:
            await asked.on_answer(completion)
        if not asked.stream:
            return JsonResponse(asked.dialect.answer(completion, now), headers=headers)
        writer = asked.dialect.writer(now)
        text = [writer.begin(str(completion.route)), *map(writer.chunk, completion_chunks(completion, now))]
        return Response(b"".join([*text, writer.end(completion)]), headers=headers, media_type=writer.media_type)

    def _may_show(self, asked: ModelRequest, call: GatewayCall) -> bool:
        """Whether the client wants to see an answer before it is complete."""
        delivery = asked.routing.delivery
        if delivery is not StreamDelivery.RESUME:
            return delivery is not StreamDelivery.WHOLE
        # Only the translation of a request can be gone on with.
        lossless = asked.native is None or not asked.native.lost
        return lossless and self._app.gateway.can_continue(call)

    def _check(self, request: Request) -> None:
        check_role(request, Role.OPERATOR)
        try:
            require_not_isolated(self._app.store, "call a model")
        except IsolatedError as error:
            raise BadRequestError(str(error), 503, "isolated") from None

    def _call(self, name: str, request: Request) -> GatewayCall:
        provider, model = self.resolve(name)
        token: TokenRow | None = request.state.token
        client = None if token is None else ClientKey.of(token.id, token.name, token.team, token.limits)
        headers: dict[str, str] = {}
        request.state.budget_headers = headers

        def on_budget(standings: Sequence[BudgetStanding]) -> None:
            headers.update(budget_headers(standings))

        return GatewayCall(agent=owner_of(request), provider=provider, model=model, client=client, on_budget=on_budget)


def owner_of(request: Request) -> str:
    """Whose calls and responses these are: the client's, as an agent's name."""
    # By the token's identifier and not its name: names may be used again, and spending is counted by agent.
    token: TokenRow | None = request.state.token
    return f"{CLIENT_PREFIX}{token.id if token else request.state.principal.name}"[:_MAX_AGENT_NAME]


def check_role(request: Request, role: Role) -> None:
    """Raise BadRequestError unless the client may use the gateway in this role."""
    principal: Principal = request.state.principal
    if not principal.may(role, GATEWAY):
        message = (
            f"This requires a token with the scope '{GATEWAY}' and the role {role.value}. '{principal.name}' has not."
        )
        raise BadRequestError(message, 403, "permission_denied")


async def read_request(request: Request) -> bytes:
    """The body of a request. Raises BadRequestError if it is too large."""
    try:
        return await read_body(request, _MAX_BYTES)
    except PayloadRefusedError:
        raise BadRequestError(f"The request is larger than {_MAX_BYTES:,} bytes.", 413) from None

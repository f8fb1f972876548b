"""The gateway endpoint, `/v1`: any OpenAI client gets routing, failover, limits, budgets and metrics by its base URL.

A model is named `auto` (the configuration's chain), `PROVIDER/MODEL`, or by a model's name alone, which means the first
provider of the configuration that has it. The named one is asked first; the chain behind it stands in where it fails,
unless the request brings `X-Orchestrator-Only: true`.

A stream fails over until its first token has been handed on. `X-Orchestrator-Stream: whole` holds it back until the
answer is there as a whole, so that it fails over to the end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.app.application import Application
from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind
from orchestration.errors import NotFoundError, OrchestratorError
from orchestration.ids import new_id
from orchestration.providers.failures import (
    BrokenOffError,
    BudgetExceededError,
    FailureKind,
    NoRouteError,
    RequestRefusedError,
)
from orchestration.providers.token_bucket import TokenBucket
from orchestration.providers.wire import Allowance, Completion, GatewayCall
from orchestration.security.access import GATEWAY
from orchestration.security.principal import Principal, Role
from orchestration.storage.access import TokenRow
from orchestration.web.intake import read_body

AUTO = "auto"
_MOST_BYTES = 32_000_000
_OWN = frozenset({"model", "stream", "stream_options", "user", "store", "metadata"})
_SHORTEST_WAIT = 1.0


class BadRequestError(OrchestratorError):
    """A request that is none; `status` says how it is answered, `code` what OpenAI clients read."""

    def __init__(self, message: str, status: int = 400, code: str = "invalid_request_error", wait: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.wait = wait


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request, read. `usage` says whether a stream is to end with the tokens used, `whole` that it is held back."""

    body: Mapping[str, Any]
    model: str
    stream: bool
    usage: bool
    whole: bool
    only: bool


class GatewayEndpoint:
    """The routes under `/v1`."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._clients = Clients()

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/models", self._models, methods=["GET"]),
            Route("/v1/models/{model:path}", self._model, methods=["GET"]),
        ]

    async def _complete(self, request: Request) -> Response:
        try:
            _check(request, Role.OPERATOR)
            asked = read(await _body(request), request.headers)
            call = self._call(asked, request)
            token = request.state.token
            self._clients.admit(token, self._app.clock.monotonic())
        except (BadRequestError, NotFoundError) as error:
            return error_response(error, self._app.clock.monotonic())
        if asked.stream and not asked.whole:
            return _Stream(self._app, self._clients, token, asked, call)
        try:
            with self._clients.under_way(token):
                completion = await self._app.gateway.complete(asked.body, call)
        except OrchestratorError as error:
            return error_response(error, self._app.clock.monotonic())
        headers = _headers(completion)
        if asked.stream:
            text = "".join(map(_line, chunks_of(completion, self._now(), usage=asked.usage))) + _END
            return Response(text, headers=headers, media_type="text/event-stream")
        return JSONResponse(answer_of(completion, self._now()), headers=headers)

    async def _models(self, request: Request) -> Response:
        try:
            _check(request, Role.VIEWER)
        except BadRequestError as error:
            return error_response(error, self._app.clock.monotonic())
        return JSONResponse({"object": "list", "data": list(models_of(self._app.effective()))})

    async def _model(self, request: Request) -> Response:
        wanted = request.path_params["model"]
        try:
            _check(request, Role.VIEWER)
            if wanted != AUTO:
                named(self._app.effective(), wanted)
        except (BadRequestError, NotFoundError) as error:
            return error_response(error, self._app.clock.monotonic())
        return JSONResponse(_model_line(wanted, wanted.partition("/")[0] if "/" in wanted else "orchestrator"))

    def _call(self, asked: ChatRequest, request: Request) -> GatewayCall:
        provider, model = (None, None) if asked.model == AUTO else named(self._app.effective(), asked.model)
        token: TokenRow | None = request.state.token
        limits = token.limits if token else {}
        daily = Allowance(_whole(limits.get("daily_tokens")), limits.get("daily_usd"))
        agent = f"client:{token.id if token else request.state.principal.name}"[:64]
        return GatewayCall(agent=agent, provider=provider, model=model, only=asked.only, daily=daily)

    def _now(self) -> int:
        return int(self._app.clock.now().timestamp())


@dataclass(slots=True)
class _Client:
    under_way: int = 0
    bucket: TokenBucket | None = None


@dataclass(slots=True)
class Clients:
    """What each client has under way in this process, and how much it asks in a minute."""

    known: dict[str, _Client] = field(default_factory=dict)

    def admit(self, token: TokenRow | None, now: float) -> None:
        """Count a request. Raises AskedWronglyError for one too many; `now` is monotonic."""
        if token is None:
            return
        client = self.known.setdefault(token.id, _Client())
        most = token.limits.get("concurrency")
        if most is not None and client.under_way >= most:
            raise BadRequestError(
                f"expected at most {most:g} requests of '{token.name}' at once, got one more; wait for one to end",
                429, "rate_limit_exceeded", _SHORTEST_WAIT,
            )  # fmt: skip
        rate = token.limits.get("requests_per_minute")
        if rate is None:
            return
        client.bucket = client.bucket or TokenBucket(rate)
        if wait := client.bucket.wait(now):
            raise BadRequestError(
                f"expected at most {rate:g} requests of '{token.name}' in a minute, got one more; wait {wait:.1f} s",
                429, "rate_limit_exceeded", max(wait, _SHORTEST_WAIT),
            )  # fmt: skip
        client.bucket.take(1, now)

    @contextmanager
    def under_way(self, token: TokenRow | None) -> Iterator[None]:
        """Count a request as under way for as long as the block lasts."""
        client = self.known.setdefault(token.id if token else "", _Client())
        client.under_way += 1
        try:
            yield
        finally:
            client.under_way -= 1


class _Stream(Response):
    """An answer as it comes. Its status is sent with the first token; what fails before that has one of its own."""

    def __init__(
        self, app: Application, clients: Clients, token: TokenRow | None, asked: ChatRequest, call: GatewayCall
    ) -> None:
        super().__init__(media_type="text/event-stream")
        self._app = app
        self._clients = clients
        self._token = token
        self._asked = asked
        self._call = call
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
            with self._clients.under_way(self._token):
                await self._answer(scope, receive, send)
            group.cancel_scope.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        now = int(self._app.clock.now().timestamp())
        usual = {"id": new_id("chatcmpl", now), "object": "chat.completion.chunk", "created": now}

        async def hand_on(chunk: Mapping[str, Any]) -> None:
            await self._begin(send)
            if chunk.get("choices") or self._asked.usage:
                await _send_text(send, _line({**usual, "model": self._asked.model, **chunk}))

        try:
            completion = await self._app.gateway.complete(self._asked.body, self._call, hand_on)
        except OrchestratorError as error:
            if not self._begun:
                await error_response(error, self._app.clock.monotonic())(scope, receive, send)
                return
            await _send_text(send, _line(error_body(error)[1]), more=False)
            return
        await self._begin(send)
        rest = _END
        if completion.rehearsal:
            rest = ": rehearsal, no real model answered\n\n" + _END
        await _send_text(send, rest, more=False)

    async def _begin(self, send: Send) -> None:
        if not self._begun:
            self._begun = True
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})


_END = "data: [DONE]\n\n"


def read(body: bytes, headers: Mapping[str, str]) -> ChatRequest:
    """A request from what came. Raises AskedWronglyError. Pure."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("expected a request in JSON, got something else") from None
    if not isinstance(data, dict):
        raise BadRequestError("expected a request as a JSON object, got something else")
    messages = data.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise BadRequestError("expected `messages`, a list of at least one message, got something else")
    model = data.get("model", AUTO)
    if not isinstance(model, str) or not 0 < len(model) <= 200 or not model.isprintable():
        raise BadRequestError("expected `model` to be `auto`, PROVIDER/MODEL or a model's name, got something else")
    if data.get("n", 1) not in (1, None):
        raise BadRequestError("expected one answer (`n` 1), got another number; ask several times")
    for name in ("max_tokens", "max_completion_tokens"):
        if not _is_count(data.get(name)):
            raise BadRequestError(f"expected `{name}` to be a whole number, got something else")
    options = data.get("stream_options")
    return ChatRequest(
        body={name: value for name, value in data.items() if name not in _OWN and value is not None},
        model=model,
        stream=data.get("stream") is True,
        usage=isinstance(options, dict) and options.get("include_usage") is True,
        whole=headers.get("x-orchestrator-stream", "").lower() == "whole",
        only=headers.get("x-orchestrator-only", "").lower() == "true",
    )


def named(configuration: Configuration, model: str) -> tuple[str, str | None]:
    """The provider and the model that a name means. Raises NotFoundError. Pure."""
    providers = configuration.runtime.providers
    provider, slash, name = model.partition("/")
    if slash and provider in providers:
        return provider, name
    runtime = configuration.runtime
    order = dict.fromkeys((runtime.default_provider, *runtime.fallback_providers, *providers))
    for one in order:
        if one in providers and providers[one].enabled and model in _models(configuration, one):
            return one, model
    raise NotFoundError(
        f"expected `auto`, PROVIDER/MODEL or a model of the configuration, got '{model}'; `GET /v1/models` lists them"
    )


def models_of(configuration: Configuration) -> Iterator[dict[str, Any]]:
    """Everything that may be asked for by name. Pure."""
    yield _model_line(AUTO, "orchestrator")
    for name, settings in configuration.runtime.providers.items():
        if settings.enabled:
            label = {"rehearsal": True} if settings.type is ProviderKind.REHEARSAL else {}
            for model in _models(configuration, name):
                yield _model_line(f"{name}/{model}", name) | label


def answer_of(completion: Completion, now: int) -> dict[str, Any]:
    """A whole answer in OpenAI's format. Pure but for its identifier."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, **completion.message},
        "finish_reason": completion.finish_reason,
        "logprobs": None,
    }
    return {
        "id": new_id("chatcmpl", now),
        "object": "chat.completion",
        "created": now,
        "model": str(completion.route),
        "choices": [choice],
        "usage": _usage(completion),
        **({"rehearsal": True} if completion.rehearsal else {}),
    }


def chunks_of(completion: Completion, now: int, *, usage: bool) -> Iterator[dict[str, Any]]:
    """A whole answer as the chunks of a stream."""
    common = {"id": new_id("chatcmpl", now), "object": "chat.completion.chunk", "created": now}
    common["model"] = str(completion.route)
    delta = {"role": "assistant", **completion.message}
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    yield {**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": completion.finish_reason}]}
    if usage:
        yield {**common, "choices": [], "usage": _usage(completion)}


def error_body(error: OrchestratorError) -> tuple[int, dict[str, Any]]:
    """The status and the body that stand for an error, as OpenAI's clients know them. Pure."""
    status, kind, code = 500, "server_error", "server_error"
    match error:
        case BadRequestError():
            status, kind, code = error.status, "invalid_request_error", error.code
        case NotFoundError():
            status, kind, code = 404, "invalid_request_error", "model_not_found"
        case RequestRefusedError():
            status, kind, code = 400, "invalid_request_error", error.kind.value
            if error.kind is FailureKind.CONTENT_FILTER:
                kind = "content_filter"
        case BudgetExceededError():
            status, kind, code = 429, "insufficient_quota", "insufficient_quota"
        case BrokenOffError():
            status, kind, code = 502, "server_error", "broken_off"
        case NoRouteError():
            status, kind, code = 503, "server_error", "no_route"
        case _:
            pass
    return status, {"error": {"message": str(error), "type": kind, "param": None, "code": code}}


def error_response(error: OrchestratorError, now: float) -> Response:
    """The answer for an error; `now` is monotonic."""
    status, body = error_body(error)
    headers = {}
    if isinstance(error, BadRequestError) and error.wait:
        headers["Retry-After"] = str(math.ceil(error.wait))
    if isinstance(error, NoRouteError) and error.retry_at is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_at - now)))
    return JSONResponse(body, status, headers)


def _check(request: Request, role: Role) -> None:
    principal: Principal = request.state.principal
    if not principal.may(role, GATEWAY):
        message = f"expected a token with the scope '{GATEWAY}' and the role {role.value}, got '{principal.name}'"
        raise BadRequestError(message, 403, "permission_denied")


async def _body(request: Request) -> bytes:
    try:
        return await read_body(request, _MOST_BYTES)
    except PayloadRefusedError:
        raise BadRequestError(f"expected at most {_MOST_BYTES} bytes, got more", 413) from None


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    """A client that goes away is asked nothing more for."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _send_text(send: Send, text: str, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": text.encode("utf-8", "replace"), "more_body": more})


def _line(chunk: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n"


def _headers(completion: Completion) -> dict[str, str]:
    headers = {"X-Orchestrator-Route": str(completion.route), "X-Orchestrator-Tries": str(len(completion.tries))}
    return headers | ({"X-Rehearsal": "true"} if completion.rehearsal else {})


def _usage(completion: Completion) -> dict[str, int]:
    usage = completion.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total,
    }


def _models(configuration: Configuration, provider: str) -> tuple[str, ...]:
    default = configuration.runtime.providers[provider].default_model
    listed = [model.name for model in configuration.models.get(provider, ())]
    return tuple(dict.fromkeys([*([default] if default else []), *listed]))


def _model_line(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9)

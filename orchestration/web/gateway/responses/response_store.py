"""Requests of the Responses API with the conversation that they continue, and the responses that are kept for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration import logs
from orchestration.clock import Clock
from orchestration.errors import NotFoundError
from orchestration.ids import new_id
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.providers.wire import THINKING_BLOCKS, Completion
from orchestration.storage.model_responses import ModelResponses, StoredResponse
from orchestration.web.gateway.dialect import ModelRequest, routing_headers
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.responses.answer import ResponsesDialect
from orchestration.web.gateway.responses.request import OPTIONAL, ResponsesRequest, parse_responses_request

T = TypeVar("T")

# Media and signatures are no texts: redacted, they could not be read any more.
_OPAQUE = frozenset({"url", "image_url", "file_data", "data", "signature", "encrypted_content"})
_KEPT_OF_ANSWER = ("content", "tool_calls", THINKING_BLOCKS)
_log = logs.get_logger("gateway")


class ResponseStore:
    """Reads requests, and keeps, shows and deletes responses; those of an owner are nobody else's."""

    def __init__(self, responses: ModelResponses, redact: Callable[[str], str], clock: Clock) -> None:
        self._responses = responses
        self._redact = redact
        self._clock = clock

    async def request(self, body: bytes, headers: Mapping[str, str], owner: str) -> ModelRequest:
        """The request in an HTTP body, with the conversation before it. Raises BadRequestError."""
        asked = parse_responses_request(body)
        system = [{"role": "system", "content": asked.instructions}] if asked.instructions else []
        before = await self._conversation(asked.previous_id, owner) if asked.previous_id is not None else []
        now = self._clock.now().timestamp()
        dialect = ResponsesDialect(
            new_id("resp", now), int(now), asked.shown, asked.store, asked.summarizes, asked.encrypts
        )

        async def keep(completion: Completion) -> None:
            await self._keep(asked, dialect, completion, owner)

        return ModelRequest(
            body={"messages": [*system, *before, *asked.messages], **asked.body},
            model=asked.model,
            stream=asked.stream,
            dialect=dialect,
            routing=routing_headers(headers),
            optional=OPTIONAL,
            on_answer=keep if asked.store else None,
        )

    async def show(self, identifier: str, owner: str) -> Mapping[str, Any]:
        """A response that was kept. Raises BadRequestError."""
        return (await self._stored(lambda: self._responses.get(identifier, owner))).body

    async def items(self, identifier: str, owner: str) -> Mapping[str, Any]:
        """The input of a response that was kept, the newest item first, as OpenAI lists it. Raises BadRequestError."""
        found = (await self._stored(lambda: self._responses.get(identifier, owner))).input
        data = [{"id": f"item_{number}", **item} for number, item in enumerate(found)][::-1]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
        return {"object": "list", "data": data, **ends, "has_more": False}

    async def delete(self, identifier: str, owner: str) -> Mapping[str, Any]:
        """Forget a response. Raises BadRequestError."""
        await self._stored(lambda: self._responses.delete(identifier, owner))
        return {"id": identifier, "object": "response", "deleted": True}

    async def _conversation(self, identifier: str, owner: str) -> list[Mapping[str, Any]]:
        try:
            return await self._stored(lambda: self._responses.conversation(identifier, owner))
        except BadRequestError as error:
            code = "previous_response_not_found" if error.status == 404 else error.code
            raise BadRequestError(str(error), 400 if error.status == 404 else error.status, code) from None

    async def _stored(self, ask: Callable[[], T]) -> T:
        """What the database says. Raises BadRequestError where it has no such response, or is away."""
        try:
            return await anyio.to_thread.run_sync(ask)
        except NotFoundError as error:
            raise BadRequestError(str(error), 404, "response_not_found") from None
        except SQLAlchemyError:
            message = "The database is not available, so earlier responses are not, either. Try again in a while."
            raise BadRequestError(message, 503, "database_unavailable", wait=5.0) from None

    async def _keep(
        self, asked: ResponsesRequest, dialect: ResponsesDialect, completion: Completion, owner: str
    ) -> None:
        """Keep a response before the client hears of it. If that fails, the response says that it is not kept: what
        was paid for is not thrown away for it."""
        said = {name: completion.message[name] for name in _KEPT_OF_ANSWER if completion.message.get(name)}
        body = dialect.answer(completion, dialect.created)
        values = [body, list(asked.items), [*asked.messages, {"role": "assistant", "content": "", **said}]]

        def save() -> None:
            shown, items, messages = (_redacted(sound_value(value), self._redact) for value in values)
            at = self._clock.wall()
            stored = StoredResponse(dialect.identifier, owner, asked.previous_id, shown, items, messages, at)
            self._responses.save(stored)

        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(save)
        except SQLAlchemyError as error:
            dialect.store = False
            _log.warning("gateway.response_not_kept", response=dialect.identifier, error=type(error).__name__)


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """A JSON value without secrets in its texts."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: one if name in _OPAQUE else _redacted(one, redact) for name, one in value.items()}
    return [_redacted(one, redact) for one in value] if isinstance(value, list) else value

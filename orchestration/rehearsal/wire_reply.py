"""A reply on the wire: its pieces, the pauses between them, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any


class StreamEnding(StrEnum):
    """What the client sees after the last piece."""

    CLEAN = "clean"
    SILENCE = "silence"
    RESET = "reset"


# https://platform.claude.com/docs/en/api/errors
_MESSAGES_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error",
}  # fmt: skip


class WireDialect(StrEnum):
    """The wire formats; they differ in their errors too."""

    OPENAI = "openai"
    OLLAMA = "ollama"
    MESSAGES = "messages"
    RESPONSES = "responses"


_DIALECTS = {"/v1/messages": WireDialect.MESSAGES, "/v1/responses": WireDialect.RESPONSES}
# Clients of these APIs want the type of an event as its name, too.
_NAMED_EVENTS = tuple(_DIALECTS.values())


def dialect_of(path: str) -> WireDialect:
    """The dialect in which a client of this path expects its errors."""
    # Ollama serves OpenAI's format on `/v1`, with OpenAI's errors: https://docs.ollama.com/api/openai-compatibility
    if path.startswith("/api/"):
        return WireDialect.OLLAMA
    return _DIALECTS.get(path, WireDialect.OPENAI)


@dataclass(frozen=True, slots=True)
class WireReply:
    """A reply, ready to be sent.

    `delay` comes before the status line, `pause` between two pieces, both in seconds. With no pieces at all only a
    clean ending sends a status line. `refuse` is for how many seconds the port is closed afterwards.
    """

    pieces: tuple[bytes, ...]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    dialect: WireDialect = WireDialect.OPENAI
    streaming: bool = False
    delay: float = 0.0
    pause: float = 0.0
    ending: StreamEnding = StreamEnding.CLEAN
    refuse: float = 0.0

    def cut(self, *, then: StreamEnding) -> WireReply:
        """Stop in the middle: the last half of the pieces is never sent."""
        # At least one piece: cut to nothing, it would be a reply that never began, which is a fault of its own.
        return replace(self, pieces=self.pieces[: max(1, len(self.pieces) // 2)], ending=then)

    def error(self, status: int, message: str, *, kind: str = "api_error", code: str | None = None) -> WireReply:
        """An error in the shape of the dialect instead of the answer."""
        if self.dialect is WireDialect.MESSAGES:
            kind = _MESSAGES_ERRORS.get(status, kind)
        return self.json_error(status, error_body(self.dialect, message, kind=kind, code=code))

    def json_error(self, status: int, body: object) -> WireReply:
        """An error with a body of its own shape instead of the answer."""
        return replace(whole(body, self.dialect), status=status)


def whole(body: object, dialect: WireDialect = WireDialect.OPENAI) -> WireReply:
    """A JSON reply in two pieces, so that a fault can break it off in the middle."""
    data = json.dumps(body).encode()
    middle = len(data) // 2
    return WireReply(pieces=(data[:middle], data[middle:]), dialect=dialect)


def stream_piece(body: object, dialect: WireDialect) -> bytes:
    """One part of a stream: a server-sent event, with the name of its type where clients want that, or Ollama's line
    of JSON."""
    data = json.dumps(body).encode()
    if dialect in _NAMED_EVENTS and isinstance(body, dict):
        return b"event: " + str(body.get("type", "error")).encode() + b"\ndata: " + data + b"\n\n"
    return data + b"\n" if dialect is WireDialect.OLLAMA else b"data: " + data + b"\n\n"


def error_body(dialect: WireDialect, message: str, *, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error in Ollama's form, which it uses on its own paths only, in Anthropic's, or in OpenAI's."""
    if dialect is WireDialect.OLLAMA:
        return {"error": message}
    if dialect is WireDialect.MESSAGES:
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}

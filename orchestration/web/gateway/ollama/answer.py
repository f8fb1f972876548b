"""Answers in the format of Ollama's API: one object, or one in each line of a stream. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from orchestration.errors import OrchestratorError
from orchestration.providers.wire import Completion
from orchestration.web.gateway.answer_parts import (
    AnswerPart,
    PartChange,
    PartKind,
    PartStep,
    PartStream,
    object_in,
    parts_of,
)
from orchestration.web.gateway.dialect import StreamWriter
from orchestration.web.gateway.errors import error_body, wait_headers
from orchestration.web.gateway.json_bytes import JsonResponse, json_bytes

# What the API is that is spoken here; clients ask for it.
VERSION = "0.33.0"
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class OllamaDialect:
    """`/api/chat`, or `/api/generate`, whose answers are a text and no message."""

    generates: bool

    def answer(self, completion: Completion, now: int) -> dict[str, Any]:
        parts = list(parts_of(completion.message))
        text, thoughts = _joined(parts, PartKind.TEXT), _joined(parts, PartKind.THOUGHT)
        calls = [_call(part) for part in parts if part.kind is PartKind.CALL]
        return {**self.line(str(completion.route), now, text, thoughts, calls), **_end(completion)}

    def line(
        self, model: str, now: int, text: str = "", thoughts: str = "", calls: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """One line of a stream, or the beginning of a whole answer."""
        created = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
        said = ({"thinking": thoughts} if thoughts else {}) | ({"tool_calls": calls} if calls else {})
        if self.generates:
            return {"model": model, "created_at": created, "response": text, **said, "done": False}
        message = {"role": "assistant", "content": text, **said}
        return {"model": model, "created_at": created, "message": message, "done": False}

    def writer(self, now: int) -> StreamWriter:
        return LineWriter(self, now)

    def error_response(self, error: OrchestratorError, now: float) -> Response:
        return ollama_error_response(error, now)


class LineWriter:
    """Writes the lines of one answer. Calls of tools are whole, as Ollama sends them."""

    media_type = "application/x-ndjson"

    def __init__(self, dialect: OllamaDialect, now: int) -> None:
        self._dialect = dialect
        self._now = now
        self._parts = PartStream()
        self._model = ""

    def begin(self, model: str) -> bytes:
        self._model = model
        return b""

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        return b"".join(line for change in self._parts.add(chunk) for line in self._lines(change))

    def end(self, completion: Completion) -> bytes:
        rest = b"".join(line for change in self._parts.close() for line in self._lines(change))
        return rest + _line({**self._dialect.line(self._model, self._now), **_end(completion)})

    def failed(self, error: OrchestratorError) -> bytes:
        return _line(_error(error)[1])

    def _lines(self, change: PartChange) -> Iterator[bytes]:
        match change.step, change.part.kind:
            case PartStep.MORE, PartKind.TEXT:
                yield _line(self._dialect.line(self._model, self._now, change.text))
            case PartStep.MORE, PartKind.THOUGHT:
                yield _line(self._dialect.line(self._model, self._now, thoughts=change.text))
            case PartStep.END, PartKind.CALL:
                yield _line(self._dialect.line(self._model, self._now, calls=[_call(change.part)]))
            case _:
                pass


def ollama_error_response(error: OrchestratorError, now: float) -> Response:
    """The response to an error; `now` is monotonic."""
    status, body = _error(error)
    return JsonResponse(body, status, wait_headers(error, now))


def ollama_refusal(_status: int, message: str) -> dict[str, Any]:
    """The body of an error: https://docs.ollama.com/api/errors."""
    return {"error": message}


def listed_models(models: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer to `/api/tags`. Where a model runs, and how large it is, is not known here."""
    unknown = {"modified_at": "1970-01-01T00:00:00Z", "size": 0, "digest": "", "details": {}}
    return {"models": [{"name": model["id"], "model": model["id"], **unknown} for model in models]}


def embeddings(completion: Completion) -> dict[str, Any]:
    """The answer to `/api/embed`."""
    vectors = [one.get("embedding") for one in completion.extra.get("data") or ()]
    counted = {"prompt_eval_count": completion.usage.prompt_tokens}
    return {"model": str(completion.route), "embeddings": vectors, **counted}


def _error(error: OrchestratorError) -> tuple[int, dict[str, Any]]:
    status, body = error_body(error)
    return status, ollama_refusal(status, body["error"]["message"])


def _joined(parts: list[AnswerPart], kind: PartKind) -> str:
    return "".join(part.text for part in parts if part.kind is kind)


def _call(part: AnswerPart) -> dict[str, Any]:
    identified = {"id": part.id} if part.id else {}
    return {**identified, "function": {"name": part.name, "arguments": object_in(part.text)}}


def _end(completion: Completion) -> dict[str, Any]:
    seconds = int(completion.seconds * _NANOSECONDS)
    return {
        "done": True,
        "done_reason": "length" if completion.finish_reason == "length" else "stop",
        "total_duration": seconds,
        "prompt_eval_count": completion.usage.prompt_tokens,
        "eval_count": completion.usage.completion_tokens,
        "eval_duration": seconds,
        **({"rehearsal": True} if completion.rehearsal else {}),
    }


def _line(body: Mapping[str, Any]) -> bytes:
    return json_bytes(body) + b"\n"

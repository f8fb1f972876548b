"""Everything that can go wrong with a provider, as functions that spoil a good reply. Pure.

The messages have the providers' shapes and our own wording. `docs/reference/rehearsal-provider.md` lists this table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime

from orchestration.errors import UsageError
from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest, RehearsalToolCall
from orchestration.rehearsal.labels import LABEL
from orchestration.rehearsal.wire_reply import StreamEnding, WireDialect, WireReply, error_body, stream_piece

# Spoils a reply on the wire; the number is the fault's own (mostly seconds), the time is that of the request.
Spoil = Callable[[WireReply, float, datetime], WireReply]
Distort = Callable[[RehearsalReply, RehearsalRequest], RehearsalReply]


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail. `number` says what the fault's own number means; a fault without a number leaves it empty."""

    name: str
    effect: str
    spoil: Spoil = lambda reply, _number, _now: reply
    distort: Distort = lambda reply, _request: reply
    number: str = ""
    default: float = 0.0


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault together with its number."""

    fault: Fault
    number: float

    def spoil(self, reply: WireReply, now: datetime) -> WireReply:
        return self.fault.spoil(reply, self.number, now)

    def distort(self, reply: RehearsalReply, request: RehearsalRequest) -> RehearsalReply:
        return self.fault.distort(reply, request)


def refuse(reply: WireReply, seconds: float, _now: datetime) -> WireReply:
    return replace(reply, pieces=(), ending=StreamEnding.SILENCE, refuse=seconds)


# The connection is accepted and nothing follows, so only a time limit of the client's own ends this.
def hang(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    return replace(reply, pieces=(), ending=StreamEnding.SILENCE)


# Apart from `slow_tokens`, because clients need a separate limit for the first token:
# a model that is being loaded is slow and well.
def slow(reply: WireReply, seconds: float, _now: datetime) -> WireReply:
    return replace(reply, delay=seconds)


def slow_tokens(reply: WireReply, seconds: float, _now: datetime) -> WireReply:
    return replace(reply, pause=seconds)


def stall(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    return reply.cut(then=StreamEnding.SILENCE)


# The hardest fault to notice: several client libraries take a stream that ends without a finish reason as complete.
def truncate(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    return reply.cut(then=StreamEnding.CLEAN)


def disconnect(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    return reply.cut(then=StreamEnding.RESET)


# Providers that fail in the middle of a stream have sent status 200 long before: the error is one more piece of it.
def error_line(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    message = f"{LABEL} the model runner has stopped"
    if not reply.streaming:
        return replace(reply.error(500, message), status=200)
    last = stream_piece(error_body(reply.dialect, message, kind="api_error"), reply.dialect)
    begun = reply.cut(then=StreamEnding.CLEAN)
    return replace(begun, pieces=(*begun.pieces, last))


def empty(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    return replace(reply, pieces=(), streaming=False)


def garbage(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    return replace(reply, pieces=(b"\x00\xff this is ", b"no JSON {{{"), streaming=False)


# In the middle of a piece, where text or arguments are. No byte 0xFF can be in UTF-8, so it never passes for an answer.
def flipped(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    middle = len(reply.pieces) // 2
    before, hit, after = reply.pieces[:middle], reply.pieces[middle : middle + 1], reply.pieces[middle + 1 :]
    return replace(reply, pieces=(*before, *map(_damaged, hit), *after))


def _damaged(piece: bytes) -> bytes:
    middle = len(piece) // 2
    return piece[:middle] + b"\xff\xff" + piece[middle + 2 :]


# What a proxy in front of a provider sends. Clients have to go by the status,
# since the body is in no provider's format.
def html(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    page = b"<!doctype html><title>502</title>", b"<h1>Bad gateway</h1><p>rehearsal proxy</p>"
    return replace(reply, pieces=page, status=502, content_type="text/html", streaming=False)


def error(status: int, message: str, *, kind: str = "api_error", code: str | None = None) -> Spoil:
    """An error answer in the dialect of the request."""
    return lambda reply, _number, _now: reply.error(status, f"{LABEL} {message}", kind=kind, code=code)


def content_filter(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    """A refusal by Azure's content filter.

    Azure names the category in `innererror`, and clients tell this 400 from a malformed request by it alone:
    https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter
    """
    message = f"{LABEL} the prompt was stopped by the content policy of this resource"
    body = error_body(WireDialect.OPENAI, message, kind="invalid_request_error", code="content_filter")
    categories = {"violence": {"filtered": True, "severity": "high"}}
    body["error"] |= {
        "param": "prompt",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": categories},
    }
    return reply.json_error(400, body)


def rate_limited(reply: WireReply, headers: dict[str, str]) -> WireReply:
    message = f"{LABEL} too many requests for now"
    limited = reply.error(429, message, kind="rate_limit_error", code="rate_limit_exceeded")
    return replace(limited, headers=headers)


# RFC 9110, section 10.2.3, allows whole seconds, or a date as below.
def retry_in_seconds(reply: WireReply, seconds: float, _now: datetime) -> WireReply:
    return rate_limited(reply, {"retry-after": f"{seconds:.0f}"})


def retry_at_date(reply: WireReply, seconds: float, now: datetime) -> WireReply:
    return rate_limited(reply, {"retry-after": format_datetime(now + timedelta(seconds=seconds), usegmt=True)})


# Azure sends `retry-after-ms` beside or instead of `retry-after`; clients that read only the latter wait too long.
def retry_in_milliseconds(reply: WireReply, seconds: float, _now: datetime) -> WireReply:
    return rate_limited(reply, {"retry-after-ms": f"{seconds * 1000:.0f}"})


def retry_unspecified(reply: WireReply, _number: float, _now: datetime) -> WireReply:
    return rate_limited(reply, {})


def wrong_shape(_reply: RehearsalReply, _request: RehearsalRequest) -> RehearsalReply:
    return RehearsalReply(f'{{"unexpected": "{LABEL} this matches no schema"}}')


def broken_call(reply: RehearsalReply, request: RehearsalRequest) -> RehearsalReply:
    """Break the tool call of the reply; a reply without one gets a call of a tool that was offered."""
    fallback = RehearsalToolCall(min(request.tools, default="list_files"), {"path": "."})
    return replace(reply, text="", calls=reply.calls or (fallback,), broken_calls=True)


_SECONDS_TO_WAIT = "seconds that the client is asked to wait"
_BAD_REQUEST = "invalid_request_error"

_ALL = (
    Fault("refuse", "The port is closed, then opened again.", refuse, number="seconds closed", default=1),
    Fault("hang", "The request is accepted and never answered.", hang),
    Fault("slow", "The answer starts late.", slow, number="seconds before the answer", default=2),
    Fault("slow_tokens", "The answer comes in slowly.", slow_tokens, number="seconds between two pieces", default=0.5),
    Fault("stall", "The answer stops in the middle, the connection stays open.", stall),
    Fault("truncate", "The answer ends cleanly in the middle, without a finish reason.", truncate),
    Fault("disconnect", "The connection is reset in the middle of the answer.", disconnect),
    Fault("error_line", "An error comes in the middle of an answer with status 200.", error_line),
    Fault("empty", "Status 200 with an empty body.", empty),
    Fault("garbage", "Status 200 with a body that is not JSON.", garbage),
    Fault("flipped", "Two bytes in the middle of the answer are overwritten.", flipped),
    Fault("html", "Status 502 with a proxy's HTML page.", html),
    Fault("400", "The request is invalid.", error(400, "a field has a wrong value", kind=_BAD_REQUEST)),
    Fault("400_content_filter", "Azure's content filter refuses the prompt.", content_filter),
    Fault("401", "The key is wrong.", error(401, "the key is not valid", kind=_BAD_REQUEST, code="invalid_api_key")),
    Fault("403", "The key has no access.", error(403, "access denied by a network rule", code="forbidden")),
    Fault(
        "404",
        "The model does not exist, in OpenAI's form.",
        error(404, "the model does not exist", kind=_BAD_REQUEST, code="model_not_found"),
    ),
    Fault(
        "404_ollama",
        "The model is not pulled, in Ollama's form.",
        error(404, "model not found, try pulling it first", kind="not_found_error"),
    ),
    Fault(
        "404_azure",
        "The deployment does not exist, in Azure's form.",
        # Azure calls a model by the name of its deployment, so this is its form of a missing model.
        error(404, "there is no deployment of this name", code="DeploymentNotFound"),
    ),
    Fault("410", "The service is retired, as GitHub Models is.", error(410, "this service was retired", code="gone")),
    Fault("413", "The request is too large.", error(413, "the request is too large", kind=_BAD_REQUEST)),
    Fault("429", "Rate limited; `retry-after` in seconds.", retry_in_seconds, number=_SECONDS_TO_WAIT, default=2),
    Fault("429_date", "Rate limited; `retry-after` as a date.", retry_at_date, number=_SECONDS_TO_WAIT, default=2),
    Fault("429_ms", "Rate limited; `retry-after-ms`.", retry_in_milliseconds, number=_SECONDS_TO_WAIT, default=2),
    Fault("429_bare", "Rate limited, without a header that says for how long.", retry_unspecified),
    # The status of a limit that passes by itself; only the code tells the client that waiting is useless:
    # https://platform.openai.com/docs/guides/error-codes
    Fault(
        "429_quota",
        "The quota is used up.",
        error(429, "the quota is used up", kind="insufficient_quota", code="insufficient_quota"),
    ),
    Fault("500", "The server fails.", error(500, "internal error", kind="server_error")),
    Fault("502", "A gateway fails.", error(502, "bad gateway", kind="server_error")),
    # In Ollama's words, and without a `retry-after`, which it never sends.
    Fault(
        "503", "Ollama's queue is full.", error(503, "server busy, please try again. maximum pending requests exceeded")
    ),
    Fault("529", "The service is overloaded.", error(529, "overloaded", kind="overloaded_error")),
    Fault("bad_json_answer", "A well-formed answer that does not match the schema.", distort=wrong_shape),
    Fault("bad_tool_call", "A tool call whose arguments are not JSON.", distort=broken_call),
)
FAULTS = {fault.name: fault for fault in _ALL}


def find_fault(name: str, number: float | None = None) -> Injection:
    """The fault of that name, with its default number unless one is given. Raises UsageError for an unknown fault."""
    fault = FAULTS.get(name)
    if fault is None:
        raise UsageError(f"expected one of the faults {', '.join(FAULTS)}, got {name!r}")
    # Written so that NaN is refused as well: every comparison with it is false.
    if number is not None and not 0 <= number < math.inf:
        raise UsageError(f"expected a number of zero or more for the fault {name}, got {number}")
    return Injection(fault, fault.default if number is None else number)


def parse_fault(text: str) -> Injection:
    """Parse `503`, or `429:7` with the fault's own number. Raises UsageError for anything else."""
    name, colon, number = text.partition(":")
    try:
        return find_fault(name, float(number) if colon else None)
    except ValueError:
        raise UsageError(f"expected a number after the colon, as in 429:7, got {text!r}") from None

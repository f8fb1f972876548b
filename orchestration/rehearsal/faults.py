"""Everything that can go wrong with a provider, as functions that spoil a good answer. Pure.

The messages are in the providers' shapes, in words of our own. `docs/reference/rehearsal-provider.md` lists this table.
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

# Spoil a delivery; the number is the fault's own (mostly seconds), the time that of the request.
Spoil = Callable[[WireReply, float, datetime], WireReply]
Distort = Callable[[RehearsalReply, RehearsalRequest], RehearsalReply]


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to fail. `number` says what the fault's own number means; it has none where that is empty."""

    name: str
    effect: str
    spoil: Spoil = lambda delivery, _number, _now: delivery
    distort: Distort = lambda reply, _conversation: reply
    number: str = ""
    default: float = 0.0


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault together with its number."""

    fault: Fault
    number: float

    def spoil(self, delivery: WireReply, now: datetime) -> WireReply:
        return self.fault.spoil(delivery, self.number, now)

    def distort(self, reply: RehearsalReply, conversation: RehearsalRequest) -> RehearsalReply:
        return self.fault.distort(reply, conversation)


def refuse(delivery: WireReply, seconds: float, _now: datetime) -> WireReply:
    return replace(delivery, pieces=(), ending=StreamEnding.SILENCE, refuse=seconds)


def hang(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    return replace(delivery, pieces=(), ending=StreamEnding.SILENCE)


def slow(delivery: WireReply, seconds: float, _now: datetime) -> WireReply:
    return replace(delivery, delay=seconds)


def slow_tokens(delivery: WireReply, seconds: float, _now: datetime) -> WireReply:
    return replace(delivery, pause=seconds)


def stall(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    return delivery.cut(then=StreamEnding.SILENCE)


def truncate(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    return delivery.cut(then=StreamEnding.CLEAN)


def disconnect(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    return delivery.cut(then=StreamEnding.RESET)


def error_line(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    message = f"{LABEL} the model runner has stopped"
    if not delivery.streaming:
        return replace(delivery.error(500, message), status=200)
    last = stream_piece(error_body(delivery.dialect, message, kind="api_error"), delivery.dialect)
    begun = delivery.cut(then=StreamEnding.CLEAN)
    return replace(begun, pieces=(*begun.pieces, last))


def empty(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    return replace(delivery, pieces=(), streaming=False)


def garbage(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    return replace(delivery, pieces=(b"\x00\xff this is ", b"no JSON {{{"), streaming=False)


def html(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    page = b"<!doctype html><title>502</title>", b"<h1>Bad gateway</h1><p>rehearsal proxy</p>"
    return replace(delivery, pieces=page, status=502, content_type="text/html", streaming=False)


def error(status: int, message: str, *, kind: str = "api_error", code: str | None = None) -> Spoil:
    """An error answer in the dialect of the request."""
    return lambda delivery, _number, _now: delivery.error(status, f"{LABEL} {message}", kind=kind, code=code)


def content_filter(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    """Azure names the cause in `innererror`."""
    message = f"{LABEL} the prompt was stopped by the content policy of this resource"
    body = error_body(WireDialect.OPENAI, message, kind="invalid_request_error", code="content_filter")
    verdict = {"violence": {"filtered": True, "severity": "high"}}
    body["error"] |= {
        "param": "prompt",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": verdict},
    }
    return delivery.json_error(400, body)


def rate_limited(delivery: WireReply, headers: dict[str, str]) -> WireReply:
    message = f"{LABEL} too many requests for now"
    limited = delivery.error(429, message, kind="rate_limit_error", code="rate_limit_exceeded")
    return replace(limited, headers=headers)


def retry_in_seconds(delivery: WireReply, seconds: float, _now: datetime) -> WireReply:
    return rate_limited(delivery, {"retry-after": f"{seconds:.0f}"})


def retry_at_date(delivery: WireReply, seconds: float, now: datetime) -> WireReply:
    return rate_limited(delivery, {"retry-after": format_datetime(now + timedelta(seconds=seconds), usegmt=True)})


def retry_in_milliseconds(delivery: WireReply, seconds: float, _now: datetime) -> WireReply:
    return rate_limited(delivery, {"retry-after-ms": f"{seconds * 1000:.0f}"})


def retry_unsaid(delivery: WireReply, _number: float, _now: datetime) -> WireReply:
    return rate_limited(delivery, {})


def wrong_shape(_reply: RehearsalReply, _conversation: RehearsalRequest) -> RehearsalReply:
    return RehearsalReply(f'{{"unexpected": "{LABEL} this matches no schema"}}')


def broken_call(reply: RehearsalReply, conversation: RehearsalRequest) -> RehearsalReply:
    """Break the call that was to come; an answer without one gets a call of a tool on offer."""
    fallback = RehearsalToolCall(min(conversation.tools, default="list_files"), {"path": "."})
    return replace(reply, text="", calls=reply.calls or (fallback,), broken_calls=True)


_SECONDS_TO_WAIT = "seconds to wait, as told to the client"
_BAD_REQUEST = "invalid_request_error"

_ALL = (
    Fault("refuse", "The port is closed, then opened again.", refuse, number="seconds closed", default=1),
    Fault("hang", "The request is accepted and never answered.", hang),
    Fault("slow", "The answer starts late.", slow, number="seconds before the answer", default=2),
    Fault("slow_tokens", "The answer trickles.", slow_tokens, number="seconds between two pieces", default=0.5),
    Fault("stall", "The answer stops in the middle, the connection stays open.", stall),
    Fault("truncate", "The answer ends cleanly in the middle, without a finish reason.", truncate),
    Fault("disconnect", "The connection is reset in the middle of the answer.", disconnect),
    Fault("error_line", "An error comes in the middle of an answer with status 200.", error_line),
    Fault("empty", "Status 200 with an empty body.", empty),
    Fault("garbage", "Status 200 with a body that is no JSON.", garbage),
    Fault("html", "Status 502 with a proxy's HTML page.", html),
    Fault("400", "The request is at fault.", error(400, "a field has a wrong value", kind=_BAD_REQUEST)),
    Fault("400_content_filter", "Azure's content filter refuses the prompt.", content_filter),
    Fault("401", "The key is wrong.", error(401, "the key is not valid", kind=_BAD_REQUEST, code="invalid_api_key")),
    Fault("403", "The key may not do this.", error(403, "access denied by a network rule", code="forbidden")),
    Fault(
        "404",
        "The model does not exist, as OpenAI says it.",
        error(404, "the model does not exist", kind=_BAD_REQUEST, code="model_not_found"),
    ),
    Fault(
        "404_ollama",
        "The model is not pulled, as Ollama says it.",
        error(404, "model not found, try pulling it first", kind="not_found_error"),
    ),
    Fault(
        "404_azure",
        "The deployment does not exist, as Azure says it.",
        error(404, "there is no deployment of this name", code="DeploymentNotFound"),
    ),
    Fault("410", "The service is retired, as GitHub Models is.", error(410, "this service was retired", code="gone")),
    Fault("413", "The request is too large.", error(413, "the request is too large", kind=_BAD_REQUEST)),
    Fault("429", "Rate limited; `retry-after` in seconds.", retry_in_seconds, number=_SECONDS_TO_WAIT, default=2),
    Fault("429_date", "Rate limited; `retry-after` as a date.", retry_at_date, number=_SECONDS_TO_WAIT, default=2),
    Fault("429_ms", "Rate limited; `retry-after-ms`.", retry_in_milliseconds, number=_SECONDS_TO_WAIT, default=2),
    Fault("429_bare", "Rate limited, without a word on how long.", retry_unsaid),
    Fault(
        "429_quota",
        "The quota is used up.",
        error(429, "the quota is used up", kind="insufficient_quota", code="insufficient_quota"),
    ),
    Fault("500", "The server fails.", error(500, "internal error", kind="server_error")),
    Fault("502", "A gateway fails.", error(502, "bad gateway", kind="server_error")),
    Fault(
        "503", "Ollama's queue is full.", error(503, "server busy, please try again. maximum pending requests exceeded")
    ),
    Fault("529", "The service is overloaded.", error(529, "overloaded", kind="overloaded_error")),
    Fault("bad_json_answer", "A well-formed answer that does not match the schema.", distort=wrong_shape),
    Fault("bad_tool_call", "A tool call whose arguments are no JSON.", distort=broken_call),
)
FAULTS = {fault.name: fault for fault in _ALL}


def find_fault(name: str, number: float | None = None) -> Injection:
    """The fault of that name, with its usual number unless told. Raises UsageError when that cannot be."""
    fault = FAULTS.get(name)
    if fault is None:
        raise UsageError(f"expected one of the faults {', '.join(FAULTS)}, got {name!r}")
    if number is not None and not 0 <= number < math.inf:
        raise UsageError(f"expected a number of zero or more for the fault {name}, got {number}")
    return Injection(fault, fault.default if number is None else number)


def parse_fault(text: str) -> Injection:
    """Read `503`, or with the fault's own number `429:7`. Raises UsageError when it is neither."""
    name, colon, number = text.partition(":")
    try:
        return find_fault(name, float(number) if colon else None)
    except ValueError:
        raise UsageError(f"expected a number after the colon, as in 429:7, got {text!r}") from None

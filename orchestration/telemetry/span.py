"""A span, and where it belongs. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from orchestration.telemetry.propagation import TRACEPARENT

# https://www.w3.org/TR/trace-context/#traceparent-header: version, trace, parent, flags.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

AttributeValue = str | bool | int | float | Sequence[str]


class SpanKind(StrEnum):
    """The role of a span, by OpenTelemetry's names."""

    INTERNAL = "INTERNAL"
    CLIENT = "CLIENT"


@dataclass(frozen=True, slots=True)
class SpanContext:
    """The identity of a span: its trace, and itself within that."""

    trace_id: int
    span_id: int

    @property
    def traceparent(self) -> str:
        """As it is passed on to others."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-01"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """What a caller has passed; None for nothing, or what is not valid."""
        found = _TRACEPARENT.fullmatch((text or "").strip())
        # A later version may have more at its end; this one may not, and `ff` never is a version.
        if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
            return None
        trace_id, span_id = int(found[2], 16), int(found[3], 16)
        return cls(trace_id, span_id) if trace_id and span_id else None

    @classmethod
    def derived(cls, trace: str, *own: str) -> Self:
        """The identity that follows from names: the same ones give the same."""
        return cls(_number(16, "trace", trace), _number(8, "span", trace, *own))

    def child(self, *own: str) -> SpanContext:
        """Another span of this trace, by names."""
        return SpanContext(self.trace_id, _number(8, "span", f"{self.trace_id:032x}", *own))


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span."""

    name: str
    at: datetime
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of work that has ended. `error` says why it failed, if it did; `links` are other traces it is about."""

    name: str
    kind: SpanKind
    context: SpanContext
    parent: SpanContext | None
    started_at: datetime
    ended_at: datetime
    attributes: Mapping[str, AttributeValue]
    error: str = ""
    links: Sequence[SpanContext] = ()
    events: Sequence[SpanEvent] = ()


def caller_trace(traceparent: str | None) -> dict[str, str]:
    """The option of a run that says in which trace its caller is; none for no caller, or no valid trace."""
    caller = SpanContext.parse(traceparent)
    return {} if caller is None else {TRACEPARENT: caller.traceparent}


def run_context(run_id: str, traceparent: str | None) -> tuple[SpanContext, SpanContext | None]:
    """The span of a run and its parent: in the trace of its caller, if that has passed one."""
    caller = SpanContext.parse(traceparent)
    return (SpanContext.derived(run_id), None) if caller is None else (caller.child(run_id), caller)


def _number(size: int, *names: str) -> int:
    data = hashlib.sha256("\0".join(names).encode()).digest()[:size]
    return int.from_bytes(data, "big") or 1  # zero is not valid

"""How much a provider was used, and how often it refused for its limits: from the events of model calls. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.events import Event
from orchestration.events.providers import ModelCallFailed, ModelCallFinished
from orchestration.providers.failures import FailureKind

# How far back a request for quota measures: long enough for the rhythm of a week.
WINDOW = timedelta(days=7)
_AT_LIMIT = frozenset({FailureKind.QUOTA.value, FailureKind.RATE_LIMITED.value})
_SERVED = "ok"


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """One request to a provider: how it ended, and the tokens of its answer. A refused one has none."""

    at: datetime
    model: str
    outcome: str
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class PeakMinute:
    """The busiest minute of a period."""

    at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class MeasuredUsage:
    """The use of one model of a provider between two moments, in UTC.

    Averages are per minute in which there was any request. `at_limit_since` is when the refusals began that no served
    request has ended since.
    """

    model: str
    since: datetime
    until: datetime
    requests: int
    tokens: int
    active_minutes: int
    peak_requests: PeakMinute
    peak_tokens: PeakMinute
    refused: int
    hours_at_limit: int
    at_limit_since: datetime | None

    @property
    def average_requests(self) -> float:
        return self.requests / self.active_minutes

    @property
    def average_tokens(self) -> float:
        return self.tokens / self.active_minutes


def requests_to(provider: str, events: Iterable[Event]) -> Iterator[ProviderRequest]:
    """The requests that model calls have sent to a provider, in the order of the calls."""
    for event in events:
        call = event.payload
        if not isinstance(call, ModelCallFinished | ModelCallFailed):
            continue
        for attempt in call.tries:
            name, model = attempt.names
            if name == provider:
                answered = isinstance(call, ModelCallFinished) and attempt.outcome == _SERVED
                tokens = call.tokens if answered and isinstance(call, ModelCallFinished) else 0
                yield ProviderRequest(event.at, model, attempt.outcome, tokens)


def measure(requests: Iterable[ProviderRequest]) -> tuple[MeasuredUsage, ...]:
    """The use of each model, the most used first."""
    by_model: dict[str, list[ProviderRequest]] = {}
    for request in requests:
        by_model.setdefault(request.model, []).append(request)
    measured = [_of_model(model, sorted(found, key=lambda one: one.at)) for model, found in by_model.items()]
    return tuple(sorted(measured, key=lambda one: (-one.requests, one.model)))


def _of_model(model: str, requests: list[ProviderRequest]) -> MeasuredUsage:
    sent, tokens = Counter[datetime](), Counter[datetime]()
    for one in requests:
        minute = one.at.replace(second=0, microsecond=0)
        sent[minute] += 1
        tokens[minute] += one.tokens
    refused = [one for one in requests if one.outcome in _AT_LIMIT]
    return MeasuredUsage(
        model=model,
        since=requests[0].at,
        until=requests[-1].at,
        requests=len(requests),
        tokens=sum(one.tokens for one in requests),
        active_minutes=len(sent),
        peak_requests=_peak(sent),
        peak_tokens=_peak(tokens),
        refused=len(refused),
        hours_at_limit=len({one.at.replace(minute=0, second=0, microsecond=0) for one in refused}),
        at_limit_since=_since(requests),
    )


def _peak(counts: Counter[datetime]) -> PeakMinute:
    # The first of equal ones, so that the same records give the same text.
    at = min(counts, key=lambda minute: (-counts[minute], minute))
    return PeakMinute(at, counts[at])


def _since(requests: list[ProviderRequest]) -> datetime | None:
    began = None
    for one in requests:
        if one.outcome == _SERVED:
            began = None
        elif began is None and one.outcome in _AT_LIMIT:
            began = one.at
    return began

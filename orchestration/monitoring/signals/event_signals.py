"""From events to signals. Pure: what an event tells needs no looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from orchestration.alerts.signal import Signal
from orchestration.events import Event

_Translator = Callable[[Event], Iterator[Signal]]


def signals_of(event: Event) -> tuple[Signal, ...]:
    """What an event tells; nothing for most. Never fails: data that is missing is taken as empty."""
    translate = _TRANSLATORS.get(event.kind)
    return () if translate is None else tuple(translate(event))


def tries_of(event: Event) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The tries of a model call: provider, model, and what is known of the try."""
    for one in _list(event.data.get("tries")):
        if isinstance(one, Mapping):
            provider, _, model = str(one.get("route", "")).partition("/")
            yield provider, model, one


def _agent_finished(event: Event) -> Iterator[Signal]:
    failing = event.data.get("failing")
    failing = failing if isinstance(failing, Mapping) else {}
    outcome = "failed" if failing else "succeeded"
    labels = {"agent": event.agent or "", "run": event.run_id or "", "outcome": outcome, "kind": _text(failing, "kind")}
    evidence = {"message": _text(failing, "message"), "agent_run_id": _text(event.data, "agent_run_id")}
    yield _signal(event, "agent_finished", labels, evidence if failing else {})


def _run_finished(event: Event) -> Iterator[Signal]:
    outcome = "cancelled" if event.kind == "run.cancelled" else _text(event.data, "status")
    labels = {"run": event.run_id or "", "outcome": outcome}
    yield _signal(event, "run_finished", labels, {"reason": _text(event.data, "reason")})


def _run_waiting(event: Event) -> Iterator[Signal]:
    reason = _text(event.data, "reason") or _text(event.data, "question")
    evidence = {"reason": reason, "hints": _list(event.data.get("hints"))}
    yield _signal(event, "run_waiting", {"run": event.run_id or ""}, evidence)


def _run_continued(event: Event) -> Iterator[Signal]:
    yield _signal(event, "run_waiting", {"run": event.run_id or ""}, value=0.0)


def _model_call(event: Event) -> Iterator[Signal]:
    whole = _number(event.data.get("seconds"))
    for provider, model, one in tries_of(event):
        labels = {"provider": provider, "model": model, "outcome": _text(one, "outcome")}
        evidence = {"status": one.get("status"), "detail": _text(one, "detail"), "run": event.run_id or ""}
        yield _signal(event, "model_call", labels, evidence, _number(one.get("seconds"), whole))


def _tool_refused(event: Event) -> Iterator[Signal]:
    labels = {"agent": event.agent or "", "run": event.run_id or "", "about": _text(event.data, "about")}
    yield _signal(event, "tool_refused", labels, _texts(event, "what", "reason"))


def _secret_redacted(event: Event) -> Iterator[Signal]:
    labels = {"kind": _text(event.data, "found"), "place": _text(event.data, "place")}
    labels |= {"run": event.run_id or "", "agent": event.agent or ""}
    yield _signal(event, "secret_found", labels, {"redacted": True}, _number(event.data.get("count"), 1.0))


def _sign_in_failed(event: Event) -> Iterator[Signal]:
    yield _signal(event, "sign_in_failed", _texts(event, "source"), _texts(event, "user", "reason"))


def _backup_made(event: Event) -> Iterator[Signal]:
    yield _signal(event, "backup_age_seconds", {}, value=0.0)


def _backup_failed(event: Event) -> Iterator[Signal]:
    yield _signal(event, "backup_failed", {}, _texts(event, "message"))


def _schedule_started(event: Event) -> Iterator[Signal]:
    """A run that a schedule started names the schedule and the time at which it was due."""
    schedule = _text(event.data, "schedule")
    if not schedule:
        return
    try:
        late = (event.at - datetime.fromisoformat(_text(event.data, "due_at"))).total_seconds()
    except (ValueError, TypeError):  # no time, or one without a zone
        return
    yield _signal(event, "schedule_late_seconds", {"schedule": schedule}, value=max(0.0, late))


def _channel(event: Event) -> Iterator[Signal]:
    up = 1.0 if event.kind == "notification.sent" else 0.0
    yield _signal(event, "channel_up", _texts(event, "channel"), {"detail": _text(event.data, "message")}, up)


def _worker(event: Event) -> Iterator[Signal]:
    up = 1.0 if event.kind == "worker.started" else 0.0
    code = _text(event.data, "exit_code")
    reason = _text(event.data, "reason") or (f"exit code {code}" if code else "")
    yield _signal(event, "worker_up", _texts(event, "worker"), {"reason": reason}, up)


def _worker_replaced(event: Event) -> Iterator[Signal]:
    yield _signal(event, "worker_replaced", _texts(event, "worker"), _texts(event, "reason"))


def _signal(
    event: Event,
    name: str,
    labels: Mapping[str, str],
    evidence: Mapping[str, object] | None = None,
    value: float = 1.0,
) -> Signal:
    return Signal(name, event.at, value, labels, evidence or {}, drill=event.data.get("drill") is True)


def _texts(event: Event, *names: str) -> dict[str, str]:
    return {name: _text(event.data, name) for name in names}


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value)


def _number(value: object, otherwise: float = 0.0) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


# `route.opened` and `route.closed` are not here: whether a provider is up is known from all of its routes together.
_TRANSLATORS: Mapping[str, _Translator] = MappingProxyType(
    {
        "agent.finished": _agent_finished,
        "run.finished": _run_finished,
        "run.cancelled": _run_finished,
        "run.waiting": _run_waiting,
        "approval.requested": _run_waiting,
        "run.continued": _run_continued,
        "approval.decided": _run_continued,
        "model_call.finished": _model_call,
        "model_call.failed": _model_call,
        "tool_call.refused": _tool_refused,
        "secret.redacted": _secret_redacted,
        "sign_in.failed": _sign_in_failed,
        "backup.made": _backup_made,
        "backup.failed": _backup_failed,
        "run.created": _schedule_started,
        "notification.sent": _channel,
        "notification.retried": _channel,
        "notification.failed": _channel,
        "worker.started": _worker,
        "worker.lost": _worker,
        "worker.killed": _worker,
        "worker.replaced": _worker_replaced,
    }
)
KINDS = frozenset(_TRANSLATORS)

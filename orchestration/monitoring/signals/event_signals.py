"""From events to signals. Pure: an event says by itself what there is to know, so nothing has to be checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import singledispatch

from orchestration.alerts.correlation import failure_subject
from orchestration.alerts.signal import Signal
from orchestration.domain.failure_class import FailureClass, failure_class, failure_label
from orchestration.domain.refusal import RefusalAssessment
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentRetried, FailureCause, ToolCallRefused
from orchestration.events.catalogue import CATALOGUE
from orchestration.events.maintenance import BackupCreated, BackupFailed
from orchestration.events.notifications import NotificationEvent, NotificationSent
from orchestration.events.payload import EventPayload
from orchestration.events.providers import ModelCallFailed, ModelCallFinished
from orchestration.events.runs import (
    ApprovalDecided,
    ApprovalRequested,
    RunCancelled,
    RunContinued,
    RunCreated,
    RunFinished,
    RunWaiting,
)
from orchestration.events.security import RevokedTokenUsed, SecretRedacted, SignInFailed
from orchestration.events.tools import ToolHeld, ToolServerFailed, ToolServerRecovered
from orchestration.events.workers import WorkerKilled, WorkerLost, WorkerReplaced, WorkerStarted
from orchestration.security.secret_search import is_suspected


def signals_of(event: Event) -> tuple[Signal, ...]:
    """The signals that follow from an event; none for most. Never fails: missing data counts as empty."""
    return tuple(_signals(event.payload, event))


def outcome_of(failing: FailureCause | None) -> str:
    """How an agent's work ended, in one word: a limit that was reached as configured is no failure."""
    if failing is None:
        return "succeeded"
    return "failed" if failure_class(failing.kind).is_malfunction else "limit_reached"


@singledispatch
def _signals(_payload: EventPayload, _event: Event) -> Iterator[Signal]:
    # `route.opened` and `route.closed` end here, too: whether a provider is up depends on all of its routes, which
    # only the collector of providers knows.
    return iter(())


@_signals.register
def _(payload: AgentFinished, event: Event) -> Iterator[Signal]:
    failing, agent = payload.failing, event.agent or ""
    labels = {"agent": agent, "run": event.run_id or "", "outcome": outcome_of(failing), "kind": "", "failure": ""}
    if failing is None:
        yield _signal(event, "agent_finished", labels)
        yield _signal(event, "agent_succeeded", {"agent": agent})
        return
    failure = failure_label(failing.kind, failing.error)
    labels |= {"kind": failing.kind, "failure": failure}
    evidence = {
        "message": failing.message,
        "agent_run_id": payload.agent_run_id,
        "cause": failure_subject(agent, failure, payload.config_version),
    }
    yield _signal(event, "agent_finished", labels, evidence)


@_signals.register
def _(payload: AgentRetried, event: Event) -> Iterator[Signal]:
    labels = {"agent": event.agent or "", "run": event.run_id or "", "reason": payload.reason}
    yield _signal(event, "agent_retried", labels)


@_signals.register
def _(payload: RunFinished | RunCancelled, event: Event) -> Iterator[Signal]:
    finished = payload if isinstance(payload, RunFinished) else None
    labels = {"run": event.run_id or "", "outcome": finished.status if finished else "cancelled"}
    nobody = {"agent": "", "failure": ""}
    if finished is None or finished.status != RunStatus.FAILED:
        yield _signal(event, "run_finished", labels | nobody, {"reason": payload.reason})
        if finished and finished.by_agent:
            yield _signal(event, "run_judged", {**labels, "agent": finished.by_agent}, {"reason": payload.reason})
        return
    failure = finished.failure or FailureClass.INTERNAL_ERROR.value
    labels |= {"agent": finished.by_agent or "", "failure": failure}
    cause = failure_subject(labels["agent"], failure, finished.config_version)
    yield _signal(event, "run_finished", labels, {"reason": payload.reason, "cause": cause})


@_signals.register
def _(payload: RunWaiting, event: Event) -> Iterator[Signal]:
    evidence = {"reason": payload.reason, "hints": list(payload.hints)}
    yield _signal(event, "run_waiting", {"run": event.run_id or ""}, evidence)


@_signals.register
def _(payload: ApprovalRequested, event: Event) -> Iterator[Signal]:
    yield _signal(event, "run_waiting", {"run": event.run_id or ""}, {"reason": payload.question, "hints": []})


@_signals.register
def _(_: RunContinued | ApprovalDecided, event: Event) -> Iterator[Signal]:
    yield _signal(event, "run_waiting", {"run": event.run_id or ""}, value=0.0)


@_signals.register
def _(payload: ModelCallFinished | ModelCallFailed, event: Event) -> Iterator[Signal]:
    for attempt in payload.tries:
        provider, model = attempt.names
        labels = {"provider": provider, "model": model, "outcome": attempt.outcome}
        evidence = {"status": attempt.status, "detail": attempt.detail, "run": event.run_id or ""}
        yield _signal(event, "model_call", labels, evidence, attempt.seconds or payload.seconds)


@_signals.register
def _(payload: ToolCallRefused, event: Event) -> Iterator[Signal]:
    # What an earlier release recorded was not judged, and is no evidence.
    assessment = payload.assessment or RefusalAssessment.SLIP.value
    labels = {"agent": event.agent or "", "run": event.run_id or "", "about": payload.about, "assessment": assessment}
    evidence = {"what": payload.what, "reason": payload.reason, "because": payload.because or ""}
    yield _signal(event, "tool_refused", labels, evidence)


@_signals.register
def _(payload: SecretRedacted, event: Event) -> Iterator[Signal]:
    labels = {"kind": payload.found, "place": payload.place, "run": event.run_id or "", "agent": event.agent or ""}
    evidence = {"redacted": True, "suspected": is_suspected(payload.found)}
    yield _signal(event, "secret_found", labels, evidence, float(payload.count))


@_signals.register
def _(payload: SignInFailed, event: Event) -> Iterator[Signal]:
    evidence = {"user": payload.user, "reason": payload.reason}
    yield _signal(event, "sign_in_failed", {"source": payload.source}, evidence)


@_signals.register
def _(payload: RevokedTokenUsed, event: Event) -> Iterator[Signal]:
    yield _signal(event, "token_revoked", {"source": payload.source}, {"token": payload.name})


@_signals.register
def _(_: BackupCreated, event: Event) -> Iterator[Signal]:
    yield _signal(event, "backup_age_seconds", {}, value=0.0)
    yield _signal(event, "backup_made", {})


@_signals.register
def _(payload: BackupFailed, event: Event) -> Iterator[Signal]:
    yield _signal(event, "backup_failed", {}, {"message": payload.message})


@_signals.register
def _(payload: RunCreated, event: Event) -> Iterator[Signal]:
    """A run that a schedule started names the schedule and the time at which it was due."""
    if not payload.schedule or not payload.due_at:
        return
    try:
        late = (event.at - datetime.fromisoformat(payload.due_at)).total_seconds()
    except (ValueError, TypeError):  # no time, or one without a zone
        return
    yield _signal(event, "schedule_late_seconds", {"schedule": payload.schedule}, value=max(0.0, late))


@_signals.register
def _(payload: NotificationEvent, event: Event) -> Iterator[Signal]:
    up = 1.0 if isinstance(payload, NotificationSent) else 0.0
    yield _signal(event, "channel_up", {"channel": payload.channel}, {"detail": payload.message or ""}, up)


@_signals.register
def _(payload: WorkerStarted | WorkerKilled | WorkerLost, event: Event) -> Iterator[Signal]:
    up, reason = 0.0, ""
    match payload:
        case WorkerStarted():
            up = 1.0
        case WorkerKilled():
            reason = payload.reason
        case WorkerLost(exit_code=int(code)):
            reason = f"exit code {code}"
    yield _signal(event, "worker_up", {"worker": str(payload.worker)}, {"reason": reason}, up)


@_signals.register
def _(payload: ToolServerFailed | ToolServerRecovered, event: Event) -> Iterator[Signal]:
    up, reason = (0.0, payload.reason) if isinstance(payload, ToolServerFailed) else (1.0, "")
    yield _signal(event, "tool_server_up", {"server": payload.server}, {"reason": reason}, up)


@_signals.register
def _(payload: ToolHeld, event: Event) -> Iterator[Signal]:
    yield _signal(event, "tool_held", {"server": payload.server, "tool": payload.tool}, {"reason": payload.reason})


@_signals.register
def _(payload: WorkerReplaced, event: Event) -> Iterator[Signal]:
    yield _signal(event, "worker_replaced", {"worker": str(payload.worker)})


def _signal(
    event: Event,
    name: str,
    labels: Mapping[str, str],
    evidence: Mapping[str, object] | None = None,
    value: float = 1.0,
) -> Signal:
    return Signal(name, event.at, value, labels, evidence or {}, drill=event.data.get("drill") is True)


# What is read back after a restart: only events that become signals, out of many more.
# Derived from the functions above, so that none of them can be forgotten here.
KINDS = frozenset(kind for kind, one in CATALOGUE.items() if _signals.dispatch(one) is not _signals.dispatch(object))

"""What was said in the calls of a run, for pages, the console and the API alike."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestration.errors import NotFoundError
from orchestration.events.providers import CallAttempt
from orchestration.providers.dialects.thoughts import thoughts_in
from orchestration.runs.waterfall import AGENT_KINDS, CALL_KINDS, CallBar, waterfall
from orchestration.storage.call_records import CallKind, CallRecord, CallRecords
from orchestration.storage.runs import Run
from orchestration.storage.timeline import Timeline


class CallState(StrEnum):
    """How far a call has come. `interrupted`: its process ended first, or the run was stopped."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class RequestedCall:
    """A tool call that a model asks for; `arguments` are JSON as the model has written it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CallMessage:
    """One message of a prompt, or an answer. `text` is None if it was not read or is not kept any more; `size` is in
    characters. A message is `repeated` if the agent's call before began with the same."""

    role: str
    text: str | None
    size: int = 0
    digest: str | None = None
    repeated: bool = False
    tool_calls: tuple[RequestedCall, ...] = ()


@dataclass(frozen=True, slots=True)
class CallDetails:
    """All that is known of one call.

    `recorded` is False where only its figures are known: an earlier release made it, recording was off, or the record
    is older than what is kept. `attempts` are all tries on all routes, also those before the call waited for a
    provider.
    """

    key: str
    kind: str
    name: str
    agent: str | None
    state: CallState
    recorded: bool
    began: datetime
    ended: datetime | None
    seconds: float
    messages: tuple[CallMessage, ...] = ()
    tools: tuple[str, ...] = ()
    settings: Mapping[str, Any] | None = None
    thinking: str = ""
    answer: CallMessage | None = None
    finish_reason: str = ""
    arguments: str | None = None
    arguments_digest: str | None = None
    output: str | None = None
    output_digest: str | None = None
    command: tuple[str, ...] = ()
    exit_code: int | None = None
    stopped: str | None = None
    failure: str = ""
    route: str = ""
    attempts: tuple[CallAttempt, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False
    first_token_seconds: float | None = None
    usd: float | None = None
    rehearsal: bool = False

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class RunCalls:
    """Reads the calls of runs."""

    def __init__(self, timeline: Timeline, records: CallRecords) -> None:
        self.records = records
        self._timeline = timeline

    def list(self, run: Run, now: datetime) -> tuple[CallBar, ...]:
        """All calls of a run in the order in which they began."""
        found = self._timeline.list_of_kinds([run.id], (*AGENT_KINDS, *CALL_KINDS))[run.id]
        agents = [event for event in found if event.kind in AGENT_KINDS]
        calls = [(number, event) for number, event in enumerate(found) if event.kind in CALL_KINDS]
        begun = self.records.list_open(run.id)
        fall = waterfall(agents, calls, run.started_at or run.created_at, run.finished_at or now, begun)
        bars = [*fall.loose, *(call for lane in fall.lanes for call in lane.calls)]
        return tuple(sorted(bars, key=lambda bar: (bar.began, bar.ended)))

    def read(self, run: Run, name: str, now: datetime, *, whole: bool = False) -> CallDetails:
        """One call, by its key or the part of it after the run's identifier. Of a prompt, unless `whole`, only those
        messages are read that the call before did not have. Raises NotFoundError."""
        key = name if name.startswith(f"{run.id}.") else f"{run.id}.{name}"
        record, bars = self.records.find(key), self._bars(run, key)
        if record is None and not bars:
            raise NotFoundError(f"{run.id} has no call '{name}'. `orchestrator runs calls {run.id}` lists them.")
        if record is None:
            return _of_events(key, bars)
        details = _of_events(key, bars) if bars else _of_record(record, run, now)
        if record.ended_at is None:
            # Its events are those of earlier tries.
            details = replace(_of_record(record, run, now), attempts=details.attempts)
        return self._with_content(details, record, whole=whole)

    def read_text(self, run: Run, digest: str) -> str:
        """A whole text of a run. Raises NotFoundError."""
        found = self.records.read_texts(run.id, [digest]).get(digest)
        if found is None:
            raise NotFoundError(f"{run.id} has no such text, or does not keep it any more.")
        return found

    def _bars(self, run: Run, key: str) -> Sequence[CallBar]:
        began, end = run.started_at or run.created_at, run.finished_at or run.created_at
        return waterfall((), self._timeline.list_of_call(run.id, key), began, end).loose

    def _with_content(self, details: CallDetails, record: CallRecord, *, whole: bool) -> CallDetails:
        content = record.content
        messages = content.get("messages", ())
        repeated = self._repeated(record, messages)
        read = messages if whole else messages[repeated:]
        named = [content.get(name) or {} for name in ("tools", "answer", "arguments", "output")]
        digests = {each["digest"] for each in (*read, *named) if each.get("digest")}
        texts = self.records.read_texts(record.run_id, digests)
        said = _json(texts, content.get("answer"))
        tools = _json(texts, content.get("tools"))
        answer, thinking = None, ""
        if content.get("answer"):
            answer = _message(texts, {"role": "assistant", **content["answer"]}, repeated=False)
            thinking, text = thoughts_in(said or {})
            answer = replace(answer, text=text) if thinking else answer
        failure = content.get("failure") or {}
        return replace(
            details,
            recorded=True,
            name=str(content.get("name") or details.name),
            messages=tuple(_message(texts, one, repeated=place < repeated) for place, one in enumerate(messages)),
            tools=tuple(one["function"]["name"] for one in tools or ()),
            settings=content.get("settings"),
            thinking=thinking,
            answer=answer,
            finish_reason=str(content.get("finish_reason") or ""),
            arguments=texts.get(str(named[2].get("digest"))),
            arguments_digest=named[2].get("digest"),
            output=texts.get(str(named[3].get("digest"))),
            output_digest=named[3].get("digest"),
            command=tuple(content.get("command", ())),
            exit_code=content.get("exit_code"),
            stopped=content.get("stopped"),
            failure=str(failure.get("message") or ""),
        )

    def _repeated(self, record: CallRecord, messages: Sequence[Mapping[str, Any]]) -> int:
        """With how many messages the call before began, too."""
        before = self.records.find_before(record) if messages else None
        pairs = zip(messages, before.content.get("messages", ()) if before else (), strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _json(texts: Mapping[str, str], reference: Mapping[str, Any] | None) -> Any:
    text = texts.get((reference or {}).get("digest") or "")
    return None if text is None else json.loads(text)


def _message(texts: Mapping[str, str], reference: Mapping[str, Any], *, repeated: bool) -> CallMessage:
    value = _json(texts, reference)
    size, digest = int(reference["size"]), reference.get("digest")
    if value is None:
        return CallMessage(str(reference["role"]), None, size, digest, repeated)
    calls = [one.get("function") or {} for one in value.get("tool_calls") or ()]
    named = tuple(RequestedCall(str(one.get("name") or ""), _as_text(one.get("arguments"))) for one in calls)
    return CallMessage(str(reference["role"]), _as_text(value.get("content")), size, digest, repeated, named)


def _as_text(value: Any) -> str:
    """Text as it is; parts and everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _of_record(record: CallRecord, run: Run, now: datetime) -> CallDetails:
    state = CallState.RUNNING if not run.status.ended and record.ended_at is None else CallState.INTERRUPTED
    if record.ended_at is not None:
        state = CallState.FAILED if record.content.get("failure") else CallState.DONE
    end = record.ended_at or (now if state is CallState.RUNNING else run.finished_at)
    seconds = max(0.0, ((end or record.started_at) - record.started_at).total_seconds())
    return CallDetails(
        key=record.key,
        kind=record.kind.value,
        name=str(record.content.get("name") or record.kind.value),
        agent=record.agent,
        state=state,
        recorded=True,
        began=record.started_at,
        ended=record.ended_at,
        seconds=seconds,
        route=str(record.content.get("route") or ""),
    )


def _of_events(key: str, bars: Sequence[CallBar]) -> CallDetails:
    last = bars[-1]
    return CallDetails(
        key=key,
        kind=last.kind,
        name=last.name,
        agent=None,
        state=CallState.DONE if last.ok else CallState.FAILED,
        recorded=False,
        began=bars[0].began,
        ended=last.ended,
        seconds=last.seconds,
        route=last.name if last.kind == CallKind.MODEL else "",
        attempts=tuple(attempt for bar in bars for attempt in bar.attempts),
        prompt_tokens=last.prompt_tokens,
        completion_tokens=last.completion_tokens,
        cached_tokens=last.cached_tokens,
        estimated=last.estimated,
        first_token_seconds=last.first_token,
        usd=last.usd,
        rehearsal=last.rehearsal,
        failure="" if last.ok else last.outcome,
    )

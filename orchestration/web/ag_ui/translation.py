"""What happens in a run, in the events of AG-UI. Pure.

The protocol has its own order: what was begun (a step, a message, a tool call) is ended before the run is, and nothing
comes after the end of the run. A run that waits for a person ends the stream with an interrupt, whose answer begins the
next stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentInterrupted, AgentStarted, ToolCallFinished
from orchestration.events.runs import (
    ApprovalRequested,
    ArtifactWritten,
    RunCancelled,
    RunCreated,
    RunFinished,
    RunStopped,
)

AgUiEvent = dict[str, Any]
_Last = ApprovalRequested | RunFinished | RunStopped | RunCancelled
# The answer that an interrupt expects.
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["approved"],
}
_STREAM_LOST = "stream-lost"


class RunTranslation:
    """The events of one stream. `thread` and `request` are the client's names of the conversation and of this part of
    it; `run` is the run here."""

    def __init__(self, thread: str, request: str, run: str, documents: Iterable[str] = ()) -> None:
        """`documents` are those that the run had written before."""
        self._thread = thread
        self._request = request
        self._run = run
        # By the work that they are, the names of the steps that were begun and have not ended.
        self._steps: dict[str, str] = {}
        self._documents = list(documents)
        self.ended = False

    def begin(self) -> Iterator[AgUiEvent]:
        """The events before all others."""
        yield {"type": "RUN_STARTED", "threadId": self._thread, "runId": self._request}
        yield self._state(RunStatus.RUNNING.value)

    def translate(self, event: Event) -> Iterator[AgUiEvent]:
        """What an event of the run comes to; nothing once the stream has ended."""
        if self.ended:
            return
        at = int(event.at.timestamp() * 1000)
        for each in self._events(event):
            yield {**each, "timestamp": at}

    def lose(self) -> Iterator[AgUiEvent]:
        """The end of a stream that cannot be followed any more, while the run goes on."""
        reason = f"{self._run} goes on, and cannot be followed at the moment. Ask again with the same runId."
        yield from self._fail(reason, _STREAM_LOST)

    def _events(self, event: Event) -> Iterator[AgUiEvent]:
        match event.payload:
            case RunCreated():
                return
            case AgentStarted(agent_run_id=work, title=title):
                yield from self._begin_step(work, f"{event.agent}: {title}")
            case AgentFinished(agent_run_id=work, failing=failing):
                if failing is not None:
                    yield self._custom(event)
                yield from self._end_step(work)
            case AgentInterrupted(agent_run_id=work):
                yield from self._end_step(work)
            case ToolCallFinished() as call:
                yield from _tool_call(call)
            case ArtifactWritten(name=name):
                self._documents = [*(one for one in self._documents if one != name), name]
                yield self._state(RunStatus.RUNNING.value)
            case ApprovalRequested() | RunFinished() | RunStopped() | RunCancelled() as last:
                yield from self._conclude(last)
            case payload if payload.followed:
                yield self._custom(event)

    def _conclude(self, last: _Last) -> Iterator[AgUiEvent]:
        match last:
            case ApprovalRequested(approval=approval, question=question):
                yield from self._interrupt(approval, question)
            case RunFinished(status=RunStatus.SUCCEEDED.value):
                yield from self._succeed(last)
            case RunFinished(status=status):
                yield from self._fail(last.sentence(), status)
            case RunStopped():
                yield from self._fail(f"{last.sentence()}; it can be resumed", RunStatus.STOPPED.value)
            case RunCancelled():
                yield from self._end(self._message(last.sentence()), {"type": "cancelled"})

    def _begin_step(self, work: str, name: str) -> Iterator[AgUiEvent]:
        # An agent is said to have started again when another process goes on with it.
        if work in self._steps:
            return
        # A step is ended by its name, so two at once may not have the same.
        self._steps[work] = f"{name} ({work})" if name in self._steps.values() else name
        yield {"type": "STEP_STARTED", "stepName": self._steps[work]}

    def _end_step(self, work: str) -> Iterator[AgUiEvent]:
        if work in self._steps:
            yield {"type": "STEP_FINISHED", "stepName": self._steps.pop(work)}

    def _interrupt(self, approval: str, question: str) -> Iterator[AgUiEvent]:
        interrupt = {
            "id": approval,
            "reason": "approval",
            "message": question,
            "responseSchema": ANSWER_SCHEMA,
            "metadata": {"run": self._run},
        }
        yield from self._end([self._state(RunStatus.WAITING.value)], {"type": "interrupt", "interrupts": [interrupt]})

    def _succeed(self, finished: RunFinished) -> Iterator[AgUiEvent]:
        result = {"run": self._run, "verdict": finished.verdict, "documents": self._documents}
        written = f". It has written {', '.join(self._documents)}." if self._documents else ""
        said = [self._state(finished.status), *self._message(f"{finished.sentence()}{written}")]
        yield from self._end(said, {"type": "success"}, result)

    def _fail(self, reason: str, code: str) -> Iterator[AgUiEvent]:
        yield from (self._state(code), *self._message(reason), *self._end_steps())
        self.ended = True
        yield {"type": "RUN_ERROR", "message": reason, "code": code}

    def _end(self, last: Sequence[AgUiEvent], outcome: dict[str, Any], result: Any = None) -> Iterator[AgUiEvent]:
        yield from (*last, *self._end_steps())
        self.ended = True
        finished = {"type": "RUN_FINISHED", "threadId": self._thread, "runId": self._request, "outcome": outcome}
        yield finished if result is None else {**finished, "result": result}

    def _end_steps(self) -> list[AgUiEvent]:
        names, self._steps = list(self._steps.values()), {}
        return [{"type": "STEP_FINISHED", "stepName": name} for name in names]

    def _message(self, text: str) -> list[AgUiEvent]:
        message = f"{self._request}-end"
        return [
            {"type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant"},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": message, "delta": text},
            {"type": "TEXT_MESSAGE_END", "messageId": message},
        ]

    def _state(self, status: str) -> AgUiEvent:
        snapshot = {"run": self._run, "status": status, "documents": list(self._documents)}
        return {"type": "STATE_SNAPSHOT", "snapshot": snapshot}

    def _custom(self, event: Event) -> AgUiEvent:
        value = {"agent": event.agent, "text": event.payload.sentence(), "data": dict(event.data)}
        return {"type": "CUSTOM", "name": event.kind, "value": value}


def _tool_call(call: ToolCallFinished) -> Iterator[AgUiEvent]:
    yield {"type": "TOOL_CALL_START", "toolCallId": call.key, "toolCallName": call.tool}
    yield {"type": "TOOL_CALL_ARGS", "toolCallId": call.key, "delta": json.dumps({"about": call.about})}
    yield {"type": "TOOL_CALL_END", "toolCallId": call.key}
    told = "done" if call.ok else "failed"
    # What it returned is shown on the page of the run, to those who may see it.
    result = {"messageId": f"{call.key}-result", "toolCallId": call.key, "content": f"{told} in {call.seconds:.1f} s"}
    yield {"type": "TOOL_CALL_RESULT", **result}

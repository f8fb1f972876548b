"""What a front end asks for: a goal, or the answers to the questions that a run waits for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from orchestration.errors import UsageError

_Identifier = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class InterruptAnswer(_Part):
    """The answer to one interrupt: `{"approved": true, "reason": "…"}`, or `cancelled`, which denies it."""

    interrupt_id: _Identifier
    status: Literal["resolved", "cancelled"]
    payload: Any = None

    def is_approval(self) -> bool:
        """Whether it approves. Raises UsageError for an answer that cannot be read."""
        if self.status == "cancelled":
            return False
        approved = self.payload.get("approved") if isinstance(self.payload, dict) else self.payload
        if not isinstance(approved, bool):
            raise UsageError(f'the interrupt {self.interrupt_id} expects {{"approved": true or false}} as its payload')
        return approved

    def reason(self) -> str:
        """Why; empty if it says nothing."""
        reason = self.payload.get("reason") if isinstance(self.payload, dict) else None
        return reason[:1000] if isinstance(reason, str) else ""


class AgUiRequest(_Part):
    """The `RunAgentInput` of AG-UI 1.0. Its last message of a user is the goal, and `forwardedProps` are the further
    fields of a new run, such as `workspace` and `agent`. A `runId` that is sent again follows the same run."""

    thread_id: _Identifier
    run_id: _Identifier
    messages: Annotated[list[dict[str, Any]], Field(max_length=10_000)]
    forwarded_props: dict[str, Any] | None = None
    resume: Annotated[list[InterruptAnswer], Field(max_length=100)] | None = None

    def goal(self) -> str:
        """What the user asks for. Raises UsageError if no message of a user has text."""
        for message in reversed(self.messages):
            if message.get("role") == "user" and (text := _text(message.get("content"))):
                return text
        raise UsageError("expected a message of the role `user` with text, which is the goal; got none")

    def run_name(self, caller: str) -> str:
        """The identifier of the run that it starts; the same for the same request of the same caller."""
        named = f"{caller}\n{self.thread_id}\n{self.run_id}".encode()
        return f"run-{hashlib.sha256(named).hexdigest()[:20]}"


def _text(content: object) -> str:
    if isinstance(content, str):
        return content.strip()
    parts: Sequence[Any] = content if isinstance(content, list) else ()
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str)).strip()

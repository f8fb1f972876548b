"""What a chat request says: who is asked, for what, and what the tools have answered so far. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.rehearsal.requests import WireChatRequest, WireMessage

_ROLE = re.compile(r"^Role:\s*(\w+)", re.MULTILINE)
# An agent's own step stands first; documents from the agents before it follow, each under a line of its name.
_STEP = re.compile(r"^Your step:(.*?)(?=^--- |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RehearsalToolCall:
    """A tool that the model asks for."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastToolCall:
    """A tool call of earlier in the conversation, with what came back."""

    call: RehearsalToolCall
    result: str


@dataclass(frozen=True, slots=True)
class RehearsalRequest:
    """A request, as the scenes see it.

    `role` is what the system prompt says after `Role:`, or an empty string. `asked` is all text by the user;
    `schema` the JSON schema that the answer has to match, or None for free text.
    """

    role: str
    asked: str
    turns: tuple[PastToolCall, ...] = ()
    tools: frozenset[str] = frozenset()
    schema: Mapping[str, Any] | None = None

    @property
    def step(self) -> str:
        """The step that the agent is to do, without the documents that came with it; else all that was asked."""
        found = _STEP.search(self.asked)
        return found.group(1) if found else self.asked

    @property
    def seen(self) -> str:
        """Everything that the user and the tools have said."""
        return "\n".join([self.asked, *(turn.result for turn in self.turns)])

    def results(self, tool: str) -> tuple[str, ...]:
        """What the tool of this name has answered, oldest first."""
        return tuple(turn.result for turn in self.turns if turn.call.name == tool)


@dataclass(frozen=True, slots=True)
class RehearsalReply:
    """What the model says: a text, or tools that it wants to be called.

    `broken_calls`: the arguments go out as text that is no JSON, as small models do at times.
    """

    text: str = ""
    calls: tuple[RehearsalToolCall, ...] = ()
    broken_calls: bool = False


def read_conversation(request: WireChatRequest) -> RehearsalRequest:
    """Read what matters to the scenes from a chat request."""
    system = "\n".join(message.text for message in request.messages if message.role in ("system", "developer"))
    role = _ROLE.search(system)
    return RehearsalRequest(
        role=role.group(1).lower() if role else "",
        asked="\n".join(message.text for message in request.messages if message.role == "user"),
        turns=tuple(_turns(request.messages)),
        tools=frozenset(tool.function.name for tool in request.tools or ()),
        schema=request.schema_wanted,
    )


def _turns(messages: Sequence[WireMessage]) -> Iterator[PastToolCall]:
    """Pair each tool result with its call: by id where there is one, in order otherwise."""
    waiting: list[tuple[str | None, RehearsalToolCall]] = []
    for message in messages:
        calls = message.tool_calls or ()
        waiting += [(call.id, RehearsalToolCall(call.function.name, call.function.parsed())) for call in calls]
        if message.role == "tool" and waiting:
            ids = [known for known, _ in waiting]
            place = ids.index(message.tool_call_id) if message.tool_call_id in ids else 0
            yield PastToolCall(waiting.pop(place)[1], message.text)

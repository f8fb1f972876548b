"""A chat request as the scenes see it: the role, the goal, and the tool results so far. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from orchestration.rehearsal.requests import WireChatRequest, WireMessage

_ROLE = re.compile(r"^Role:\s*(\w+)", re.MULTILINE)
# The coordinator writes the step first, then the documents of earlier agents, each under a line `--- NAME`.
_STEP = re.compile(r"^Your step:(.*?)(?=^--- |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class RehearsalToolCall:
    """A tool that the model asks for."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PastToolCall:
    """An earlier tool call of the conversation, with its result."""

    call: RehearsalToolCall
    result: str


@dataclass(frozen=True, slots=True)
class RehearsalRequest:
    """A request, as the scenes see it.

    `role` is the word after `Role:` in the system prompt, or empty. `user_text` is all text of the user; `schema` is
    the JSON schema that the answer has to match, or None for free text.
    """

    role: str
    user_text: str
    past_calls: tuple[PastToolCall, ...] = ()
    tools: frozenset[str] = frozenset()
    schema: Mapping[str, Any] | None = None
    # How many replies of the model the conversation has already.
    turn: int = 0

    @property
    def step(self) -> str:
        """The agent's step without the documents that came with it; else the whole text of the user."""
        found = _STEP.search(self.user_text)
        return found.group(1) if found else self.user_text

    @property
    def all_text(self) -> str:
        """All text of the user and the tools."""
        return "\n".join([self.user_text, *(past.result for past in self.past_calls)])

    def without_damaged_calls(self) -> RehearsalRequest:
        """The request without the calls whose arguments were lost on the way: no scene makes one without any. They are
        then made again, as a model does that is told of them."""
        return replace(self, past_calls=tuple(past for past in self.past_calls if past.call.arguments))

    def results(self, tool: str) -> tuple[str, ...]:
        """The results of the tool of this name, oldest first."""
        return tuple(past.result for past in self.past_calls if past.call.name == tool)


@dataclass(frozen=True, slots=True)
class RehearsalReply:
    """The model's reply: a text, or calls of tools.

    With `broken_calls` the arguments are sent as text that is not JSON, as small models do at times.
    """

    text: str = ""
    calls: tuple[RehearsalToolCall, ...] = ()
    broken_calls: bool = False


def read_conversation(request: WireChatRequest) -> RehearsalRequest:
    """The parts of a chat request that matter to the scenes."""
    # OpenAI's newer models take the system prompt in the role `developer`: https://platform.openai.com/docs/guides/text
    system = "\n".join(message.text for message in request.messages if message.role in ("system", "developer"))
    role = _ROLE.search(system)
    return RehearsalRequest(
        role=role.group(1).lower() if role else "",
        user_text="\n".join(message.text for message in request.messages if message.role == "user"),
        past_calls=tuple(_past_calls(request.messages)),
        tools=frozenset(tool.function.name for tool in request.tools or ()),
        schema=request.schema_wanted,
        turn=sum(message.role == "assistant" for message in request.messages),
    )


def _past_calls(messages: Sequence[WireMessage]) -> Iterator[PastToolCall]:
    """Pair each tool result with its call: by id, or in order, since older Ollama clients send no id."""
    waiting: list[tuple[str | None, RehearsalToolCall]] = []
    for message in messages:
        calls = message.tool_calls or ()
        waiting += [(call.id, RehearsalToolCall(call.function.name, call.function.parsed())) for call in calls]
        if message.role == "tool" and waiting:
            ids = [known for known, _ in waiting]
            place = ids.index(message.tool_call_id) if message.tool_call_id in ids else 0
            yield PastToolCall(waiting.pop(place)[1], message.text)

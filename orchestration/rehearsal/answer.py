"""A reply with what surrounds it on the wire, whatever the format."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from orchestration.rehearsal.conversation import RehearsalReply, RehearsalToolCall

_CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English
_CHARACTERS_PER_PIECE = 16


@dataclass(frozen=True, slots=True)
class RehearsalAnswer:
    """What the model says, to which request, when. `fingerprint` is that of the messages it answers."""

    reply: RehearsalReply
    model: str
    fingerprint: str
    at: datetime
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        arguments = "".join(arguments_text(self.reply, call) for call in self.reply.calls)
        return count_tokens(self.reply.text + arguments)

    @property
    def finish_reason(self) -> str:
        """In the OpenAI words."""
        return "tool_calls" if self.reply.calls else "stop"

    def call_id(self, index: int) -> str:
        """The same conversation gets the same ids; no two calls in it share one."""
        return f"call_{self.fingerprint[:12]}_{index}"


def fingerprint(messages: object) -> str:
    """The same for the same messages, so that a repeated model call shows."""
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


def count_tokens(text: str) -> int:
    """An estimate; no answer is free."""
    return max(1, len(text) // _CHARACTERS_PER_TOKEN)


def arguments_text(reply: RehearsalReply, call: RehearsalToolCall) -> str:
    """The arguments as JSON text, cut in the middle where the reply is to be broken."""
    text = json.dumps(call.arguments)
    return text[: len(text) // 2] if reply.broken_calls else text


def in_pieces(text: str) -> list[str]:
    """A text as a stream delivers it."""
    return [text[start : start + _CHARACTERS_PER_PIECE] for start in range(0, len(text), _CHARACTERS_PER_PIECE)]

"""A reply with the data that every wire format adds to it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime

from orchestration.rehearsal.conversation import RehearsalReply, RehearsalToolCall

_CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English
# Short enough that an ordinary answer is many pieces: several faults stop a stream in the middle of them.
_CHARACTERS_PER_PIECE = 16


@dataclass(frozen=True, slots=True)
class RehearsalAnswer:
    """One answer of the model. `fingerprint` is that of the messages that it answers."""

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
        """The finish reason in OpenAI's terms."""
        return "tool_calls" if self.reply.calls else "stop"

    def call_id(self, index: int) -> str:
        """The same conversation gets the same ids; no two calls in it share one."""
        return f"call_{self.fingerprint[:12]}_{index}"


def fingerprint(messages: object) -> str:
    """The same for the same messages, so that a repeated model call can be recognised."""
    # The order of keys means nothing in JSON: without sorting, a replayed request that was
    # serialised differently would count as a new call.
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


def count_tokens(text: str) -> int:
    """An estimate, at least 1: usage of zero tokens would look like a missing count."""
    return max(1, len(text) // _CHARACTERS_PER_TOKEN)


def arguments_text(reply: RehearsalReply, call: RehearsalToolCall) -> str:
    """The arguments as JSON text, cut in the middle if the call is to be broken."""
    text = json.dumps(call.arguments)
    return text[: len(text) // 2] if reply.broken_calls else text


def in_pieces(text: str) -> list[str]:
    """A text as a stream delivers it."""
    return [text[start : start + _CHARACTERS_PER_PIECE] for start in range(0, len(text), _CHARACTERS_PER_PIECE)]

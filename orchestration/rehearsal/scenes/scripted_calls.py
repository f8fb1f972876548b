"""Tool calls that the goal spells out, for drills: each line `call TOOL {JSON}` is called once, in order. Pure."""

from __future__ import annotations

import json
import re

from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest, RehearsalToolCall

_CALL = re.compile(r"^call (\w+) (\{.*\})$", re.MULTILINE)


def line(tool: str, **arguments: object) -> str:
    """The line of a goal that makes the model call a tool."""
    return f"call {tool} {json.dumps(arguments)}"


def has_next_call(conversation: RehearsalRequest) -> bool:
    """Whether a call of the goal has not been made yet."""
    return _next(conversation) is not None


def call(conversation: RehearsalRequest) -> RehearsalReply:
    """The next call."""
    upcoming = _next(conversation)
    return RehearsalReply(calls=(upcoming,) if upcoming else ())


def _next(conversation: RehearsalRequest) -> RehearsalToolCall | None:
    scripted = _CALL.findall(conversation.user_text)
    # Failed calls count as made: one that was refused must not be tried again for ever.
    done = len(conversation.past_calls)
    if done >= len(scripted):
        return None
    tool, arguments = scripted[done]
    # A goal is a person's text: a line that only resembles a call must not fail the request.
    try:
        return RehearsalToolCall(tool, json.loads(arguments))
    except ValueError:
        return None

"""Tools that the goal itself names, for drills: each line `call TOOL {JSON}` is called once, in order. Pure."""

from __future__ import annotations

import json
import re

from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest, RehearsalToolCall

_CALL = re.compile(r"^call (\w+) (\{.*\})$", re.MULTILINE)


def line(tool: str, **arguments: object) -> str:
    """The line of a goal that has a tool called."""
    return f"call {tool} {json.dumps(arguments)}"


def is_told(conversation: RehearsalRequest) -> bool:
    """Whether a call that was asked for is still to come."""
    return _next(conversation) is not None


def call(conversation: RehearsalRequest) -> RehearsalReply:
    """The next call."""
    told = _next(conversation)
    return RehearsalReply(calls=(told,) if told else ())


def _next(conversation: RehearsalRequest) -> RehearsalToolCall | None:
    told = _CALL.findall(conversation.asked)
    done = len(conversation.turns)
    if done >= len(told):
        return None
    tool, arguments = told[done]
    try:
        return RehearsalToolCall(tool, json.loads(arguments))
    except ValueError:
        return None

"""Noticing that an agent goes in circles: the same call, the same error, two states in turn, or a conversation that
grows without bringing anything new. Pure: a watch is fed from recorded steps, so that a replay comes to the same end.

OpenHands and SWE-agent stop at fixed numbers of repetitions. Here the model is told first, and the longer a circle is,
the more of its turns are waited for, so that somebody who runs the same tests after each edit is left in peace.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

# Test runners print how long they took, and runtimes print addresses; neither makes a result another one.
_VARYING = re.compile(r"\b\d+(?:\.\d+)?\s?(?:s|ms|sec|seconds)\b|0x[0-9a-f]+", re.IGNORECASE)
_LONGEST_CIRCLE = 4
_TOLD, _ASKED, _STOPPED = 1, 2, 3


class CircleStage(IntEnum):
    """What is done about a circle: nothing, a remark, a request for another approach, the end of the conversation."""

    NONE = 0
    TOLD = _TOLD
    ASKED = _ASKED
    STOPPED = _STOPPED


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool call with its result."""

    name: str
    arguments: str
    result: str
    ok: bool

    @property
    def fingerprint(self) -> str:
        """The same for calls that ask the same and bring the same."""
        return _digest(self.name, _canonical(self.arguments), _VARYING.sub("", self.result))


class CircleWatch:
    """Watches the tool calls of one conversation."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._stale: list[str] = []
        self._error = ""
        self._errors = 0
        self.reason = ""

    def add(self, turns: Sequence[ToolUse]) -> CircleStage:
        """Add the calls of one answer; returns what is to be done."""
        state = _digest(*(turn.fingerprint for turn in turns))
        self._stale = [*self._stale, state] if state in self._seen else []
        self._seen.add(state)
        # The same error after other arguments is as little progress as the same call.
        error = "" if any(turn.ok for turn in turns) else _digest(*(_VARYING.sub("", turn.result) for turn in turns))
        self._errors = self._errors + 1 if error and error == self._error else int(bool(error))
        self._error = error
        repeated, failing = self._of_repetition(), CircleStage(min(max(self._errors - 1, 0), _STOPPED))
        names = ", ".join(dict.fromkeys(turn.name for turn in turns))
        if repeated >= failing:
            what = "the same call" if len(set(self._stale)) == 1 else "the same calls in turn"
            self.reason = f"{what} ({names}) with the same result, {len(self._stale)} more times"
        else:
            self.reason = f"the same error of {names}, {self._errors} times in a row"
        return max(repeated, failing)

    def _of_repetition(self) -> CircleStage:
        length = min(len(set(self._stale)), _LONGEST_CIRCLE)
        if not length:
            return CircleStage.NONE
        return CircleStage(max(_TOLD, min(len(self._stale) // length, _STOPPED)))


def remark(stage: CircleStage, reason: str) -> str:
    """What the model is told, beside the result of its call."""
    if stage is CircleStage.TOLD:
        return f"\n[note: {reason}. Repeating it will bring nothing new.]"
    return (
        f"\n[note: you are going in circles: {reason}. Take another approach now: read what you have not read, "
        "use another tool, or end with a report that says what is missing. The next repetition ends this conversation.]"
    )


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()

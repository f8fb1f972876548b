"""What a function of the user's receives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict


class Task(TypedDict):
    """What an agent that is a function receives: `goal`, the folder to work in, the documents of earlier agents by name
    (`context`), and its step of the plan, if it is an executor."""

    run_id: str
    agent: str
    role: str
    goal: str
    workspace: str
    context: dict[str, str]
    step: dict[str, Any] | None
    attempt: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Call:
    """The call that a tool carries out, for a function that has a parameter of this type: the run, the agent that
    calls, the folder it works in, and a key that is the same whenever this call is repeated."""

    run: str
    agent: str
    workspace: str
    key: str

"""What an agent at work is busy with."""

from __future__ import annotations

from enum import StrEnum


class WorkPhase(StrEnum):
    """The phase of one model call or tool call. A model's phases follow each other in this order."""

    STARTING = "starting"
    QUEUED = "queued"  # waits for a place at a provider
    READING = "reading"  # the model reads its prompt: nothing has been heard yet
    THINKING = "thinking"
    ANSWERING = "answering"
    TOOL = "tool"  # a tool, a check or the user's own code
    WAITING = "waiting"  # no provider can answer
    UNPLACED = "unplaced"  # no worker with the agent's label has taken it

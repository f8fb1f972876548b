"""Where a playbook run and its actions stand."""

from __future__ import annotations

from enum import StrEnum


class PlaybookRunState(StrEnum):
    """How a playbook's run on an incident stands; `handed-over` means that a person has to go on."""

    RUNNING = "running"
    HELPED = "helped"
    HANDED_OVER = "handed-over"
    # Stored as version 0.1 called it.
    SUPERSEDED = "overtaken"
    FAILED = "failed"


class ActionState(StrEnum):
    """How one step ended. `left-out` steps did not apply or were held back; `suggested` ones wait for nobody."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"
    LEFT_OUT = "left-out"
    SUGGESTED = "suggested"
    DENIED = "denied"

"""Processes that run a function of the user's."""

from __future__ import annotations

import os

from orchestration.errors import UsageError

# Set for each process that runs a function: its module is imported there once more.
VARIABLE = "ORCHESTRATOR_OWN_CODE"


def refuse_in_child() -> None:
    """Raise UsageError in a process that was started to run one function: a run from there would start others."""
    if VARIABLE in os.environ:
        raise UsageError(
            "A module that declares agents or tools is imported by the processes that run them, and must not start a "
            'run there. Put that part under `if __name__ == "__main__":`.'
        )

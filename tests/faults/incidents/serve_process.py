"""`orchestrator serve` in a process that is killed at a named point between a change and the mark that it was told.

Arguments: the point, and then those of the console command.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial

from orchestration.app import incidents, project
from orchestration.cli import main


def die_at(point: str, at: str) -> None:
    """End this process, as the kernel would, when it reaches the point."""
    if at == point:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    reached = partial(die_at, sys.argv[1])
    project.Ports = partial(project.Ports, reached=reached)  # type: ignore[assignment, misc]
    incidents.Sender = partial(incidents.Sender, on_point=reached)  # type: ignore[assignment, misc]
    sys.exit(main(sys.argv[2:]))

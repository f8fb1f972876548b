"""`orchestrator serve` in a process that is killed at a named point between a change and the mark that it was told.

Arguments: the point, and then those of the console command.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial

from orchestration.app.incidents import IncidentResponse
from orchestration.app.project import ProjectRecords
from orchestration.cli import main


def die_at(point: str, at: str) -> None:
    """End this process, as the kernel would, when it reaches the point."""
    if at == point:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    reached = partial(die_at, sys.argv[1])
    for module, name, port in (
        (sys.modules[ProjectRecords.__module__], "Ports", "reached"),
        (sys.modules[IncidentResponse.__module__], "OutboxSender", "on_point"),
    ):
        setattr(module, name, partial(getattr(module, name), **{port: reached}))
    sys.argv[1:2] = []
    main()

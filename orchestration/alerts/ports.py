"""Whom the alerts room talks to."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from orchestration.incidents.report import TroubleReport


class IncidentReporter(Protocol):
    """The desk. Both calls may come twice for the same thing (after a crash in between), and then change nothing."""

    def report(self, report: TroubleReport) -> object:
        """A trouble is there, or has got worse. What is raised is tried again at the next evaluation."""
        ...

    def clear(self, key: str, at: datetime) -> object:
        """Nothing of what was reported under this key holds any more."""
        ...

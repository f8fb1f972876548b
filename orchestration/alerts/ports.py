"""What alerting needs of others."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from orchestration.alerts.inbound import InboundAlert
from orchestration.incidents.report import TroubleReport


class IncidentReporter(Protocol):
    """The incident service. After a crash either call may be repeated with the same arguments, and must then change
    nothing."""

    def report(self, report: TroubleReport) -> object:
        """Report a problem that is new or has got worse. After an exception it is reported again the next time."""
        ...

    def clear(self, key: str, at: datetime, *, observed: bool) -> object:
        """Report that nothing of what was reported under this key fires any more: because it was observed to be gone,
        or because nothing was observed at all."""
        ...

    def mark(self, key: str, *, silence: str, flapping: bool) -> object:
        """Report which silence or maintenance window covers all that fires under this key, none if it is empty; and
        whether something of it comes and goes. After an exception it is reported again the next time."""
        ...


class SignsOfLife(Protocol):
    """Alerts that are only signs of life, such as Prometheus' Watchdog."""

    @property
    def expected(self) -> bool:
        """Whether any are expected."""
        ...

    def feed(self, alert: InboundAlert) -> bool:
        """Whether an alert is one; then it is taken down. Blocks, and raises what the database raises."""
        ...

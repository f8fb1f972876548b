"""Watches the installed packages against the local advisories."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from orchestration import logs
from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.security.vulnerabilities import VulnerabilityAudit, audit, installed

_log = logs.get_logger(__name__)


class VulnerabilityWatch:
    """Audits now and then; `last` is the newest result, for whoever wants the whole of it."""

    def __init__(
        self,
        folder: Callable[[], Path],
        clock: Clock,
        packages: Callable[[], Mapping[str, str]] = installed,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._packages = packages
        self.last: VulnerabilityAudit | None = None

    def collect(self) -> tuple[Signal, ...]:
        """One audit. Blocks. Its verdict goes to the log, since no finding may also mean that nothing was compared."""
        self.last = audit(self._packages(), self._folder())
        now = self._clock.now()
        _log.info("audit.finished", message=self.last.verdict(now), unreadable=self.last.unreadable)
        return tuple(
            Signal(
                "vulnerability",
                now,
                1.0,
                {"package": one.package, "version": one.version, "advisory": one.advisory},
                {"summary": one.summary, "fixed": one.fixed, "aliases": list(one.aliases)},
            )
            for one in self.last.vulnerabilities
        )

"""Whether the installed packages have been compared with known vulnerabilities."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from orchestration.app.doctor.diagnosis import CheckResult, ok, warning
from orchestration.config.schema import Configuration
from orchestration.security.advisory_source import last_update
from orchestration.security.vulnerabilities import audit, installed

_SUBJECT = "advisories"
_RENEW = "renew them with: orchestrator advisories update"


def check(configuration: Configuration, root: Path, now: datetime) -> CheckResult:
    """Compare them now. Blocks."""
    folder = root / configuration.monitoring.advisories_directory
    audited = audit(installed(), folder)
    if not audited.advisories:
        return warning(_SUBJECT, "never audited: there are no advisories to compare the packages with", _RENEW)
    last = last_update(folder)
    fetched = f"; fetched {(now - last.at).days} days ago" if last is not None else ""
    found = f"{audited.verdict(now)}{fetched}"
    if audited.vulnerabilities:
        return warning(_SUBJECT, found, "see: orchestrator advisories list")
    return warning(_SUBJECT, found, _RENEW) if audited.is_stale(now) else ok(_SUBJECT, found)

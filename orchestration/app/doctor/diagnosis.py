"""The result of one health check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """A problem prevents runs or loses results; a warning does not."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: its subject, what it found, and advice unless all is well."""

    subject: str
    health: CheckStatus
    found: str
    advice: str = ""


def ok(subject: str, found: str) -> CheckResult:
    """A result that needs no action."""
    return CheckResult(subject, CheckStatus.OK, found)


def warning(subject: str, found: str, advice: str) -> CheckResult:
    """A result that should be improved."""
    return CheckResult(subject, CheckStatus.WARNING, found, advice)


def problem(subject: str, found: str, advice: str) -> CheckResult:
    """A result that has to be corrected."""
    return CheckResult(subject, CheckStatus.PROBLEM, found, advice)

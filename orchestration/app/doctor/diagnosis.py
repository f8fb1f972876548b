"""What is said of one thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """A warning can be lived with; a problem keeps runs from being carried out, or results from being kept."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at, what was found, and what to do if that is not as it should be."""

    subject: str
    health: CheckStatus
    found: str
    advice: str = ""


def ok(subject: str, found: str) -> CheckResult:
    """It is as it should be."""
    return CheckResult(subject, CheckStatus.OK, found)


def warning(subject: str, found: str, advice: str) -> CheckResult:
    """It can be lived with."""
    return CheckResult(subject, CheckStatus.WARNING, found, advice)


def problem(subject: str, found: str, advice: str) -> CheckResult:
    """It has to be mended."""
    return CheckResult(subject, CheckStatus.PROBLEM, found, advice)

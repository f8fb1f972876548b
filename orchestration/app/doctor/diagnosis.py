"""What is said of one thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """A warning can be lived with; a problem keeps runs from being carried out, or results from being kept."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at, what was found, and what to do if that is not as it should be."""

    subject: str
    health: Health
    found: str
    advice: str = ""


def ok(subject: str, found: str) -> Diagnosis:
    """It is as it should be."""
    return Diagnosis(subject, Health.OK, found)


def warning(subject: str, found: str, advice: str) -> Diagnosis:
    """It can be lived with."""
    return Diagnosis(subject, Health.WARNING, found, advice)


def problem(subject: str, found: str, advice: str) -> Diagnosis:
    """It has to be mended."""
    return Diagnosis(subject, Health.PROBLEM, found, advice)

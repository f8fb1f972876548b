"""The ways up: who is paged after whom, and which incidents take which way."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from orchestration.config.section import HOUR, MINUTE, Identifier, PositiveSeconds, Section
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity

# The path of `response.escalation`, in force for what no route matches.
DEFAULT_PATH = "default"


class EscalationLevel(Section):
    """Who is paged, and after how many unacknowledged seconds the next level is. `targets` are contacts or rotations;
    without any, all of that level."""

    level: Annotated[int, Field(ge=1, le=4)]
    targets: tuple[Identifier, ...] = ()
    after: PositiveSeconds = 15 * MINUTE


def _remind_after() -> dict[Severity, float]:
    return {Severity.P0: 30 * MINUTE, Severity.P1: HOUR}


class EscalationSettings(Section):
    """The way up. After the last level it begins again, `repeat` times in all.

    Whoever has acknowledged an incident is reminded when so many seconds have passed without anything that a person has
    recorded (`remindAfter`, by severity; others are not reminded of), and `pageAgainAfter` seconds later it is paged
    anew.
    """

    levels: tuple[EscalationLevel, ...] = (
        EscalationLevel(level=1, after=10 * MINUTE),
        EscalationLevel(level=2, after=20 * MINUTE),
        EscalationLevel(level=3, after=30 * MINUTE),
    )
    repeat: Annotated[int, Field(ge=1, le=20)] = 3
    after_failed_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    remind_after: dict[Severity, PositiveSeconds] = Field(default_factory=_remind_after)
    page_again_after: PositiveSeconds = 15 * MINUTE


class EscalationPath(EscalationSettings):
    """A further way up, such as that of a team. `audience` names those who are notified first, by severity; for a
    severity that is not in it, those of `response.audience` are."""

    levels: tuple[EscalationLevel, ...] = ()
    audience: dict[Severity, tuple[str, ...]] = Field(default_factory=dict)


class EscalationRoute(Section):
    """Incidents that take a path: those of one of the `severities` and of one of the `scenarios`, whose labels match
    all `matchers`. What is left out matches everything.

    The labels are those on which the incident's alerts agree, with `alertname`, `scenario` and `source`; a declared
    incident has `subject`.
    """

    path: str
    matchers: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    severities: tuple[Severity, ...] = ()
    scenarios: tuple[Scenario, ...] = ()

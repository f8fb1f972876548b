"""What a sender from outside says of one alert, once it has been understood. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestration.alerts.model import AlertObservation, ConditionState
from orchestration.config.alerting import IntakeSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.report import Facts


@dataclass(frozen=True, slots=True)
class InboundAlert:
    """One alert of a sender, firing or over. `at` is when it began, or when it ended."""

    name: str
    fingerprint: str
    firing: bool
    at: datetime
    labels: Mapping[str, str]
    title: str = ""
    summary: str = ""
    severity: Severity = Severity.P1
    scenario: Scenario = Scenario.CONTROL_PLANE
    details: Mapping[str, str] = field(default_factory=dict)
    drill: bool = False

    def to_json(self) -> dict[str, Any]:
        """The notice as JSON values."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "firing": self.firing,
            "at": self.at.isoformat(),
            "labels": dict(self.labels),
            "title": self.title,
            "summary": self.summary,
            "severity": self.severity.value,
            "scenario": self.scenario.value,
            "details": dict(self.details),
            "drill": self.drill,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InboundAlert:
        """The reverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        values = {
            **data,
            "at": datetime.fromisoformat(data["at"]),
            "severity": Severity(data["severity"]),
            "scenario": Scenario(data["scenario"]),
        }
        return cls(**values)

    def observation(self, source: str) -> AlertObservation:
        """The notice as a look at its condition."""
        return AlertObservation(
            name=self.name,
            fingerprint=self.fingerprint,
            verdict=ConditionState.HOLDS if self.firing else ConditionState.CLEAR,
            scenario=self.scenario,
            since=self.at,
            labels=self.labels,
            details=self.details,
            value=1.0,
            subject=subject_of(self),
            title=self.title,
            summary=self.summary,
            facts=Facts(declared=self.severity),
            evidence=self.details,
            source=source,
            drill=self.drill,
        )


def subject_of(notice: InboundAlert) -> str:
    """What an alert from outside is about: the first telling label, else its name."""
    return next((notice.labels[name] for name in _TELLING if notice.labels.get(name)), notice.name)


def severity_of(labels: Mapping[str, str], settings: IntakeSettings) -> Severity:
    """The severity that a sender's labels ask for; if unsure, the worse."""
    return settings.severity(labels.get(settings.severity_label, ""))


def scenario_of(name: str, labels: Mapping[str, str], settings: IntakeSettings) -> Scenario:
    """The scenario: by the label of that name, by the configuration's table of names, else its default."""
    said = labels.get("scenario", "")
    if said in set(Scenario):
        return Scenario(said)
    return settings.scenarios.get(name, settings.default_scenario)


_TELLING = ("subject", "provider", "agent", "run", "host", "instance", "service", "job")

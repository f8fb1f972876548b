"""One alert from another system, whatever format it came in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from orchestration.alerts.model import AlertObservation, ConditionState
from orchestration.alerts.text_templates import one_line
from orchestration.config.alerting import IntakeSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.report import Facts


@dataclass(frozen=True, slots=True)
class InboundAlert:
    """One alert of a source, firing or resolved.

    `at` is when it began, or when it ended; when it was received, if the sender does not say (`start_known`).
    `expires` is when it counts as forgotten, where the sender says by when it repeats it.
    `scenario` is decided by our configuration (`classified`), whatever a reader puts there.
    """

    name: str
    fingerprint: str
    firing: bool
    at: datetime
    labels: Mapping[str, str]
    title: str = ""
    summary: str = ""
    severity: Severity = Severity.P1
    scenario: Scenario = Scenario.EXTERNAL_ALERT
    details: Mapping[str, str] = field(default_factory=dict)
    drill: bool = False
    start_known: bool = True
    expires: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The alert as JSON values, as the inbox stores it."""
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
            "details": {**self.details, **self._additions()},
            "drill": self.drill,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InboundAlert:
        """The reverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        details = dict(data["details"])
        values = {
            **data,
            "details": details,
            "start_known": details.pop(_START, None) is None,
            "expires": None if (expires := details.pop(_EXPIRES, None)) is None else datetime.fromisoformat(expires),
            "at": datetime.fromisoformat(data["at"]),
            "severity": Severity(data["severity"]),
            "scenario": Scenario(data["scenario"]),
        }
        return cls(**values)

    def _additions(self) -> dict[str, str]:
        expires = {} if self.expires is None else {_EXPIRES: self.expires.isoformat()}
        return {**({} if self.start_known else {_START: "received"}), **expires}

    def classified(self, settings: IntakeSettings) -> InboundAlert:
        """The alert with the scenario that the configuration gives it."""
        return replace(self, scenario=settings.scenario(self.name))

    def observation(self, source: str) -> AlertObservation:
        """The alert as an observation of its condition."""
        return AlertObservation(
            name=one_line(self.name),
            fingerprint=self.fingerprint,
            state=ConditionState.HOLDS if self.firing else ConditionState.CLEAR,
            scenario=self.scenario,
            since=self.at,
            since_known=self.start_known,
            labels=self.labels,
            details=self.details,
            value=1.0,
            subject=one_line(subject_of(self)),
            title=one_line(self.title),
            summary=self.summary,
            facts=Facts(declared=self.severity),
            evidence=self.details,
            source=source,
            drill=self.drill,
            expires=self.expires,
        )


def subject_of(alert: InboundAlert) -> str:
    """What an alert is about: the most specific of the usual labels that it has, else its name."""
    return next((alert.labels[name] for name in _SUBJECT_LABELS if alert.labels.get(name)), alert.name)


def severity_of(labels: Mapping[str, str], settings: IntakeSettings) -> Severity:
    """The severity that the labels ask for; the configured one where they have no word that is known."""
    return settings.severity(labels.get(settings.severity_label, ""))


# Details, because a process of an earlier release refuses an alert with a key that it does not know.
_START = "start"
_EXPIRES = "expires"
# From the most specific to the least: of `host` and `job`, the host says more about what is broken.
_SUBJECT_LABELS = ("subject", "provider", "agent", "run", "host", "instance", "service", "job")

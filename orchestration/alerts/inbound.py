"""One alert from another system, whatever format it came in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
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
    `sender_group` is the group in which its sender has sent it, empty where the sender does not group.
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
    sender_group: str = ""

    def to_json(self) -> dict[str, Any]:
        """The alert as JSON values, as the inbox stores it; they share what the alert has."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "firing": self.firing,
            "at": self.at.isoformat(),
            "labels": self.labels,
            "title": self.title,
            "summary": self.summary,
            "severity": self.severity.value,
            "scenario": self.scenario.value,
            "details": {**self.details, **additions} if (additions := self._additions()) else self.details,
            "drill": self.drill,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], texts: dict[str, str] | None = None) -> InboundAlert:
        """The reverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else.

        `texts` holds the texts of other alerts, which are shared: most of those of thousands of alerts are the same.
        """
        known = {} if texts is None else texts
        details = _shared(data["details"], known)
        values = {
            **_shared(data, known),
            "labels": _shared(data["labels"], known),
            "details": details,
            "start_known": details.pop(_START, None) is None,
            "expires": None if (expires := details.pop(_EXPIRES, None)) is None else datetime.fromisoformat(expires),
            "sender_group": details.pop(_SENDER_GROUP, ""),
            "at": datetime.fromisoformat(data["at"]),
            "severity": Severity(data["severity"]),
            "scenario": Scenario(data["scenario"]),
        }
        return cls(**values)

    def _additions(self) -> dict[str, str]:
        expires = {} if self.expires is None else {_EXPIRES: self.expires.isoformat()}
        group = {_SENDER_GROUP: self.sender_group} if self.sender_group else {}
        return {**({} if self.start_known else {_START: "received"}), **expires, **group}

    def classified(self, settings: IntakeSettings) -> InboundAlert:
        """The alert with the scenario that the configuration gives it."""
        scenario = settings.scenario(self.name)
        return self if scenario is self.scenario else replace(self, scenario=scenario)

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
            facts=_FACTS[self.severity],
            evidence=self.details,
            source=source,
            drill=self.drill,
            expires=self.expires,
            sender_group=self.sender_group,
        )


def _shared(values: Mapping[str, Any], known: dict[str, str]) -> dict[str, Any]:
    return {name: known.setdefault(one, one) if isinstance(one, str) else one for name, one in values.items()}


def subject_of(alert: InboundAlert) -> str:
    """What an alert is about: the most specific of the usual labels that it has, else its name."""
    return next((alert.labels[name] for name in _SUBJECT_LABELS if alert.labels.get(name)), alert.name)


def severity_of(labels: Mapping[str, str], settings: IntakeSettings) -> Severity:
    """The severity that the labels ask for; the configured one where they have no word that is known."""
    return settings.severity(labels.get(settings.severity_label, ""))


# Details, because a process of an earlier release refuses an alert with a key that it does not know.
_START = "start"
_EXPIRES = "expires"
_SENDER_GROUP = "sender_group"
_FACTS = MappingProxyType({severity: Facts(declared=severity) for severity in Severity})
# From the most specific to the least: of `host` and `job`, the host says more about what is broken.
_SUBJECT_LABELS = ("subject", "provider", "agent", "run", "host", "instance", "service", "job")

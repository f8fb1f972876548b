"""What makes several alerts one problem, and what makes a problem another one. Pure.

Reports with one subject end up in one incident. The subjects are: an agent with one class of failure (and the version
of the configuration, where that is the cause), a provider, a host, the place of a secret, and what else a rule names.
Alerts of different subjects are put together in one way only: where one of `inhibition.DEFAULTS` declares that the
first causes the second.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from orchestration.alerts.model import Alert
from orchestration.domain.failure_class import FailureClass

# What fails when no agent does: the run's own steps, or its process.
_NO_AGENT = "runs"
# A run that failed because of its agent is the same failure, seen from the run, whose alert has the agent and the class
# among its details only.
_SAME_AS: Mapping[str, str] = MappingProxyType({"run-failed": "agent-failed"})
_FROM_DETAILS = ("agent", "failure")
# Labels that name what is broken. Others (run, worker, model) name what it happened to.
_NAMES_A_CAUSE = (
    *("agent", "failure", "provider", "host", "path", "channel", "source"),
    *("package", "advisory", "kind", "place", "fingerprint"),
)


def failure_subject(agent: str, failure: str, config_version: int | None = None) -> str:
    """The subject of an agent's failure: what the alerts about it are grouped by."""
    version = ""
    if failure == FailureClass.CONFIGURATION and config_version is not None:
        # Another version is another mistake; the one before may have been corrected.
        version = f" of version {config_version}"
    return f"{agent or _NO_AGENT}: {failure}{version}"


def cause_of(alert: Alert) -> str:
    """What is broken according to an alert."""
    labels = {name: alert.details[name] for name in _FROM_DETAILS if name in alert.details} | dict(alert.labels)
    named = [labels[name] for name in _NAMES_A_CAUSE if labels.get(name)]
    return " ".join([_SAME_AS.get(alert.name, alert.name), *named])


def by_cause(group: Iterable[Alert]) -> Mapping[str, Alert]:
    """The causes in a group of alerts, each with the alert that says most about it. Where there are several causes,
    people are told of each, and each is diagnosed."""
    found: dict[str, Alert] = {}
    for alert in group:
        known = found.get(cause := cause_of(alert))
        if known is None or (known.name in _SAME_AS and alert.name not in _SAME_AS):
            found[cause] = alert
    return found

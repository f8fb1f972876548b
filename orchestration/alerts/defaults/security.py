"""Rules about security. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.alerts.defaults.rule_builders import counted
from orchestration.alerts.rules import AlertRule
from orchestration.config.alerting import Aggregate, FactKind
from orchestration.config.matchers import parse_matchers
from orchestration.domain.scenario import Scenario

_SECURITY = Scenario.SECURITY_ALERT
_DAY = 86_400.0


def rules() -> Iterator[AlertRule]:
    """What may be an attack, or an invitation to one."""
    yield counted("secret-exposed", "secret_found", _SECURITY, at_least=1, window=_DAY).but(
        aggregate=Aggregate.LAST,  # it stands there until it is seen that it does not
        where=parse_matchers(['redacted!="true"']),
        by=("kind", "place"),
        subject="{place}",
        facts=FactKind.SECRET,
        title="A secret was written to {place}",
        summary="{place} holds a secret ({kind}) that was not redacted; whoever can read the file has it",
    )
    yield counted("secret-redacted", "secret_found", _SECURITY, at_least=1, window=600).but(
        aggregate=Aggregate.SUM,
        where=parse_matchers(['redacted="true"']),
        hold=3,  # by then it is known whether the same stands in a file, which is worse
        by=("kind", "place"),
        subject="redacted",
        facts=FactKind.MINOR,
        title="A secret was kept out of {place}",
        summary="A secret ({kind}) was redacted before it was written to {place}; find out how it got there",
    )
    yield counted("sign-ins-failed", "sign_in_failed", _SECURITY, at_least=5, window=300).but(
        by=("source",),
        subject="{source}",
        facts=FactKind.ACCESS,
        title="Sign-ins from {source} fail",
        summary="{value} failed sign-ins from {source} in {window} s",
    )
    yield counted("tool-refused", "tool_refused", _SECURITY, at_least=3, window=600).but(
        by=("agent", "run"),
        subject="{agent}",
        facts=FactKind.ACCESS,
        title="Agent {agent} wants what it may not",
        summary="{value} refused calls of {agent} in {window} s, the last about {about}: {reason}",
    )
    yield counted("token-revoked", "token_revoked", _SECURITY, at_least=1, window=3600).but(
        by=("source",),
        subject="{source}",
        facts=FactKind.ACCESS,
        title="A revoked token was used",
        summary="Somebody at {source} used a token that is revoked",
    )
    yield counted("vulnerability", "vulnerability", _SECURITY, at_least=1, window=_DAY).but(
        by=("package", "advisory"),
        subject="dependencies",
        facts=FactKind.VULNERABILITY,
        title="{package} has a known vulnerability",
        summary="{package} {version}: {advisory} {summary}",
    )

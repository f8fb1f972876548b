"""Rules about security. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.alerts.defaults.rule_builders import counted
from orchestration.alerts.rules import AlertRule
from orchestration.config.alerting import Aggregate, FactKind
from orchestration.config.matchers import parse_matchers
from orchestration.domain.duty import DutyKind, DutyRequest
from orchestration.domain.scenario import Scenario

_SECURITY = Scenario.SECURITY_ALERT
_DAY = 86_400.0


def rules() -> Iterator[AlertRule]:
    """Signs of an attack, and openings for one."""
    yield from _secrets()
    yield from _access()
    yield counted("vulnerability", "vulnerability", _SECURITY, at_least=1, window=_DAY).replace(
        # By advisory, so that updating a package past one advisory does not hide that another still applies.
        by=("package", "advisory"),
        subject="dependencies",
        facts=FactKind.VULNERABILITY,
        title="{package} has a known vulnerability",
        summary="{package} {version}: {advisory} {summary}",
    )


def _secrets() -> Iterator[AlertRule]:
    exposed = counted("secret-exposed", "secret_found", _SECURITY, at_least=1, window=_DAY).replace(
        aggregate=Aggregate.LAST,  # the secret stays exposed until a scan no longer finds it
        where=parse_matchers(['redacted!="true"', 'suspected!="true"']),
        by=("kind", "place"),
        subject="{place}",
        facts=FactKind.SECRET,
        title="A secret was written to {place}",
        summary="{place} holds a secret ({kind}) that was not redacted; whoever can read the file has it",
        # Removing the file does not take the secret back from anybody who has read it.
        duties=(
            DutyRequest(
                DutyKind.ROTATE_CREDENTIAL,
                "{kind} in {place}",
                "rotate or revoke the credential ({kind}) that was in {place}, or establish that it is worthless",
            ),
        ),
    )
    yield exposed
    yield exposed.replace(
        name="secret-suspected",
        where=parse_matchers(['redacted!="true"', 'suspected="true"']),
        facts=FactKind.SUSPECTED_SECRET,
        title="What may be a secret was written to {place}",
        summary="{place} holds what looks like a secret ({kind}), to judge by what is around it; whoever can read the"
        " file has it",
    )
    yield counted("secret-redacted", "secret_found", _SECURITY, at_least=1, window=600).replace(
        aggregate=Aggregate.SUM,
        # Agents read and write values of tests and examples all day; that they are hidden is no news.
        where=parse_matchers(['redacted="true"', 'suspected!="true"']),
        absence_proves=False,
        hold=3,  # long enough to learn whether the same secret is in a file too, which is worse
        by=("kind", "place"),
        subject="redacted",
        facts=FactKind.MINOR,
        title="A secret was kept out of {place}",
        summary="A secret ({kind}) was redacted before it was written to {place}; find out how it got there",
    )


def _access() -> Iterator[AlertRule]:
    # As many failures as lock a source out for one user name, so that the alert and the lock come together.
    yield counted("sign-ins-failed", "sign_in_failed", _SECURITY, at_least=5, window=300).replace(
        by=("source",),
        subject="{source}",
        facts=FactKind.ACCESS,
        # That the attempts have stopped may also mean that one has succeeded.
        absence_proves=False,
        duties=(_confirm("{source}", "confirm that nobody at {source} got in"),),
        title="Sign-ins from {source} fail",
        summary="{value} failed sign-ins from {source} in {window} s",
    )
    # Slips are left out, however many there are: a model is told why a call was refused, and goes on properly. What is
    # evidence of intent was decided when the call was refused (`security.refusals`).
    yield counted("tool-refused", "tool_refused", _SECURITY, at_least=1, window=600).replace(
        where=parse_matchers(['assessment=~"suspicious|attack"']),
        by=("agent", "run"),
        subject="{agent}",
        facts=FactKind.ACCESS,
        absence_proves=False,
        title="Agent {agent} tried to get at what it may not have",
        summary="{value} refused calls of {agent} in {window} s are evidence of intent, the last ({because}): {reason}",
    )
    yield counted("tool-held", "tool_held", _SECURITY, at_least=1, window=3600).replace(
        by=("server", "tool"),
        subject="{server}",
        facts=FactKind.ACCESS,
        absence_proves=False,
        title="The server {server} describes a tool in a way that is not accepted",
        summary="{tool} of {server} is not offered to agents: {reason}. Look at it, then accept it by "
        "`orchestrator mcp accept {server} {tool}`, or take the server out of the configuration",
    )
    # Once is enough: whoever still uses a revoked token has either missed the rotation or should never have had the
    # token.
    yield counted("token-revoked", "token_revoked", _SECURITY, at_least=1, window=3600).replace(
        by=("source",),
        subject="{source}",
        facts=FactKind.ACCESS,
        absence_proves=False,
        duties=(_confirm("{source}", "find out who at {source} has the revoked token"),),
        title="A revoked token was used",
        summary="Somebody at {source} used the token {token}, which is revoked",
    )


def _confirm(subject: str, summary: str) -> DutyRequest:
    return DutyRequest(DutyKind.CONFIRM_AT_SOURCE, subject, summary)

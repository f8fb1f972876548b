"""Who is affected by a problem, in words. Pure."""

from __future__ import annotations

from orchestration.domain.scenario import Scenario
from orchestration.incidents.model import Incident
from orchestration.incidents.report import BlastRadius, Facts


def affected(incident: Incident) -> str:
    """Who is affected, as far as is known; empty if nothing is known."""
    return describe_impact(incident.scenario, incident.facts, incident.blast_radius)


def describe_impact(scenario: Scenario, facts: Facts, blast: BlastRadius) -> str:
    """Who is affected by a problem, by its facts and its blast radius."""
    parts = (
        _providers(facts, blast.providers),
        _agents(facts, blast.agents),
        _runs(scenario, blast.runs),
        f"everything that runs on {', '.join(blast.hosts)}" if blast.hosts else "",
        "all of it: without the database nothing new can be recorded" if facts.database_unreachable else "",
    )
    return "; ".join(part for part in parts if part)


def _providers(facts: Facts, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    if not facts.providers_down or facts.providers_usable is None:
        return f"model calls to {', '.join(names)}"
    usable = facts.providers_usable
    left = f"{usable} of the fallback chain can take over" if usable else "no other is left, so every run waits"
    return f"no model call to {', '.join(names)} succeeds; {left}"


def _agents(facts: Facts, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    share = f" ({facts.agents_failing} of {facts.agents_total} agents fail)" if facts.agents_failing else ""
    return _listed("agent", names) + share


def _runs(scenario: Scenario, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    if scenario is Scenario.SECURITY_ALERT:
        return f"whatever {_listed('run', names)} wrote"
    return f"{_listed('run', names)} cannot be relied on to finish"


def _listed(what: str, names: tuple[str, ...]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names)}"

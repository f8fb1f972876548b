"""The facts of an alert, from which severity is derived, and how the facts of several alerts are merged. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from orchestration.alerts.rules import AlertRule, RuleResult
from orchestration.config.alerting import FactKind
from orchestration.domain.severity import Severity
from orchestration.incidents.report import Facts


@dataclass(frozen=True, slots=True)
class FactContext:
    """Data that facts need beside the samples: the number of agents, and of usable providers where it is known."""

    agents: int = 0
    providers_usable: int | None = None


def facts_of(rule: AlertRule, result: RuleResult, context: FactContext) -> Facts:
    """The facts of one alert."""
    values = _BUILDERS[rule.facts](result, context)
    return Facts(**values, declared=rule.severity)


def merge_facts(several: Iterable[Facts]) -> Facts:
    """The worst of each fact: the greatest count, the fewest usable providers, a workaround only if all have one."""
    known = tuple(dict.fromkeys(several))  # thousands of alerts may have the same facts
    if len(known) < 2:
        return known[0] if known else Facts()
    return Facts(**{name: _worst(name, [getattr(facts, name) for facts in known]) for name in _NAMES})


def worse(new: Facts, old: Facts) -> bool:
    """Whether `new` is materially worse than `old`. Shares count in steps of a quarter and latency in whole multiples,
    so that a value that fluctuates is not reported again and again."""
    if new == old:
        return False
    merged = merge_facts((new, old))
    return any(_step(name, getattr(merged, name)) != _step(name, getattr(old, name)) for name in _NAMES)


def facts_to_json(facts: Facts) -> dict[str, Any]:
    """The facts that differ from the default, as JSON values."""
    default = Facts()
    named = ((name, getattr(facts, name)) for name in _NAMES)
    return {name: value for name, value in named if value != getattr(default, name)}


def facts_from_json(values: Mapping[str, Any]) -> Facts:
    """The reverse of `facts_to_json`; names that this release does not know are ignored."""
    known = {name: value for name, value in values.items() if name in _NAMES}
    if (declared := known.get("declared")) is not None:
        known["declared"] = Severity(declared)
    return Facts(**known)


_NAMES = tuple(field.name for field in fields(Facts))
# Every other fact is a count or a flag, of which each change is news.
_STEPS = MappingProxyType({"failure_rate": 4.0, "latency_ratio": 1.0})


def _worst(name: str, values: list[Any]) -> Any:
    there = [value for value in values if value is not None]
    if not there:
        return None
    if name == "has_workaround":
        return all(there)
    return min(there) if name in ("providers_usable", "declared") else max(there)


def _step(name: str, value: Any) -> Any:
    return int(value * _STEPS[name]) if value is not None and name in _STEPS else value


def _distinct(result: RuleResult, label: str) -> int:
    return len({value for sample in result.counted if (value := sample.labels.get(label))})


def _agents(result: RuleResult, context: FactContext) -> dict[str, Any]:
    """An agent counts as failing if its latest task failed, whatever came before."""
    # Samples are oldest first, so the newest of each agent remains in the dictionary.
    latest = {sample.labels.get("agent", ""): sample for sample in result.samples}
    failing = sum(any(sample is one for one in result.counted) for sample in latest.values())
    return {
        "agents_failing": failing,
        "agents_total": max(context.agents, failing),
        "failure_rate": result.value if 0 <= result.value <= 1 else None,
        "runs_affected": _distinct(result, "run"),
    }


def _agent(result: RuleResult, context: FactContext) -> dict[str, Any]:
    """The same without a failure rate, which says nothing about the one latest task of one agent."""
    return _agents(result, context) | {"failure_rate": None}


def _run(result: RuleResult, _context: FactContext) -> dict[str, Any]:
    return {"runs_affected": max(1, _distinct(result, "run"))}


def _provider(_result: RuleResult, context: FactContext) -> dict[str, Any]:
    return {"providers_down": 1, "providers_usable": context.providers_usable}


def _flag(name: str) -> Callable[[RuleResult, FactContext], dict[str, Any]]:
    return lambda _result, _context: {name: True}


_BUILDERS: Mapping[FactKind, Callable[[RuleResult, FactContext], dict[str, Any]]] = MappingProxyType(
    {
        FactKind.AGENTS: _agents,
        FactKind.AGENT: _agent,
        FactKind.RUN: _run,
        FactKind.PROVIDER: _provider,
        FactKind.SLOWNESS: lambda result, _: {"latency_ratio": result.value},
        # The same kind serves a share of calls and a ratio to the usual error rate; a ratio above 1 is not a share.
        FactKind.ERRORS: lambda result, _: {"failure_rate": result.value if result.value <= 1 else None},
        FactKind.RESOURCES: _flag("resource_exhausted"),
        FactKind.DATABASE_DOWN: _flag("database_unreachable"),
        FactKind.CORRUPTION: _flag("corruption"),
        FactKind.DATA_LOSS: _flag("data_loss"),
        FactKind.BREACH: _flag("breach"),
        FactKind.SECRET: _flag("secret_exposed"),
        FactKind.SUSPECTED_SECRET: _flag("secret_suspected"),
        FactKind.ACCESS: _flag("access_refused"),
        FactKind.VULNERABILITY: _flag("vulnerability"),
        FactKind.MINOR: _flag("has_workaround"),
        FactKind.NONE: lambda _result, _context: {},
    }
)

"""The last good configuration: the newest with which the agents that fail now have succeeded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from orchestration.config.versions import ConfigVersion
from orchestration.storage.agent_outcomes import AgentOutcome


def last_good(
    versions: Iterable[ConfigVersion], outcomes: Sequence[AgentOutcome], in_force: int | None
) -> ConfigVersion | None:
    """The newest version with which every agent succeeded that ever did; None if there is none.

    `versions` and `outcomes` come newest first. Never the version in force, nor one with which an agent failed last,
    nor another with the same text: a file that was changed and changed back has two numbers.
    """
    known = tuple(versions)
    texts = {version.number: version.sha256 for version in known}
    # Of each agent the newest outcome only: what it failed with before may have been mended since, elsewhere.
    newest = {outcome.agent: outcome for outcome in reversed(outcomes)}
    bad = {in_force, *(one.config_version for one in newest.values() if one.failure is not None)}
    bad_texts = {texts.get(number) for number in bad if number is not None}
    good: dict[str, set[str | None]] = {}
    for outcome in outcomes:
        if outcome.failure is None and outcome.config_version is not None:
            good.setdefault(outcome.agent, set()).add(texts.get(outcome.config_version))
    if not good:
        return None
    candidates = set.intersection(*good.values()) - bad_texts
    return next((version for version in known if version.sha256 in candidates), None)


def worked_with(outcomes: Iterable[AgentOutcome], number: int) -> bool:
    """Whether every agent that ever succeeded did so with this version."""
    good: dict[str, set[int | None]] = {}
    for outcome in outcomes:
        if outcome.failure is None:
            good.setdefault(outcome.agent, set()).add(outcome.config_version)
    return bool(good) and all(number in numbers for numbers in good.values())


def last_success(outcomes: Iterable[AgentOutcome]) -> datetime | None:
    """When these agents last succeeded: the earliest of their newest successes, since one of them may have failed for
    longer than the others. None if none ever did."""
    newest: dict[str, datetime] = {}
    for outcome in outcomes:
        if outcome.failure is None:
            newest.setdefault(outcome.agent, outcome.at)
    return min(newest.values(), default=None)

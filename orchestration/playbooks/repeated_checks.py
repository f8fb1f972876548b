"""Checks that a verification repeats, second after second: one record for each change of the answer. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orchestration.domain.playbook_state import ActionState
from orchestration.playbooks import conditions
from orchestration.playbooks.conditions import Condition
from orchestration.storage.playbooks import ActionRun

_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")


def folded(earlier: ActionRun | None, check: ActionRun, asked: Sequence[Condition]) -> ActionRun:
    """The record to be kept: the earlier one, with this check as its latest, if the answer is still the same.

    `asked` are the conditions of the verification; the answer is what they ask for.
    """
    if earlier is None or answer(earlier, asked) != answer(check, asked):
        return check
    return replace(check, key=earlier.key, started_at=earlier.started_at, count=earlier.count + 1)


def answer(check: ActionRun, asked: Sequence[Condition]) -> tuple[Any, ...]:
    """What a check says about the conditions. Measured numbers count only by whether the conditions hold, since they
    differ each time; so do those in the text of a failure."""
    facts = {f"{check.step}.{name}": value for name, value in check.findings.items()}
    named = sorted({name for condition in asked for name in conditions.names(condition) if name in facts})
    values = [(name, facts[name]) for name in named if not _measured(facts[name])]
    verdicts = [conditions.holds(condition, facts) for condition in asked]
    failure = "" if check.state is ActionState.DONE else _NUMBERS.sub("#", check.summary)
    return (check.state, check.mode, check.guard, failure, values, verdicts)


def _measured(value: Any) -> bool:
    # A bool is an int in Python, and no measurement.
    return isinstance(value, int | float) and not isinstance(value, bool)

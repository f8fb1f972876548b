"""How the budgets of a client stand, in a header of each answer. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from orchestration.providers.wire import BudgetStanding

BUDGET = "X-Orchestrator-Budget"


def budget_headers(standings: Sequence[BudgetStanding]) -> dict[str, str]:
    """The header, as a list in the syntax of RFC 9651; a budget whose soft limit is reached says `over-soft`."""
    return {BUDGET: ", ".join(map(_item, standings))} if standings else {}


def _item(one: BudgetStanding) -> str:
    # Strings of that syntax are those of JSON, in ASCII and without escapes other than of quotes and backslashes.
    name = json.dumps(one.subject.encode("ascii", "replace").decode())
    return "".join([name, f";period={one.period}", *_counts(one), f";reset={int(one.resets_in)}"])


def _counts(one: BudgetStanding) -> list[str]:
    found = []
    for unit, used, soft, hard, places in (
        ("tokens", float(one.used_tokens), one.soft.tokens, one.hard.tokens, 0),
        ("usd", one.used_usd, one.soft.usd, one.hard.usd, 3),
    ):
        if soft is None and hard is None:
            continue
        found.append(f";used-{unit}={used:.{places}f}")
        if soft is not None:
            found.append(f";soft-{unit}={soft:.{places}f}")
            # A flag, which is true by being there.
            found += [";over-soft"] if used >= soft else []
        if hard is not None:
            left = max(0.0, hard - used)
            found.append(f";hard-{unit}={hard:.{places}f};remaining-{unit}={left:.{places}f}")
    return found

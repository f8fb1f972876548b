"""What the person on call of a drill does is not the drill's failure where automation was faster."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.drills import person
from orchestration.drills.processes import DrillError


@pytest.mark.parametrize("still_due", [True, False])
async def test_a_command_that_is_refused_counts_only_while_its_cause_is_due(still_due: bool) -> None:
    said: list[tuple[str, ...]] = []

    async def command(*words: str) -> None:
        said.append(words)
        raise DrillError("duty 1 was done by automation:duties already")

    async def due() -> list[Any]:
        return [("inc-1", 1)] if still_due else []

    environment: Any = SimpleNamespace(command=command)
    try:
        await person._command(environment, ("incidents", "duty-done", "inc-1", "1"), ("inc-1", 1), due)
    except DrillError:
        assert still_due
    else:
        assert not still_due
    assert said == [("incidents", "duty-done", "inc-1", "1")]

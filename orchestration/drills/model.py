"""What a drill is: a fault, the work that runs when it is injected, and what is expected to come of it. Immutable."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import DrillExpectation
from orchestration.drills.setup import DrillSetting

Inject = Callable[[DrillEnvironment], Coroutine[Any, Any, None]]
Possible = Callable[[], str]

_USUAL = DrillSetting()


async def _mend_provider(environment: DrillEnvironment) -> None:
    await environment.primary.mend()


@dataclass(frozen=True, slots=True)
class DrillWork:
    """What runs when the fault is injected: the goal of the sample project, or a goal of the drill's own for one agent.

    The fault is injected once `calls` model calls were answered and the workspace holds the file `sign`; without a goal
    the system is idle.
    """

    goal: str | None = None
    agent: str | None = None
    calls: int = 0
    sign: str = ""
    sample: bool = False
    priority: str = "normal"


@dataclass(frozen=True, slots=True)
class Drill:
    """A rehearsed failure. `prepare` runs before the work starts, `inject` is the fault itself.

    The person on call does three things beside saying yes: `before_answering` is what a question asks them to do first,
    by its action; `mend` removes the cause, where `expects.mended` says so, once a workaround carries the work;
    `attend` is everything else, from the moment of the fault on.

    `impossible` returns why the drill cannot be run on this machine, or nothing. `quick` drills take a few seconds;
    `sqlite_only` ones manipulate the file of the database."""

    name: str
    fault: str
    expects: DrillExpectation
    inject: Inject
    scenario: Scenario
    work: DrillWork = DrillWork(sample=True, calls=2)
    setting: DrillSetting = _USUAL
    prepare: Inject | None = None
    attend: Inject | None = None
    before_answering: Mapping[str, Inject] = field(default_factory=dict)
    mend: Inject = _mend_provider
    impossible: Possible = lambda: ""
    quick: bool = False
    sqlite_only: bool = False

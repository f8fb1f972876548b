"""The plan of a blind drill: which faults come when. The same seed and number give the same plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestration.drills.blind.dice import Dice
from orchestration.drills.blind.primitives import PRIMITIVES, SHARES, DrawnFault, Primitive

# One of five in a row has no fault at all: an answer to nothing is as wrong as no answer.
BLOCK = 5
MOST_FAULTS = 3
# Within the time that the work takes, so that faults meet it.
_LATEST_SECONDS = 6.0
_THREE_SHARE, _TWO_SHARE = 0.2, 0.5


@dataclass(frozen=True, slots=True)
class BlindPlan:
    """One blind drill: the faults in the order in which they come, none at all in one of five."""

    seed: int
    number: int
    faults: tuple[DrawnFault, ...]

    @property
    def name(self) -> str:
        return f"blind-{self.seed}-{self.number}"

    @property
    def needs(self) -> frozenset[str]:
        """What the machine has to offer for it."""
        return frozenset(need for fault in self.faults for need in fault.primitive.needs)


def draw_plans(seed: int, count: int) -> tuple[BlindPlan, ...]:
    """The plans with the numbers from 1 to `count`."""
    return tuple(draw_plan(seed, number) for number in range(1, count + 1))


def draw_plan(seed: int, number: int) -> BlindPlan:
    """One plan. It does not depend on how many are drawn, so that each can be repeated alone."""
    block, place = divmod(number - 1, BLOCK)
    if Dice("quiet", seed, block).one_of(range(BLOCK)) == place:
        return BlindPlan(seed, number, ())
    dice = Dice("faults", seed, number)
    faults = sorted(_draw(dice), key=lambda fault: fault.at)
    return BlindPlan(seed, number, tuple(faults))


def _draw(dice: Dice) -> Iterator[DrawnFault]:
    count = MOST_FAULTS if dice.happens(_THREE_SHARE) else 2 if dice.happens(_TWO_SHARE) else 1
    left = [group for group, share in SHARES.items() for _ in range(share)]
    for _ in range(count):
        # Two of one group would be one fault that hides the other, such as two ways to lose a database.
        group = dice.one_of(left)
        left = [other for other in left if other != group]
        primitive: Primitive = dice.one_of([one for one in PRIMITIVES if one.group == group])
        yield primitive.draw(dice, dice.between(0.0, _LATEST_SECONDS))

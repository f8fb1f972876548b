"""Drawing from a seed, alike on every machine and Python version. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws. Only `random()` of the generator is used: Python promises that its sequence stays the same for a seed,
    and promises nothing of the kind for its other methods. https://docs.python.org/3/library/random.html
    """

    def __init__(self, *seed: object) -> None:
        self._generator = random.Random("/".join(map(str, seed)))  # noqa: S311 (drills, not secrets)

    def between(self, low: float, high: float) -> float:
        """A number of that range, to a hundredth."""
        return round(low + (high - low) * self._generator.random(), 2)

    def one_of(self, choices: Sequence[T]) -> T:
        """One of several, with equal chances."""
        return choices[int(len(choices) * self._generator.random())]

    def happens(self, share: float) -> bool:
        """True in that share of cases."""
        return self._generator.random() < share

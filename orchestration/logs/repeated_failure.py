"""A failure that repeats for as long as its cause lasts: the log has a line for each problem, and not one a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orchestration.errors import OrchestratorError

# Texts that differ each time must not fill the log, nor the memory.
_MOST_PROBLEMS = 20


class RepeatedFailure:
    """Logs each problem once, until an attempt has succeeded. After that, it is new again."""

    def __init__(self, log: Callable[..., Any], event: str, meanwhile: str = "") -> None:
        """`log` is a method of a logger, such as `warning`, and `event` the name of its lines. `meanwhile` says what
        goes on in spite of a failure."""
        self._log = log
        self._event = event
        self._meanwhile = meanwhile and f"; {meanwhile}"
        self._problems: set[str] = set()

    @contextmanager
    def tolerated(self, *kinds: type[Exception]) -> Iterator[None]:
        """Work that may fail in these ways and is tried again later: such an error ends the block, and nothing else."""
        try:
            yield
        except kinds as error:
            # Texts of other errors may hold parameters and addresses.
            self.note(str(error) if isinstance(error, OrchestratorError) else type(error).__name__)
        else:
            self.note("")

    def note(self, problem: str) -> None:
        """Note how an attempt has turned out; an empty problem for one that succeeded."""
        if not problem:
            self._problems.clear()
        elif problem not in self._problems and len(self._problems) < _MOST_PROBLEMS:
            self._problems.add(problem)
            self._log(self._event, message=f"{problem}{self._meanwhile}")

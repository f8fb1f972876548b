"""The requests that the server received, for tests and drills that count them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

# A bound for a server that is left running; the counts by path and fault stay complete.
_CALLS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A model call. Two with the same `fingerprint` are the same call made twice."""

    path: str
    model: str
    role: str
    fingerprint: str
    streaming: bool
    fault: str | None


class CallLog:
    """Counts requests by path and by fault, and keeps the latest model calls."""

    def __init__(self) -> None:
        self._paths: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._calls: deque[ChatCall] = deque(maxlen=_CALLS_KEPT)
        self._at_once = self._most_at_once = 0

    def add_request(self, path: str) -> None:
        self._paths[path] += 1

    @contextmanager
    def answering(self) -> Iterator[None]:
        """A request is being answered for as long as the block lasts."""
        self._at_once += 1
        self._most_at_once = max(self._most_at_once, self._at_once)
        try:
            yield
        finally:
            self._at_once -= 1

    def add_fault(self, name: str) -> None:
        self._faults[name] += 1

    def add_call(self, call: ChatCall) -> None:
        self._calls.append(call)

    def stats(self) -> dict[str, Any]:
        """Requests by path, and by the fault that they got; and how many with a body were answered at once at most."""
        return {"paths": dict(self._paths), "faults": dict(self._faults), "most_at_once": self._most_at_once}

    def calls(self) -> list[dict[str, Any]]:
        """The latest model calls, oldest first."""
        return [asdict(call) for call in self._calls]

"""How many connections a client has."""

from __future__ import annotations

from typing import NamedTuple


class ConnectionCounts(NamedTuple):
    """Connections that carry a request, and those that are kept for the next one."""

    busy: int = 0
    idle: int = 0

    def plus(self, other: ConnectionCounts) -> ConnectionCounts:
        """Those of both."""
        return ConnectionCounts(self.busy + other.busy, self.idle + other.idle)

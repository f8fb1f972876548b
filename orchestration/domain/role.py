"""The roles of users and tokens."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The role of a user or a token; each includes the ones before it."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)

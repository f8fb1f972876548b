"""Who asks, and what they may do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person or a token is trusted with; each may do what those before it may."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a user, a token or the local console. `scopes` narrow a token down to areas (`runs`, `incidents`);
    None means all."""

    name: str
    role: Role
    scopes: frozenset[str] | None = None

    def may(self, needed: Role, area: str) -> bool:
        """Whether something in an area that needs this role is allowed."""
        return self.role.includes(needed) and (self.scopes is None or area in self.scopes)

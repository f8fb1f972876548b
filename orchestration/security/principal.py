"""Callers, their roles, and what they may do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: a user, a token or the local console. `scopes` restrict a token to areas (`runs`,
    `incidents`); None means all."""

    name: str
    role: Role
    scopes: frozenset[str] | None = None

    def may(self, needed: Role, area: str) -> bool:
        """Whether an operation in an area that needs this role is allowed."""
        return self.role.includes(needed) and (self.scopes is None or area in self.scopes)

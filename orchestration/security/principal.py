"""Callers, and what they may do. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.domain.role import Role

__all__ = ["Principal", "Role"]


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

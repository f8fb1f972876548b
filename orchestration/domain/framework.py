"""Frameworks whose crews, graphs and agents can be agents here."""

from __future__ import annotations

from enum import StrEnum


class Framework(StrEnum):
    """A framework, by the name of its package."""

    CREWAI = "crewai"
    LANGGRAPH = "langgraph"
    PYDANTIC_AI = "pydantic-ai"

    @property
    def package(self) -> str:
        """The package that carries the framework's version."""
        return "pydantic-ai-slim" if self is Framework.PYDANTIC_AI else self.value

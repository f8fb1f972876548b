"""What the surfaces need to know to offer a command."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from orchestration.security.principal import Role


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """Where the API serves a command, below its incident or run (`/incidents/{incident}/`); `operation` is its OpenAPI
    operation."""

    operation: str
    path: str
    method: Literal["POST", "PUT"] = "POST"
    status: int = 200


@dataclass(frozen=True, slots=True)
class PageForm:
    """The form on the page of an incident or a run.

    When it is done, the address of the next page carries the word `done`, and that page shows the `confirmation`.
    `shown` says in which states the page lists the form; without it, the page places the form itself. `undo` says how
    what the form does can be taken back, or that it cannot.
    """

    name: str
    done: str
    confirmation: str
    title: str = ""
    button: str = ""
    shown: Enum | None = None
    order: int = 0
    danger: bool = False
    explanation: str = ""
    undo: str = ""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What the surfaces need to offer a command. One without any surface is for automation only.

    `summary` is the one sentence that the console's help and the API's documentation show. `composite` commands share
    one console command with others, written by hand.
    """

    summary: str
    console: str = ""
    api: ApiRoute | None = None
    page: PageForm | None = None
    role: Role = Role.RESPONDER
    composite: bool = False

    @property
    def for_people(self) -> bool:
        """Whether a person can give this command."""
        return bool(self.console or self.api or self.page)

"""What the system has to know about one kind of notification channel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic.alias_generators import to_snake

from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.document import JsonPath
from orchestration.config.problems import Problem

ChannelCheck = Callable[[str, ChannelSettings, JsonPath], Iterator[Problem]]
"""Finds problems in the settings of the channel with that name, which stand at that place in the file."""


@dataclass(frozen=True, slots=True)
class AddressFormat:
    """The form of the address that each contact has on a channel: `noun` names it, `example` shows it."""

    noun: str
    example: str
    pattern: re.Pattern[str]

    def accepts(self, address: str | None) -> bool:
        """Whether an address has the form."""
        return bool(self.pattern.fullmatch(address or ""))


@dataclass(frozen=True, slots=True)
class ChannelDescriptor:
    """One kind of channel: its settings, its checks, its limits, its documentation, and the class that sends.

    `factory` is written as "module:class", as an entry point is. The configuration describes channels without importing
    what sends on them: those libraries stay unloaded until a message is due, and nothing here needs an upper layer.
    """

    name: str
    summary: str
    factory: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    options: type[BaseModel] | None = None
    address: AddressFormat | None = None
    checks: tuple[ChannelCheck, ...] = ()
    per_second: float | None = None  # what the vendor allows, unless the settings say otherwise
    limits: str = ""
    carries_reports: bool = True
    carries_reminders: bool = True
    # Whether contacts with the same address, or all where the channel itself is the address, get one message together.
    shared: bool = False
    # Whether a message reaches one person or a chat, who may answer by its links; a log would keep them.
    carries_links: bool = True
    # Whether a conversation about an incident is a ticket, whose address is shown with the incident.
    makes_tickets: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys that name environment variables; their values are never shown."""
        return tuple(key for key in (*self.required, *self.optional) if key.endswith("Env"))

    def missing(self, settings: ChannelSettings) -> tuple[str, ...]:
        """The keys without which a channel cannot send, and which the settings do not have."""
        return tuple(key for key in self.required if not _is_given(settings, key))


def _is_given(settings: ChannelSettings, key: str) -> bool:
    # An address that is no secret may stand in the file itself.
    return bool(getattr(settings, to_snake(key)) or (key == "urlEnv" and settings.url))

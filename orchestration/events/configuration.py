"""Events of the configuration: the file, its versions, overrides and credentials."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class ConfigurationLoaded(EventPayload):
    """A configuration is in force; `number` is its version, unknown without the database."""

    kind: ClassVar[str] = "configuration.loaded"
    template: ClassVar[str] = "configuration loaded"

    # Without the database a version cannot be numbered, but the configuration must come into force all the same.
    number: int | None
    sha256: str
    warnings: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ConfigurationRefused(EventPayload):
    """An edit cannot be used; the last good configuration stays in force."""

    kind: ClassVar[str] = "configuration.refused"
    template: ClassVar[str] = "the configuration was refused; {message}"
    level: ClassVar[int] = logging.ERROR

    message: str
    findings: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ConfigurationUnrecorded(EventPayload):
    """The database could not be asked for overrides, nor told of this version."""

    # The log is where this is seen at once: the timeline is in the database that does not answer.
    kind: ClassVar[str] = "configuration.unrecorded"
    template: ClassVar[str] = "the database could not be read for the configuration: {message}"
    level: ClassVar[int] = logging.WARNING

    message: str


@dataclass(frozen=True, slots=True)
class ConfigurationRolledBack(EventPayload):
    """A person went back to an earlier version."""

    kind: ClassVar[str] = "configuration.rolled_back"
    template: ClassVar[str] = "configuration rolled back to version {number}"

    number: int


@dataclass(frozen=True, slots=True)
class CredentialsChanged(EventPayload):
    """Secrets in the environment file were added, removed or changed."""

    kind: ClassVar[str] = "credentials.changed"

    # Names only: an event goes to sinks that must never hold a value. The gateway tries rejected keys again on this
    # event.
    names: tuple[str, ...]

    def sentence(self) -> str:
        return f"credentials changed: {', '.join(self.names)}"


@dataclass(frozen=True, slots=True)
class OverrideAdded(EventPayload):
    """A temporary change to the configuration is in force, until `expires_at` if that is given."""

    kind: ClassVar[str] = "override.added"
    template: ClassVar[str] = "override {id} added: {reason}"

    id: str
    # JSON and not the override's type: `events` is a layer below `config`.
    change: Mapping[str, Any]
    reason: str
    # As text, because the data of an event holds JSON values only.
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class OverrideRemoved(EventPayload):
    """A temporary change was ended before its time."""

    kind: ClassVar[str] = "override.removed"
    template: ClassVar[str] = "override {id} removed"

    id: str

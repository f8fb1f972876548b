"""The configuration in force: the last good file, the credentials, and the overrides on top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from anyio import Lock, to_thread

from orchestration.clock import Clock
from orchestration.config.credentials import EnvironmentCredentials
from orchestration.config.document import JsonSyntaxError
from orchestration.config.findings import ConfigFinding, ConfigurationError
from orchestration.config.overrides import AnyChange, Override, OverrideStore, effective
from orchestration.config.schema import Configuration
from orchestration.config.source import ConfigSource, SourceReading, SourceState
from orchestration.config.textfile import UnreadableError, read_text, replace_text
from orchestration.config.versions import ConfigDifference, ConfigVersion, VersionStore, diff
from orchestration.config.watcher import changes
from orchestration.errors import ConflictError, OrchestratorError
from orchestration.events import EventBus
from orchestration.events.configuration import (
    ConfigurationLoaded,
    ConfigurationRefused,
    ConfigurationUnrecorded,
    CredentialsChanged,
    OverrideAdded,
    OverrideRemoved,
)
from orchestration.ids import new_id

Subscriber = Callable[[Configuration], None]

# What the names of actors that are no people begin with.
AUTOMATION = "playbook:"


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at the disk and the database brought; `trouble` when the database did not answer."""

    reading: SourceReading | None
    generation: int
    overrides: tuple[Override, ...] | None = None
    number: int | None = None
    trouble: str = ""


class ConfigurationStore:
    """Holds the good configuration and follows the files.

    `open` first; then `watch` in a task of its own, or `refresh` at will. Reading is done in a thread; what is in
    force changes, and subscribers are called, on the caller's own.
    """

    def __init__(
        self, source: ConfigSource, *, clock: Clock, bus: EventBus, versions: VersionStore, overrides: OverrideStore
    ) -> None:
        self._source = source
        self._clock = clock
        self._bus = bus
        self._versions = versions
        self._override_store = overrides
        self._overrides: tuple[Override, ...] = ()
        self._generation = 0
        self._subscribers: list[Subscriber] = []
        self._signature = source.signature()
        self._looking = Lock()
        self._trouble = ""
        self._state: SourceState | None = None
        self._told: tuple[Configuration, EnvironmentCredentials] | None = None
        self._laid: tuple[SourceState, tuple[Override, ...], Configuration] | None = None
        self.refused: tuple[ConfigFinding, ...] = ()
        self.number: int | None = None

    def open(self, *, or_last_good: bool = False) -> Configuration:
        """Read everything for the first time.

        Raises ConfigurationError when the files cannot be used; with `or_last_good`, as for a worker that is started
        again while somebody edits, only when no kept version can be used either.
        """
        self._signature = self._source.signature()
        reading = self._source.read()
        if reading.state is None and or_last_good:
            texts = tuple(version.text for version in self._versions.history())
            reading = SourceReading(self._source.last_good(texts), reading.refused)
        if reading.state is None:
            raise ConfigurationError(str(self._source.loader.path), reading.refused)
        self._accept(self._complete(reading))
        return self.current

    @property
    def current(self) -> Configuration:
        """The configuration in force now."""
        state, now = self._opened(), self._clock.now()
        in_force = tuple(override for override in self._overrides if override.in_force(now))
        if self._laid is None or self._laid[0] is not state or self._laid[1] != in_force:
            self._laid = (state, in_force, effective(state.configuration, in_force, now))
        return self._laid[2]

    @property
    def credentials(self) -> EnvironmentCredentials:
        """The credentials in force now; ask again for each use, so that a rotated key is used at once."""
        return self._opened().credentials

    @property
    def file(self) -> Configuration:
        """What the file itself says, without the overrides."""
        return self._opened().configuration

    @property
    def findings(self) -> tuple[ConfigFinding, ...]:
        """The warnings about what is in force."""
        return self._opened().findings

    @property
    def overrides(self) -> tuple[Override, ...]:
        """The overrides that change something now, oldest first."""
        file, now = self._opened().configuration, self._clock.now()
        return tuple(one for one in self._overrides if one.in_force(now) and not one.change.superseded(file))

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Be called with each new configuration, and when credentials have changed; the returned function ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def refresh(self) -> None:
        """Look at files and overrides now, in this thread, and take in what is good."""
        self._accept(self._look())

    async def watch(self) -> None:
        """Follow the files and the overrides until cancelled; an edit is in force within two seconds."""
        paths = (self._source.loader.path, self._source.env_path)
        async for _ in changes(paths, self._source.signature, self._clock):
            await self.look()

    async def look(self) -> None:
        """Take in at once what `watch` would see in a moment: another process may just have changed it."""
        async with self._looking:
            self._accept(await to_thread.run_sync(self._look))

    def history(self, limit: int = 50) -> tuple[ConfigVersion, ...]:
        """The newest versions that were in force, newest first."""
        return self._versions.history(limit)

    def diff(self, before: int, after: int) -> tuple[ConfigDifference, ...]:
        """What changed between two versions. Raises NotFoundError."""
        return diff(self._versions.get(before).text, self._versions.get(after).text)

    def changes_to(self, number: int) -> tuple[ConfigDifference, ...] | None:
        """What writing an earlier version would change in the file; None where the file is no JSON to compare with.
        Raises NotFoundError."""
        version = self._versions.get(number)
        try:
            return diff(read_text(self._source.loader.path), version.text)
        except (UnreadableError, JsonSyntaxError):
            return None

    def rollback(self, number: int) -> ConfigVersion:
        """Write an earlier version into the file; it is then read like any other edit.

        Only ever on a person's request. Raises NotFoundError, or ConfigurationError when that version cannot be used
        with the credentials of today.
        """
        version = self._versions.get(number)
        self._source.loader.parse(version.text, self.credentials.names).usable()
        replace_text(self._source.loader.path, version.text)
        return version

    def add_override(self, change: AnyChange, *, reason: str, actor: str, seconds: float | None = None) -> Override:
        """Put a change in force: here at once, elsewhere within a second; for so long, or until it is taken away.

        Raises ConfigurationError when the configuration would have an error with it.
        """
        state, now = self._opened(), self._clock.now()
        if errors := self._source.loader.judge(change.apply(self.current), state.credentials.names):
            raise ConfigurationError(f"the configuration with {change.kind} {change.target}", errors)
        override = Override(
            id=new_id("override", now.timestamp()),
            change=change.model_copy(update={"over": change.subject(state.configuration)}),
            reason=reason,
            actor=actor,
            created_at=now,
            expires_at=None if seconds is None else now + timedelta(seconds=seconds),
        )
        self._override_store.add(override)
        self._lay((*self._overrides, override))
        details = override.model_dump(
            mode="json", exclude={"actor": True, "created_at": True, "change": {"document", "over"}}
        )
        self._bus.publish(OverrideAdded(**details), actor=actor)
        return override

    def remove_override(self, override_id: str, actor: str) -> None:
        """End a change before its time. Raises NotFoundError, and ConflictError where only a person may."""
        known = next((one for one in self._overrides if one.id == override_id), None)
        if known is not None and known.change.for_people and actor.startswith(AUTOMATION):
            raise ConflictError(
                f"expected a person to end {known.change.kind}, got {actor}; "
                f"a person does it with `orchestrator config overrides remove {override_id}`"
            )
        self._override_store.remove(override_id, self._clock.now())
        self._lay(tuple(override for override in self._overrides if override.id != override_id))
        self._bus.publish(OverrideRemoved(id=override_id), actor=actor)

    def _lay(self, overrides: tuple[Override, ...]) -> None:
        self._generation += 1
        self._overrides = overrides
        self._tell()

    def _opened(self) -> SourceState:
        if self._state is None:
            raise RuntimeError("open() comes first")
        return self._state

    def _look(self) -> _Look:
        signature = self._source.signature()
        if signature == self._signature:
            return self._complete(None)
        self._signature = signature
        return self._complete(self._source.read(self._state))

    def _complete(self, reading: SourceReading | None) -> _Look:
        """Add what the database knows. Without it the files alone decide: an outage must not stop an edit."""
        now, generation = self._clock.now(), self._generation
        try:
            overrides = self._override_store.active(now)
            return _Look(reading, generation, overrides, self._record(reading, now))
        except OrchestratorError as error:
            return _Look(reading, generation, trouble=str(error))

    def _record(self, reading: SourceReading | None, now: datetime) -> int | None:
        if reading is None or reading.state is None:
            return None
        return self._versions.record(reading.state.loaded.text, reading.state.loaded.sha256, now).number

    def _accept(self, look: _Look) -> None:
        if look.trouble and look.trouble != self._trouble:
            self._bus.publish(ConfigurationUnrecorded(message=look.trouble))
        self._trouble = look.trouble
        # An override that was added or removed during the look is not in what it saw.
        if look.overrides is not None and look.generation == self._generation:
            self._overrides = look.overrides
        if look.reading is not None:
            self._take_in(look.reading, look.number)
        self._tell()

    def _take_in(self, reading: SourceReading, number: int | None) -> None:
        self.refused = reading.refused
        if reading.refused:
            findings = tuple(finding.as_json() for finding in reading.refused)
            message = f"the last good one stays in force: {reading.refused[0]}"
            self._bus.publish(ConfigurationRefused(message=message, findings=findings))
        before, after = self._state, reading.state
        if after is None or (before is not None and after.same_as(before)):
            return
        self._state = after
        self.number = number if number is not None else self.number
        if before is None or before.loaded.sha256 != after.loaded.sha256:
            warnings = tuple(finding.as_json() for finding in after.findings)
            self._bus.publish(ConfigurationLoaded(number=number, sha256=after.loaded.sha256, warnings=warnings))
        if before is not None and before.credentials != after.credentials:
            self._bus.publish(CredentialsChanged(names=tuple(after.credentials.changed_since(before.credentials))))

    def _tell(self) -> None:
        current = self.current
        told = (current, self.credentials)
        if told == self._told:
            return
        self._told = told
        for subscriber in tuple(self._subscribers):
            subscriber(current)

"""The configuration in force: the last good file with the overrides applied, and the credentials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from anyio import Lock, to_thread

from orchestration.clock import Clock
from orchestration.config.credentials import EnvironmentCredentials
from orchestration.config.document import JsonSyntaxError
from orchestration.config.env_file import with_variable
from orchestration.config.findings import ConfigFinding, ConfigurationError
from orchestration.config.overrides import (
    AnyChange,
    IsolateOverride,
    Override,
    OverrideOrigin,
    OverrideStore,
    PinConfiguration,
    effective,
)
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
from orchestration.events.security import IsolationLifted, IsolationStarted
from orchestration.ids import new_id

Subscriber = Callable[[Configuration], None]

# The prefix of actors that are not people.
AUTOMATION = "playbook:"


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What was read at one time from the disk and the database, or why the database did not answer."""

    reading: SourceReading | None
    generation: int
    overrides: tuple[Override, ...] | None = None
    number: int | None = None
    database_error: str = ""


class ConfigurationStore:
    """Holds the configuration in force and follows the files.

    Call `open` first; then run `watch` in a task, or call `refresh` as needed. `watch` reads in a thread, but the
    configuration changes, and subscribers are called, on the event loop.
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
        self._refreshing = Lock()
        self._database_error = ""
        self._state: SourceState | None = None
        self._published: tuple[Configuration, EnvironmentCredentials] | None = None
        self._effective: tuple[SourceState, tuple[Override, ...], Configuration] | None = None
        self.refused: tuple[ConfigFinding, ...] = ()
        self.number: int | None = None

    def open(self, *, or_last_good: bool = False) -> Configuration:
        """Read everything for the first time.

        Raises ConfigurationError if the files cannot be used; with `or_last_good`, only if no stored version can be
        used either. Workers pass that: one that is replaced while the user edits must not wait for the edit.
        """
        # Before the reading: an edit that comes meanwhile differs from it, and is read at the next tick.
        self._signature = self._source.signature()
        reading = self._source.read()
        if reading.state is None and or_last_good:
            texts = tuple(version.text for version in self._versions.list())
            reading = SourceReading(self._source.last_good(texts), reading.refused)
        if reading.state is None:
            raise ConfigurationError(str(self._source.loader.path), reading.refused)
        self._apply(self._add_stored(reading))
        return self.current

    @property
    def current(self) -> Configuration:
        """The configuration in force now."""
        state, now = self._opened(), self._clock.now()
        in_force = tuple(override for override in self._overrides if override.in_force(now))
        # Every access asks for the configuration, so it is computed only when something that it is made of has
        # changed.
        if self._effective is None or self._effective[0] is not state or self._effective[1] != in_force:
            self._effective = (state, in_force, effective(state.configuration, in_force, now))
        return self._effective[2]

    @property
    def number_in_force(self) -> int | None:
        """The number of the version that counts now: that of the file, or of the one that is pinned in its place."""
        pins = [one.change for one in self.overrides if isinstance(one.change, PinConfiguration)]
        return pins[-1].number if pins else self.number

    @property
    def credentials(self) -> EnvironmentCredentials:
        """The credentials in force now. Read them anew for each use, so that a rotated key takes effect at once."""
        return self._opened().credentials

    @property
    def file(self) -> Configuration:
        """The configuration of the file alone, without the overrides."""
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
        """Call `subscriber` with each new configuration, and when credentials have changed. The returned function
        unsubscribes."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def refresh(self) -> None:
        """Read files and overrides now, in this thread, and apply what can be used."""
        self._apply(self._read_all())

    async def watch(self) -> None:
        """Follow the files and the overrides until cancelled; an edit is in force within two seconds."""
        paths = (self._source.loader.path, self._source.env_path)
        async for _ in changes(paths, self._source.signature, self._clock):
            await self.refresh_in_thread()

    async def refresh_in_thread(self) -> None:
        """Read and apply now what `watch` would see in a moment: another process may just have changed something."""
        # One at a time, or an older reading could be applied after a newer one.
        async with self._refreshing:
            self._apply(await to_thread.run_sync(self._read_all))

    def history(self, limit: int = 50) -> tuple[ConfigVersion, ...]:
        """The newest stored versions, newest first."""
        return self._versions.list(limit)

    def diff(self, before: int, after: int) -> tuple[ConfigDifference, ...]:
        """What changed between two versions. Raises NotFoundError."""
        return diff(self._versions.get(before).text, self._versions.get(after).text)

    def changes_to(self, number: int) -> tuple[ConfigDifference, ...] | None:
        """What a rollback to a version would change in the file; None if the file is not JSON, so cannot be compared.
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
        # Checked before the file is touched: a version that cannot be used would only be refused after the fact.
        self._source.loader.parse(version.text, self.credentials.names).usable()
        replace_text(self._source.loader.path, version.text)
        return version

    def add_override(
        self,
        change: AnyChange,
        *,
        reason: str,
        actor: str,
        seconds: float | None = None,
        origin: OverrideOrigin | None = None,
    ) -> Override:
        """Put a change in force: here at once, in other processes within a second; until it expires or is removed.

        Raises ConfigurationError if the configuration would have an error with it.
        """
        state, now = self._opened(), self._clock.now()
        if errors := self._source.loader.validate(change.apply(self.current), state.credentials.names):
            raise ConfigurationError(f"the configuration with {change.kind} {change.target}", errors)
        override = Override(
            id=new_id("override", now.timestamp()),
            change=change.model_copy(update={"over": change.subject(state.configuration)}),
            reason=reason,
            actor=actor,
            created_at=now,
            expires_at=None if seconds is None else now + timedelta(seconds=seconds),
            origin=origin,
        )
        # Stored first: a change that only this process knew of would end with it.
        self._override_store.add(override)
        self._set_overrides((*self._overrides, override))
        # Without `document` and `over`, which repeat the configuration: this goes on the timeline.
        details = override.model_dump(
            mode="json", exclude={"actor": True, "created_at": True, "origin": True, "change": {"document", "over"}}
        )
        self._bus.publish(OverrideAdded(**details), actor=actor)
        if isinstance(change, IsolateOverride):
            incident = origin.incident_id if origin else None
            self._bus.publish(IsolationStarted(reason=reason, override=override.id, incident=incident), actor=actor)
        return override

    def remove_override(self, override_id: str, actor: str, reason: str = "") -> None:
        """End a change before it expires. Raises NotFoundError, and ConflictError if only a person may end it."""
        known = next((one for one in self._overrides if one.id == override_id), None)
        if known is not None and known.change.for_people and actor.startswith(AUTOMATION):
            raise ConflictError(
                f"Only a person may remove an override of kind {known.change.kind}: "
                f"`orchestrator config overrides remove {override_id}`."
            )
        if known is not None and known.change.for_people and not reason:
            raise ConflictError(
                'Lifting the isolation takes a reason: use `orchestrator isolate off --reason "…"`, or its page.'
            )
        self._override_store.remove(override_id, self._clock.now())
        self._set_overrides(tuple(override for override in self._overrides if override.id != override_id))
        self._bus.publish(OverrideRemoved(id=override_id), actor=actor)
        if known is not None and isinstance(known.change, IsolateOverride):
            incident = known.origin.incident_id if known.origin else None
            self._bus.publish(IsolationLifted(reason=reason, override=override_id, incident=incident), actor=actor)

    def write_credential(self, name: str, value: str) -> None:
        """Put a value that a vendor has issued into `.env`; `refresh` then puts it in force. Blocks.

        Raises UsageError for a value that `.env` cannot hold, UnreadableError and OSError for a file that cannot be
        changed.
        """
        path = self._source.env_path
        before = read_text(path) if path.exists() else ""
        self._source.remember(frozenset({value}))
        text = with_variable(before, name, value)
        if not path.exists():
            path.touch(mode=0o600)
        replace_text(path, text)

    def _set_overrides(self, overrides: tuple[Override, ...]) -> None:
        self._generation += 1
        self._overrides = overrides
        self._publish()

    def _opened(self) -> SourceState:
        if self._state is None:
            raise RuntimeError("open() comes first")
        return self._state

    def _read_all(self) -> _Snapshot:
        signature = self._source.signature()
        if signature == self._signature:
            # Overrides are read even if no file has changed, since other processes add and remove them.
            return self._add_stored(None)
        self._signature = signature
        return self._add_stored(self._source.read(self._state))

    def _add_stored(self, reading: SourceReading | None) -> _Snapshot:
        """Add the overrides and the version number from the database. If it does not answer, the files alone decide: an
        outage must not keep an edit from taking effect."""
        now, generation = self._clock.now(), self._generation
        try:
            overrides = self._override_store.list_active(now)
            return _Snapshot(reading, generation, overrides, self._record(reading, now))
        except OrchestratorError as error:
            return _Snapshot(reading, generation, database_error=str(error))

    def _record(self, reading: SourceReading | None, now: datetime) -> int | None:
        if reading is None or reading.state is None:
            return None
        return self._versions.add(reading.state.loaded.text, reading.state.loaded.sha256, now).number

    def _apply(self, snapshot: _Snapshot) -> None:
        if snapshot.database_error and snapshot.database_error != self._database_error:
            self._bus.publish(ConfigurationUnrecorded(message=snapshot.database_error))
        self._database_error = snapshot.database_error
        # An override that was added or removed here while the thread was reading is not in what it read.
        if snapshot.overrides is not None and snapshot.generation == self._generation:
            self._overrides = snapshot.overrides
        if snapshot.reading is not None:
            self._apply_reading(snapshot.reading, snapshot.number)
        self._publish()

    def _apply_reading(self, reading: SourceReading, number: int | None) -> None:
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

    def _publish(self) -> None:
        current = self.current
        published = (current, self.credentials)
        # Watching comes here every second; subscribers want to hear only of changes.
        if published == self._published:
            return
        self._published = published
        # A copy: a subscriber may unsubscribe while it is called.
        for subscriber in tuple(self._subscribers):
            subscriber(current)

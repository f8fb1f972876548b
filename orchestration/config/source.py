"""The two files that the user edits, read together: the configuration and `.env`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestration.config.credentials import EnvironmentCredentials, Remember, read_env_file
from orchestration.config.findings import ConfigFinding, FindingCode, FindingLevel
from orchestration.config.loader import ConfigLoader, LoadedConfiguration
from orchestration.config.revocations import load as load_revocations
from orchestration.config.schema import Configuration

Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class SourceState:
    """A configuration text, and the credentials that it was checked with."""

    loaded: LoadedConfiguration
    credentials: EnvironmentCredentials
    env_findings: tuple[ConfigFinding, ...] = ()

    @property
    def configuration(self) -> Configuration:
        return self.loaded.usable()

    @property
    def findings(self) -> tuple[ConfigFinding, ...]:
        return (*self.env_findings, *self.loaded.findings)

    @property
    def errors(self) -> tuple[ConfigFinding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is FindingLevel.ERROR)

    def same_as(self, other: SourceState) -> bool:
        """Whether nothing that takes effect has changed."""
        return self.loaded.sha256 == other.loaded.sha256 and self.credentials == other.credentials


@dataclass(frozen=True, slots=True)
class SourceReading:
    """What can be in force now, and the errors that keep the files on the disk from it."""

    state: SourceState | None
    refused: tuple[ConfigFinding, ...]


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where the configuration comes from. `remember` receives every secret before anything else does, so that no error
    message can show one; `revocations_file` lists the values that are refused."""

    loader: ConfigLoader
    env_path: Path
    environment: Mapping[str, str] = field(repr=False)
    remember: Remember
    revocations_file: Path | None = None

    def signature(self) -> Signature:
        """A value that differs whenever one of the files was changed, replaced, deleted or created."""
        paths = (self.loader.path, self.env_path, self.revocations_file)
        return tuple(None if path is None else _file_signature(path) for path in paths)

    def read(self, state: SourceState | None = None) -> SourceReading:
        """Read both files. Either may be usable while the other is not: a rotated key has to count although the
        configuration is just being edited, and the other way round."""
        variables, env_findings = read_env_file(self.env_path)
        fresh = EnvironmentCredentials(self.environment, variables, load_revocations(self.revocations_file))
        env_findings = (*env_findings, *(self._revoked_finding(name) for name in fresh.revoked_names))
        self.remember(fresh.secrets())
        on_disk = SourceState(self.loader.load(fresh.names), fresh, env_findings)
        # In this order: both files as they are, the configuration in force with the new credentials, and the new
        # configuration with the credentials in force.
        candidates = [on_disk]
        if state is not None:
            candidates.append(SourceState(self.loader.parse(state.loaded.text, fresh.names), fresh, env_findings))
            # A revocation counts at once, even where the rest of the new `.env` cannot be used.
            before = replace(state.credentials, revoked=fresh.revoked)
            candidates.append(self._checked(on_disk.loaded.text, before))
        good = next((candidate for candidate in candidates if not candidate.errors), None)
        if good is not None:
            self.remember(good.credentials.secrets(good.configuration))
        return SourceReading(good, () if good is on_disk else on_disk.errors)

    def last_good(self, texts: tuple[str, ...]) -> SourceState | None:
        """The first of the texts that can be used with the present credentials."""
        variables, _ = read_env_file(self.env_path)
        credentials = EnvironmentCredentials(self.environment, variables, load_revocations(self.revocations_file))
        states = (self._checked(text, credentials) for text in texts)
        return next((state for state in states if not state.errors), None)

    def _revoked_finding(self, name: str) -> ConfigFinding:
        message = f"the value of {name} was exposed and is refused"
        return ConfigFinding(
            FindingCode.REVOKED_VALUE, str(self.env_path), 1, 1, "", message, "a new value", f"Put {name}=… there."
        )

    def _checked(self, text: str, credentials: EnvironmentCredentials) -> SourceState:
        return SourceState(self.loader.parse(text, credentials.names), credentials)


def _file_signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    # The inode as well: a file that is replaced within the resolution of the clock may have the same size.
    return status.st_mtime_ns, status.st_size, status.st_ino

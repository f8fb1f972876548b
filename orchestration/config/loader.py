"""Reading the configuration file: one call, all findings, and no exception whatever the user has written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.config.checks import check
from orchestration.config.checks.environment import inspect_environment
from orchestration.config.document import Document, JsonSyntaxError, read, show_path
from orchestration.config.findings import ConfigFinding, ConfigurationError, FindingCode, FindingLevel
from orchestration.config.problems import Problem
from orchestration.config.schema import Configuration
from orchestration.config.secrets import SecretFinder, literal_secrets
from orchestration.config.structure import build
from orchestration.config.textfile import UnreadableError, read_text


@dataclass(frozen=True, slots=True)
class LoadedConfiguration:
    """A file as it was read. `configuration` is set if the structure is valid, even if a check found an error."""

    file: str
    text: str
    sha256: str
    configuration: Configuration | None
    findings: tuple[ConfigFinding, ...]

    @property
    def errors(self) -> tuple[ConfigFinding, ...]:
        """The findings that keep the configuration from being used."""
        return tuple(finding for finding in self.findings if finding.severity is FindingLevel.ERROR)

    def usable(self) -> Configuration:
        """The configuration. Raises ConfigurationError, with all findings, if there is an error."""
        if self.configuration is None or self.errors:
            raise ConfigurationError(self.file, self.findings)
        return self.configuration


def find_nothing(_text: str) -> tuple[()]:
    """A secret finder without patterns; secrets are then recognised by their keys alone."""
    return ()


@dataclass(frozen=True, slots=True)
class ConfigLoader:
    """Loads one file. Relative directories in it start at the project folder, `root`."""

    path: Path
    find_secrets: SecretFinder = field(default=find_nothing)

    @property
    def root(self) -> Path:
        """The folder of the project: the one above `config/`, else the file's own."""
        folder = self.path.absolute().parent
        return folder.parent if folder.name == "config" else folder

    def load(self, variables: Iterable[str] = ()) -> LoadedConfiguration:
        """Read the file. `variables` are the names of the environment variables that have a value."""
        try:
            text = read_text(self.path)
        except UnreadableError as error:
            return LoadedConfiguration(str(self.path), "", "", None, (error.finding,))
        return self.parse(text, variables)

    def parse(self, text: str, variables: Iterable[str] = ()) -> LoadedConfiguration:
        """Validate a text as if it were in the file."""
        # Of the text and not of the bytes: a byte order mark that an editor adds is no new version.
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        try:
            document = read(text)
        except JsonSyntaxError as error:
            line, column = error.position
            message = "this is not JSON"
            finding = ConfigFinding(
                FindingCode.SYNTAX, str(self.path), line, column, "", message, error.expected, error.hint
            )
            return LoadedConfiguration(str(self.path), text, sha256, None, (finding,))
        configuration, problems = build(document, self.find_secrets)
        problems += _secrets(document, self.find_secrets)
        # The checks read attributes, which exist only if the structure is valid.
        if configuration is not None:
            problems += check(
                configuration, inspect_environment(configuration.runtime, self.root, frozenset(variables))
            )
        placed = [*_duplicates(str(self.path), document), *(each.place(str(self.path), document) for each in problems)]
        # In the order of the file, so that a user can go through it once from top to bottom.
        findings = sorted(placed, key=lambda finding: (finding.line, finding.column, finding.code))
        return LoadedConfiguration(str(self.path), text, sha256, configuration, tuple(findings))

    def validate(self, configuration: Configuration, variables: Iterable[str]) -> tuple[ConfigFinding, ...]:
        """The errors of a configuration that is in no file, such as one with overrides."""
        problems = check(configuration, inspect_environment(configuration.runtime, self.root, frozenset(variables)))
        placed = (problem.place(str(self.path), Document()) for problem in problems)
        return tuple(finding for finding in placed if finding.severity is FindingLevel.ERROR)


def load(path: Path, variables: Iterable[str] = (), find_secrets: SecretFinder = find_nothing) -> LoadedConfiguration:
    """Read and validate the configuration file at `path`."""
    return ConfigLoader(path, find_secrets).load(variables)


def _secrets(document: Document, find: SecretFinder) -> list[Problem]:
    hint = "Move it to .env, name its variable here, and rotate it: it has been in a plain-text file."
    places = literal_secrets(document.value, find)
    return [Problem(FindingCode.LITERAL_SECRET, path, f"{show_path(path)} is a secret", hint=hint) for path in places]


def _duplicates(file: str, document: Document) -> list[ConfigFinding]:
    return [
        ConfigFinding(
            FindingCode.DUPLICATE_KEY,
            file,
            line,
            column,
            show_path(path),
            f'"{path[-1]}" is here twice',
            "one of the two",
        )
        for path, (line, column) in document.duplicates
    ]

"""Validation of the configuration on the disk, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.config.credentials import EnvironmentCredentials, read_env_file
from orchestration.config.findings import ConfigFinding, FindingLevel
from orchestration.config.loader import ConfigLoader
from orchestration.security.redaction import Redactor


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """All findings about the configuration file and `.env`."""

    findings: tuple[ConfigFinding, ...]

    @property
    def errors(self) -> int:
        return sum(finding.severity is FindingLevel.ERROR for finding in self.findings)

    @property
    def usable(self) -> bool:
        return not self.errors


def check_files(config_file: Path, environment: Mapping[str, str]) -> ConfigCheck:
    """Read and validate both files."""
    loader = ConfigLoader(config_file, Redactor().find)
    variables, findings = read_env_file(loader.root / ".env")
    # The names are enough to check with; a value that is never passed on cannot appear in a finding.
    loaded = loader.load(EnvironmentCredentials(environment, variables).names)
    return ConfigCheck((*findings, *loaded.findings))

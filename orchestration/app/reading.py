"""Judging the configuration as it stands on the disk, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.config.credentials import Credentials, read_env_file
from orchestration.config.findings import Finding, Severity
from orchestration.config.load import Loader
from orchestration.security.redaction import Redactor


@dataclass(frozen=True, slots=True)
class Check:
    """Everything that is to be said of the configuration file and of `.env`."""

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def usable(self) -> bool:
        return not self.errors


def check_files(config_file: Path, environment: Mapping[str, str]) -> Check:
    """Read both files and judge them."""
    loader = Loader(config_file, Redactor().find)
    variables, findings = read_env_file(loader.root / ".env")
    loaded = loader.load(Credentials(environment, variables).names)
    return Check((*findings, *loaded.findings))

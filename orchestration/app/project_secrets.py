"""The secrets of a project that are known without its database: for commands that only read files."""

from __future__ import annotations

import os
from pathlib import Path

from orchestration.config.credentials import read_env_file
from orchestration.config.loader import ConfigLoader
from orchestration.config.secrets import names_a_secret
from orchestration.security.redaction import Redactor

# By their names these are passwords; they are folders, which every shell sets.
_FOLDERS = frozenset({"PWD", "OLDPWD"})


def project_root(config_file: str) -> Path:
    """The folder of a project, by its configuration file, which need not exist."""
    return ConfigLoader(Path(config_file), Redactor().find).root


def project_redactor(config_file: str) -> Redactor:
    """A redactor that knows the credentials in `.env` and in the environment; none in an `.env` that is damaged."""
    variables, _ = read_env_file(project_root(config_file) / ".env")
    named = {**os.environ, **variables}
    return Redactor(value for name, value in named.items() if names_a_secret(name) and name not in _FOLDERS)

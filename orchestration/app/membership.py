"""How a worker on another machine gets its project: from the database that all of them share."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orchestration.app.project_database import check_database
from orchestration.config.credentials import read_env_file
from orchestration.errors import OrchestratorError, UsageError
from orchestration.private_folder import make_private_folder
from orchestration.storage.configuration import ConfigurationVersions
from orchestration.storage.database import HEAD, Database

ADDRESS_VARIABLE = "ORCHESTRATOR_DATABASE_URL"


def join(config_file: Path) -> None:
    """Write the newest configuration of the shared database, unless there is one here; and let this process reach the
    database by the variable that the configuration names. Raises UsageError."""
    root = config_file.absolute().parent.parent
    url = os.environ.get(ADDRESS_VARIABLE) or read_env_file(root / ".env")[0].get(ADDRESS_VARIABLE)
    if url is None:
        if not config_file.exists():
            raise UsageError(
                f"There is no {config_file}. Set {ADDRESS_VARIABLE} to the address of the project's database, "
                "or work in the project's folder."
            )
        return
    if not config_file.exists():
        text = _newest(url)
        make_private_folder(config_file.absolute().parent)
        config_file.write_text(text, encoding="utf-8")
    os.environ.setdefault(_variable(json.loads(config_file.read_text(encoding="utf-8"))), url)


def _newest(url: str) -> str:
    """The configuration in force. The tables are left as they are: a worker of an older release may be joining."""
    check_database(url)
    try:
        with contextlib.closing(Database(url)) as database:
            version = database.version()
            if version != HEAD:
                raise UsageError(
                    f"The database is at version {version or 'none'}, and this release has version {HEAD}. "
                    "Use the same release as the control process, or start that first."
                )
            found = ConfigurationVersions(database).list(1)
    except sa.exc.SQLAlchemyError as error:
        raise UsageError(f"The database in {ADDRESS_VARIABLE} cannot be used: {type(error).__name__}") from error
    if not found:
        raise UsageError("The database has no configuration yet. Start `orchestrator serve` in the project first.")
    return found[0].text


def _variable(document: Mapping[str, Any]) -> str:
    name = document.get("runtime", {}).get("databaseUrlEnv")
    if not name:
        raise OrchestratorError(
            "The project keeps its records in files of its own machine, so that no other can join. "
            "Set `runtime.databaseUrlEnv`, and move the records with `orchestrator db move --to NAME`."
        )
    return str(name)

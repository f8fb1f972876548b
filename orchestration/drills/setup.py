"""How the project of a drill is set up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DrillSetting:
    """The project of a drill. `configuration` is merged over the one that all drills share; `providers` are rehearsal
    servers, of which the first is the default and the others are its fallbacks; `latency_ms` is the pause between two
    chunks of their answers. `files` are written into the project, `environment` into its `.env`.

    `variables` are added to the environment of the control process, which hands it on to its workers. `sites` are
    folders of the project from which all of its processes import packages, the first one first. `disk_mb` mounts a file
    system of that size for the project. `programs` are scripts that come first on its PATH. `database_url` names
    a database on a server instead of a file; `own_server` starts a PostgreSQL server for this drill alone.
    """

    providers: tuple[str, ...] = ("primary", "second")
    latency_ms: float = 20.0
    workers: int = 1
    configuration: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    sites: tuple[str, ...] = ()
    disk_mb: int | None = None
    database_url: str | None = None
    own_server: bool = False

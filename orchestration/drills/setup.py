"""The project in which a drill runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DrillSetting:
    """The project in which a drill takes place. `configuration` is laid over that of every drill; `providers` are
    rehearsal servers, the first is the default and the others its fallbacks; `latency_ms` lies between two pieces of
    their answers. `files` are written into the project; `environment` into its `.env`.

    `disk_mb` puts the project onto a file system of its own of that size. `programs` are scripts that it finds on its
    PATH before all others. `database_url` is a server's database, in the place of a file; `own_server` has a PostgreSQL
    server started for the drill alone.
    """

    providers: tuple[str, ...] = ("primary", "second")
    latency_ms: float = 20.0
    workers: int = 1
    configuration: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    disk_mb: int | None = None
    database_url: str | None = None
    own_server: bool = False

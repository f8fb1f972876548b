"""The composition root: builds everything from a configuration, starts it, and stops it in reverse.

Two sizes: a `Project` reads and writes records, enough for lists and reports and quick to open; an `Application` also
runs agents.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestration.clock import Clock, SystemClock
from orchestration.config.load import Loader
from orchestration.config.source import Source
from orchestration.config.store import ConfigurationStore
from orchestration.events import Bus
from orchestration.security.redaction import Redactor
from orchestration.storage.approvals import ApprovalTable
from orchestration.storage.artifacts import ArtifactTable
from orchestration.storage.configuration import ConfigVersions, OverrideTable
from orchestration.storage.database import Database
from orchestration.storage.runs import Runs
from orchestration.storage.timeline import Timeline
from orchestration.workflows.artifacts import ArtifactStore

_RECOVERY_SECONDS = 5.0


class Project:
    """A project's configuration and records. Raises ConfigurationError when the configuration cannot be used."""

    def __init__(self, config_file: Path, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.bus = Bus(self.clock)
        self.redactor = Redactor()
        loader = Loader(config_file, self.redactor.find)
        self.root = loader.root
        source = Source(loader, self.root / ".env", dict(os.environ), self.redactor.remember)
        runtime = source.read_or_raise().configuration.runtime
        self.state_folder = self.root / runtime.state_directory
        self.log_folder = self.root / runtime.log_directory
        self.artifact_folder = self.root / runtime.artifacts_directory
        self.database = Database(self._database_url(source, runtime.database_url_env))
        self.database.migrate()
        self.store = ConfigurationStore(
            source,
            clock=self.clock,
            bus=self.bus,
            versions=ConfigVersions(self.database),
            overrides=OverrideTable(self.database),
        )
        self.store.open()
        self.runs = Runs(self.database)
        self.timeline = Timeline(self.database)
        self.approvals = ApprovalTable(self.database)
        self.artifacts = ArtifactStore(self.artifact_folder, ArtifactTable(self.database), self.clock)

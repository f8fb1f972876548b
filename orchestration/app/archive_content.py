"""What a complete archive of a project holds, and the archives that are written after nightly backups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestration.app.project import ProjectRecords
from orchestration.config.maintenance import BackupSettings
from orchestration.maintenance.backups import Backup, BackupStore, complete
from orchestration.security.link_key import FILE as LINK_KEY
from orchestration.security.link_key import SECOND_FACTOR_FILE, WEB_PUSH_FILE

_STATE = "var"
_ENV = ".env"
_END = ".tar.age"
# Of the state only what cannot be made anew: keys, and what is known of leaked credentials.
_STATE_FILES = (LINK_KEY, SECOND_FACTOR_FILE, WEB_PUSH_FILE, "retired-credentials.json")


def content_of(project: ProjectRecords, config_folder: Path, backup: Path) -> dict[str, Path]:
    """Files and folders by their place in the archive: that in the project, or the usual one where it is elsewhere."""
    root, state = project.root, _inside(project.state_folder, project.root, _STATE)
    artifacts = root / project.configuration.runtime.artifacts_directory
    content = {
        _inside(config_folder, root, "config"): config_folder,
        _ENV: root / _ENV,
        _inside(artifacts, root, "artifacts"): artifacts,
        f"{_inside(backup.parent, root, f'{state}/backups')}/{backup.name}": backup,
        **{f"{state}/{name}": project.state_folder / name for name in _STATE_FILES},
    }
    return {name: path for name, path in content.items() if path.exists()}


def write_nightly(project: ProjectRecords, vault: BackupStore, backup: Backup, settings: BackupSettings) -> str:
    """Write an archive beside a new backup, and delete those whose backup is not kept any more; returns its name, empty
    where none is configured. Blocks. Raises UsageError, CompleteArchiveError."""
    if not settings.archive_directory or not settings.recipients:
        return ""
    folder = project.root / settings.archive_directory
    file = folder / f"{backup.id}{_END}"
    content = content_of(project, project.config_file.absolute().parent, vault.folder / backup.id)
    complete.write(file, content, settings.recipients)
    _prune(folder, [one.id for one in vault.list()])
    return file.name


def _prune(folder: Path, kept: Sequence[str]) -> None:
    for path in folder.glob(f"backup-*{_END}"):
        if path.name.removesuffix(_END) not in kept:
            path.unlink(missing_ok=True)


def _inside(path: Path, root: Path, otherwise: str) -> str:
    """A folder of the project as it is called from its root; one that is elsewhere goes to its usual place."""
    try:
        return path.absolute().relative_to(root.absolute()).as_posix()
    except ValueError:
        return otherwise

"""Which isolation a command gets, by the configuration and the place of its workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from orchestration.agents.sandbox import IsolationRules
from orchestration.config.runtime import CommandSettings
from orchestration.config.schema import Configuration
from orchestration.domain.host_rule import read_rule

# Where programs keep the user's keys, below the home folder. A model would be shown what a command prints of them.
_KEYS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store", ".config/gcloud", ".config/gh"),
    *(".config/op", ".config/rclone", ".config/sops", ".local/share/keyrings", ".mozilla", ".config/google-chrome"),
    *(".config/chromium", ".terraform.d", ".netrc", ".git-credentials", ".npmrc", ".pypirc", ".pgpass", ".my.cnf"),
    *(".vault-token", ".cargo/credentials.toml", ".bash_history", ".zsh_history", ".python_history"),
)

IsolationPolicy = Callable[[Path], IsolationRules | None]
"""The isolation of a command in a workspace; None for none."""


def isolation_for(configuration: Configuration, project: Path, workspace: Path) -> IsolationRules | None:
    """The isolation of a command in `workspace`. Hidden are the keys in `.env` and in the home folder, and all state
    except the path to the workspace: the database there holds the results of other runs."""
    settings = configuration.runtime.commands
    if settings.wall == "off":
        return None
    state = (project / configuration.runtime.state_directory).resolve()
    return IsolationRules(
        writable=tuple(project / _expanded(path) for path in settings.writable),
        # The keys also if there are none yet: they may be written while a command runs.
        hidden=(project / ".env", *((state,) if state.is_dir() else ()), *_keys(settings, project, workspace)),
        # The workspace of a run, if it is there, and what package managers keep for all commands.
        kept=tuple(path for path in (workspace.resolve(), state / "caches") if path.is_relative_to(state)),
        network=settings.network,
        hosts=tuple(map(read_rule, settings.hosts)),
        required=settings.wall == "required",
    )


def _keys(settings: CommandSettings, project: Path, workspace: Path) -> Iterator[Path]:
    """The places of keys that there are, but for those that commands may see."""
    home = _expanded("~")
    shown = {project / _expanded(path) for path in (*settings.visible, *settings.writable)}
    for name in _KEYS:
        path = home / name
        holds = any(place.is_relative_to(path) for place in (project, workspace, *shown))
        if path.exists() and not holds:
            yield path


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no home folder; such a path is not there
        return Path(path)

"""Which wall a command gets: by the configuration, and by where its workspace is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from orchestration.agents.sandbox import IsolationLauncher
from orchestration.config.schema import Configuration

IsolationPolicy = Callable[[Path], IsolationLauncher | None]
"""The wall for a command in this workspace; None: it is to have none."""


def isolation_for(configuration: Configuration, project: Path, workspace: Path) -> IsolationLauncher | None:
    """The wall around a command in `workspace`. What the project knows and the command must not is hidden: the keys in
    `.env`, and all of the state that is not the way to the workspace."""
    settings = configuration.runtime.commands
    if settings.wall == "off":
        return None
    state = (project / configuration.runtime.state_directory).resolve()
    return IsolationLauncher(
        writable=tuple(project / Path(path).expanduser() for path in settings.writable),
        hidden=tuple(_to_hide(project, state, workspace.resolve())),
        network=settings.network,
        required=settings.wall == "required",
    )


def _to_hide(project: Path, state: Path, workspace: Path) -> Iterator[Path]:
    if (keys := project / ".env").is_file():
        yield keys
    if state.is_dir():
        yield from (path for path in sorted(state.iterdir()) if not workspace.is_relative_to(path))

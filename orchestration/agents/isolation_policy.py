"""Which isolation a command gets, by the configuration and the place of its workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from orchestration.agents.sandbox import IsolationRules
from orchestration.config.schema import Configuration

IsolationPolicy = Callable[[Path], IsolationRules | None]
"""The isolation of a command in a workspace; None for none."""


def isolation_for(configuration: Configuration, project: Path, workspace: Path) -> IsolationRules | None:
    """The isolation of a command in `workspace`. Hidden are the keys in `.env`, and all state except the path to the
    workspace: the database there holds the results of other runs."""
    settings = configuration.runtime.commands
    if settings.wall == "off":
        return None
    state = (project / configuration.runtime.state_directory).resolve()
    return IsolationRules(
        writable=tuple(project / _expanded(path) for path in settings.writable),
        hidden=tuple(_to_hide(project, state, workspace.resolve())),
        network=settings.network,
        required=settings.wall == "required",
    )


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no home folder; such a path is not there
        return Path(path)


def _to_hide(project: Path, state: Path, workspace: Path) -> Iterator[Path]:
    if (keys := project / ".env").is_file():
        yield keys
    if state.is_dir():
        for path in sorted(state.iterdir()):
            if path.name == "caches":
                # Of package managers, for all commands.
                continue
            if not workspace.is_relative_to(path):
                yield path
            elif path.name == "worktrees":
                yield from (other for other in sorted(path.iterdir()) if not workspace.is_relative_to(other))

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

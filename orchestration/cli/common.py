"""What the commands share: opening the project, printing JSON or text, reading a goal."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import anyio
import click

from orchestration.errors import UsageError

T = TypeVar("T")

GOAL_LIMIT = 100_000
BACKLOG = Path("docs/backlog.md")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
workspace_option = click.option(
    "--workspace", type=click.Path(path_type=Path), help="The folder to work in.  [default: the current one]"
)
provider_option = click.option("--provider", help="The provider to use first.  [default: the configuration's]")
priority_option = click.option(
    "--priority", type=click.Choice(["low", "normal", "high"]), default="normal", show_default=True
)


def run_async(function: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function to its end on a new event loop."""
    return anyio.run(function)


def print_json(data: Any) -> None:
    """Print data as JSON on standard output."""
    click.echo(as_json(data))


def as_json(data: Any) -> str:
    """Data as indented JSON."""
    return json.dumps(plain(data), indent=2, ensure_ascii=False)


def plain(data: Any) -> Any:
    """Data as JSON values: records become objects, times become RFC 3339."""
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return {field.name: plain(getattr(data, field.name)) for field in dataclasses.fields(data)}
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, Enum):
        return data.value
    if isinstance(data, datetime):
        return data.isoformat().replace("+00:00", "Z")
    if isinstance(data, date):
        return data.isoformat()
    if isinstance(data, Path):
        return str(data)
    if isinstance(data, Sequence | set | frozenset) and not isinstance(data, str | bytes):
        return [plain(item) for item in data]
    return data


def read_goal(words: Sequence[str], file: Path | None) -> str | None:
    """The goal from the command line, from a file, or from standard input (`-`). Raises UsageError."""
    if words and file is not None:
        raise UsageError("expected a goal or --goal-file, got both; leave one out")
    if file is not None:
        text = _read(file)
    elif list(words) == ["-"]:
        text = sys.stdin.read(GOAL_LIMIT + 1)
    elif words:
        text = " ".join(words)
    else:
        return None
    return checked_goal(text)


def checked_goal(text: str) -> str:
    """The goal without blanks around it. Raises UsageError when it is empty or too long."""
    goal = text.strip()
    if not goal:
        raise UsageError("expected a goal, got an empty one; say what should be done, for example: make the tests pass")
    if len(goal) > GOAL_LIMIT:
        raise UsageError(
            f"expected a goal of at most {GOAL_LIMIT:,} characters, got more; "
            "put the details in a file of the workspace and name it"
        )
    return goal


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as stream:
            return stream.read(GOAL_LIMIT + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a text file with the goal, got '{file}': {error}") from error

"""What commands share: running coroutines, printing JSON, reading a goal."""

from __future__ import annotations

import asyncio
import dataclasses
import getpass
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import anyio
import click

from orchestration.cli.output import echo, escaped
from orchestration.domain.goal import GOAL_LIMIT, checked_goal
from orchestration.errors import UsageError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_GOAL_BYTES = 4 * GOAL_LIMIT + 1  # no character takes more than four


class SecondsParam(click.FloatRange):
    """A duration; neither `inf` nor `nan` is one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        # `inf` passes a range without an upper bound, and `nan` passes any, since every comparison with it is false.
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return number


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
goal_file_option = click.option(
    "--goal-file", type=click.Path(path_type=Path), help="Read the goal from a file, such as an issue."
)
workspace_option = click.option(
    "--workspace", type=click.Path(path_type=Path), help="The folder to work in.  [default: the current one]"
)
provider_option = click.option(
    "--provider",
    help="The provider to use first, by agents that have none of their own.  [default: the configuration's]",
)
priority_option = click.option(
    "--priority",
    type=click.Choice(["low", "normal", "high"]),
    default="normal",
    show_default=True,
    help="Before or after what else waits for a worker or a provider.",
)


def limit_option(default: int = 20, most: int = 10_000) -> Callable[[F], F]:
    """How many entries a list shows."""
    return click.option(
        "--limit", type=click.IntRange(1, most), default=default, show_default=True, help="List at most this many."
    )


def user_name() -> str:
    """Who gives a command: the name of the account, or its number where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def run_async(function: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function on a new event loop. SIGTERM, and the end of the terminal, act like Ctrl-C, so that
    an unfinished run is marked as stopped and can be resumed, and a drill leaves nothing behind."""
    try:
        return anyio.run(_heeding_sigterm, function)
    except asyncio.CancelledError as error:
        # The same exit code for SIGTERM as for Ctrl-C: in both cases the run can be resumed.
        raise KeyboardInterrupt from error


async def _heeding_sigterm(function: Callable[[], Awaitable[T]]) -> T:
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():  # signals reach no other
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        # What a terminal sends that is closed. Under nohup it is ignored, and stays so.
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            loop.add_signal_handler(signal.SIGHUP, task.cancel)
    return await function()


def print_json(data: Any) -> None:
    """Print data as JSON on standard output."""
    echo(as_json(data))


def as_json(data: Any) -> str:
    """Data as indented JSON."""
    # Names and goals in other scripts stay readable for people.
    return escaped(json.dumps(plain(data), indent=2, ensure_ascii=False))


def plain(data: Any) -> Any:
    """Data as JSON values: records become objects, times become RFC 3339. `public_names` of a record apply."""
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        # The JSON is an interface for scripts: a field that is renamed in the code keeps its old name here.
        names: Mapping[str, str] = getattr(data, "public_names", {})
        return {
            names.get(field.name, field.name): plain(getattr(data, field.name)) for field in dataclasses.fields(data)
        }
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, Enum):
        return data.value
    # Before `date`, because every datetime is also a date.
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
        raise UsageError("Give either a goal or --goal-file, not both.")
    if file is not None:
        text = _read(file)
    elif list(words) == ["-"]:
        # Bounded, because standard input may be endless, and one byte more than the limit shows that it is too long.
        text = _decoded(sys.stdin.buffer.read(_GOAL_BYTES), "standard input")
    elif words:
        text = " ".join(words)
    else:
        return None
    return checked_goal(text)


def tell_what_is_hidden(goal: str, recorded: str) -> None:
    """Say on standard error what agents are not told of a goal."""
    if recorded != goal:
        echo(
            f"note: what looks like a secret is hidden from agents, and they read: {recorded}\n"
            "      If they need it, put it into a file of the workspace and name that.",
            err=True,
        )


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(_GOAL_BYTES)
    except (OSError, ValueError) as error:
        # A path with a null byte raises ValueError, not OSError.
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"expected a text file with the goal, got '{file}': {reason}; name another") from error
    return _decoded(data, f"'{file}'")


def _decoded(data: bytes, source: str) -> str:
    try:
        # Editors on Windows begin a file with a byte order mark, which is no part of the goal.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) == _GOAL_BYTES:
            return data.decode("utf-8", "ignore")  # cut off; it is refused for its length
        raise UsageError(
            f"expected a goal as text in UTF-8, got {source}, which is none from byte {error.start + 1} on"
        ) from error

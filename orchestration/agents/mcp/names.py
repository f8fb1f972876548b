"""The names of foreign tools. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

SEPARATOR = "__"
_MOST_CHARACTERS = 64
_OTHER = re.compile(r"[^A-Za-z0-9_-]")


def name_here(server: str, tool: str) -> str:
    """The name under which agents know a tool: vendors accept no others for functions."""
    return f"{server}{SEPARATOR}{_OTHER.sub('_', tool)}"[:_MOST_CHARACTERS]


def server_of(name: str) -> str | None:
    """The server that a tool's name begins with; None for a tool of no server."""
    server, separator, _ = name.partition(SEPARATOR)
    return server if separator else None


def lists(listed: Iterable[str], name: str) -> bool:
    """Whether an agent's `tools` have a tool: by name, or by a pattern such as `tickets__*`."""
    return any(SEPARATOR in one and fnmatchcase(name, one) for one in listed)


def matches(patterns: Iterable[str], tool: str) -> bool:
    """Whether one of a server's patterns fits its tool."""
    return any(fnmatchcase(tool, pattern) for pattern in patterns)

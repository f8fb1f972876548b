"""A worker's process: `python -m orchestration.agents.worker MODULE:FUNCTION ARGUMENTS…`.

The list of processes shows workers under this name, and at the end of the line what each is running (see
`process_title`). What a worker does is up to the package that starts it and names the function.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from orchestration.agents import process_title
from orchestration.memory import collect_less_often


def command(entry_point: str, *arguments: str) -> tuple[str, ...]:
    """The command that starts a worker's process."""
    return (sys.executable, "-m", __name__, entry_point, *arguments, process_title.reserved_argument())


def main() -> int:
    """Call the function that the command line names, with the arguments that follow."""
    collect_less_often()
    entry_point, *arguments = [word for word in sys.argv[1:] if not word.startswith(process_title.MARK)]
    module, _, name = entry_point.partition(":")
    function: Any = getattr(importlib.import_module(module), name)
    return int(function(*arguments))


if __name__ == "__main__":
    sys.exit(main())

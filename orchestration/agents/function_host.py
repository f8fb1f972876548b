"""Calls the user's own function. Run as a script, never imported:
`python function_host.py MODULE:FUNCTION GIVEN RESULT`.
"""

import asyncio
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    entry_point, given, result = sys.argv[1:]
    module, _, name = entry_point.partition(":")
    # In the place of this file's own folder, whose names must not hide the user's.
    sys.path[0] = str(Path.cwd())
    function: Any = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    value = function(json.loads(Path(given).read_text()))
    if inspect.iscoroutine(value):
        value = asyncio.run(value)
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        sys.exit(f"expected a result that is JSON, got {type(value).__name__}: {error}")
    # Whole or not at all: the function may be stopped at any moment.
    unfinished = Path(f"{result}.unfinished")
    unfinished.write_text(text)
    unfinished.replace(result)


if __name__ == "__main__":
    main()

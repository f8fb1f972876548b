"""Hosts a call of the user's own function: `python function_host.py MODULE:FUNCTION INPUT OUTPUT`.

It is run as a script and never imported, because it must not load any of our packages into the user's process.
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
    # Python puts this file's folder first on the path, where our module names would hide the user's.
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
        sys.exit(f"the result has to be JSON; {type(value).__name__} is not: {error}")
    # Renamed into place, so that a process that is killed while writing leaves no half result.
    unfinished = Path(f"{result}.unfinished")
    unfinished.write_text(text)
    unfinished.replace(result)


if __name__ == "__main__":
    main()

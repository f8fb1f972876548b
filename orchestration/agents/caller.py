"""Calls the user's own function: run as a script, `python caller.py MODULE:FUNCTION GIVEN RESULT`, never imported."""

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
    sys.path.insert(0, str(Path.cwd()))
    function: Any = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    value = function(json.loads(Path(given).read_text()))
    if inspect.iscoroutine(value):
        value = asyncio.run(value)
    Path(result).write_text(json.dumps(value))


if __name__ == "__main__":
    main()

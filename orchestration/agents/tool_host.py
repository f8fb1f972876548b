"""Hosts a tool that is a function of the user's: `python tool_host.py ROOT MODULE:FUNCTION RESULT [GIVEN]`.

Without a file of what is given it describes the tool. It is run as a script and never imported: it must load no more of
our packages into the user's process than what reads the parameters.
"""

import asyncio
import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    root, entry_point, result, *given = sys.argv[1:]
    # Python puts this file's folder first on the path, where our module names would hide the user's. The working
    # folder is one in which agents write, so modules must not come from there.
    sys.path[0] = root
    module, _, name = entry_point.partition(":")
    function: Any = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    answer = _called(function, json.loads(Path(given[0]).read_text())) if given else _described(function)
    # Renamed into place, so that a process that is killed while writing leaves no half result.
    unfinished = Path(f"{result}.unfinished")
    unfinished.write_text(json.dumps(answer, allow_nan=False))
    unfinished.replace(result)


def _described(function: Any) -> dict[str, Any]:
    from orchestration.declarations.parameters import schema_of
    from orchestration.declarations.tool import ToolFunction
    from orchestration.errors import UsageError

    try:
        if isinstance(function, ToolFunction):
            return function.described()
        return {"description": inspect.getdoc(function) or "", "parameters": schema_of(function)}
    except UsageError as error:
        return {"unusable": str(error)}


def _called(function: Any, given: dict[str, Any]) -> dict[str, Any]:
    from orchestration.declarations.parameters import BadCallError, call_with
    from orchestration.declarations.task import Call
    from orchestration.declarations.tool import ToolFunction

    if isinstance(function, ToolFunction):
        function = function.function
    try:
        value = call_with(function, given["arguments"], Call(**given["call"]))
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
    except BadCallError as error:
        return {"bad_call": str(error)}
    except Exception as error:  # noqa: BLE001 (whatever the user's function raises is the tool's answer)
        return {"raised": f"{type(error).__name__}: {error}"}
    return {"text": value if isinstance(value, str) else _as_json(value)}


def _as_json(value: Any) -> str:
    from pydantic_core import to_json

    return to_json(value, fallback=str).decode()


if __name__ == "__main__":
    main()

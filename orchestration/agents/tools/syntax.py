"""Whether an edit broke a file that could be parsed before: models misplace a bracket and go on for ten turns. Pure."""

from __future__ import annotations

import ast
import json
import warnings
from pathlib import PurePosixPath

# Parsing takes milliseconds up to this size.
_MOST_CHARACTERS = 300_000


def new_problem(path: str, before: str | None, after: str) -> str | None:
    """What is wrong with the syntax of a file that had no such fault before; None if nothing is, or nobody can tell."""
    problem = _problem(path, after)
    if problem is None or (before is not None and _problem(path, before) is not None):
        return None
    return problem


def _problem(path: str, text: str) -> str | None:
    if len(text) > _MOST_CHARACTERS:
        return None
    suffix = PurePosixPath(path).suffix
    if suffix == ".py":
        return _python(text)
    return _json(text) if suffix == ".json" else None


def _python(text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return f"this is no valid Python any more: line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError):
        return None
    return None


def _json(text: str) -> str | None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"this is no valid JSON any more: line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError):
        return None
    return None

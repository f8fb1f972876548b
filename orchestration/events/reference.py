"""The reference page of the events, from the catalogue. Pure."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import re
from types import ModuleType

from orchestration.events.agents import FailureCause, Usage
from orchestration.events.catalogue import CATALOGUE, MODULES
from orchestration.events.payload import EventPayload
from orchestration.events.providers import CallAttempt

_HEAD = """# Events

Everything that happens is published as an event: it is stored on the timeline of its run (`orchestrator runs show RUN
--events --json`), streamed by the API (`GET /api/v1/events`), and logged in `logs/orchestrator.log` and
`logs/orchestrator.jsonl`. Each event has `kind`, `at` (UTC), `run_id`, `agent`, `actor` and `data`, whose fields are
listed here. A kind never changes its meaning. A field marked `?` may be left out; more fields may be added. `Usage`,
`FailureCause` and `CallAttempt` are objects: [their fields](#objects).

In Python each kind has a type: `bus.publish(RunStopped(reason="…"), run_id=run.id)` publishes one, and `event.payload`
is of that type again. A plug-in publishes kinds of its own with `bus.emit("my_plugin.finished", …)`.
"""
_TABLE = "| kind | meaning | level | type | fields of `data` |\n| --- | --- | --- | --- | --- |"


def events_page() -> str:
    """Every kind of event: its meaning, its level in the log, its type and its fields."""
    return "\n".join([_HEAD, *(_section(module) for module in MODULES), _objects()])


def _section(module: ModuleType) -> str:
    title = module.__name__.rpartition(".")[2]
    listed = [one for one in CATALOGUE.values() if one.__module__ == module.__name__]
    about = inspect.cleandoc(module.__doc__ or "").replace("\n", " ")
    return "\n".join([f"## {title.capitalize()}", "", about, "", _TABLE, *map(_row, listed), ""])


def _objects() -> str:
    rows = [
        f"| `{one.__name__}` | {_meaning(one)} | {', '.join(_field(field) for field in dataclasses.fields(one))} |"
        for one in (Usage, FailureCause, CallAttempt)
    ]
    return "\n".join(["## Objects", "", "| object | meaning | fields |", "| --- | --- | --- |", *rows, ""])


def _meaning(described: type[object]) -> str:
    return " ".join((inspect.getdoc(described) or "").split())


def _row(payload: type[EventPayload]) -> str:
    meaning = _meaning(payload)
    level = logging.getLevelName(payload.level)
    fields = ", ".join(_field(field) for field in dataclasses.fields(payload))  # type: ignore[arg-type]
    return f"| `{payload.kind}` | {meaning} | {level} | `{payload.__name__}` | {fields} |"


def _field(field: dataclasses.Field[object]) -> str:
    """The name and the JSON type, such as `hints: list of str`."""
    # Annotations are not evaluated in these modules, so the type is the text of the source, as a reader expects it.
    text, optional = str(field.type), "?" if field.default is None else ""
    nullable = " or null" if text.endswith(" | None") and not optional else ""
    text = text.removesuffix(" | None")
    if item := re.fullmatch(r"tuple\[(.+), \.\.\.\]", text):
        text = f"list of {item[1]}"
    return f"`{field.name}{optional}: {re.sub(r'Mapping.*', 'object', text)}{nullable}`"

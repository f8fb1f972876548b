"""The forms of final answers: a correct example of each, and what models write instead that can only mean one thing.
Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orchestration.workflows.model import ReviewReport, RunPlan, StepReport, TextAnswer

# Each would do no harm if a model repeated it: nothing is approved in them, and nothing is done.
EXAMPLES: Mapping[type[BaseModel], str] = MappingProxyType(
    {
        RunPlan: (
            '{"summary": "One test fails because of a wrong sign.", "steps": [{"id": "s1", "title": "Mend the sign", '
            '"instructions": "In sums.py, line 3, add instead of subtracting.", "files": ["sums.py"], '
            '"depends_on": [], "done_when": "python -m pytest tests/test_sums.py passes"}], "risks": []}'
        ),
        StepReport: '{"summary": "What was done, and what is missing.", "done": false, "notes": []}',
        ReviewReport: (
            '{"verdict": "changes_requested", "summary": "One test fails.", "findings": [{"severity": "major", '
            '"message": "The sum is still wrong; add instead of subtracting.", "file": "sums.py", "line": 3}]}'
        ),
        TextAnswer: "the report itself, in plain text",
    }
)

# Each of these refuses, so reading it cannot open a gate that was closed. "Approved" has no other words.
_REFUSALS = (
    "approved_with_changes",
    "changes_needed",
    "changes_required",
    "needs_changes",
    "not_approved",
    "reject",
    "rejected",
    "request_changes",
    "requested_changes",
)
_SYNONYMS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "verdict": {"approve": "approved", **dict.fromkeys(_REFUSALS, "changes_requested")},
        "severity": {
            **dict.fromkeys(("critical", "blocking", "high"), "blocker"),
            "medium": "major",
            "low": "minor",
            **dict.fromkeys(("info", "nit", "suggestion"), "note"),
        },
    }
)
_SERIOUS = frozenset({"blocker"})
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_ID = 64


def unwrapped(value: Any, output: type[BaseModel]) -> Any:
    """The object that was asked for, out of a list of one or a wrapper around it; otherwise the value as it is."""
    for _ in range(3):
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        elif isinstance(value, dict) and len(value) == 1 and not is_attempt(value, output):
            (inner,) = value.values()
            if not isinstance(inner, dict | list):
                return value
            value = inner
        else:
            return value
    return value


def is_attempt(value: Any, output: type[BaseModel]) -> bool:
    """Whether an object was meant to be the answer: it has one of the keys that the form requires."""
    required = {name for name, field in output.model_fields.items() if field.is_required()}
    return isinstance(value, dict) and any(_plain(key) in required for key in value)


def mended(value: Mapping[str, Any], output: type[BaseModel]) -> dict[str, Any]:
    """The object with values of other types where only one meaning is possible: `Approved`, null or one text for a
    list, a number for a text, one step that is not in a list. The rest is left to pydantic."""
    fields = output.model_fields
    found: dict[str, Any] = {}
    for key, given in value.items():
        name = key if key in fields else _plain(key)
        if name in fields and (name not in found or key == name):
            found[name] = _mended_field(name, fields[name], given)
    # Null where the form has a default means that there is nothing to say.
    found = {name: item for name, item in found.items() if item is not None or fields[name].is_required()}
    finish = _FINISH.get(output)
    return finish(found) if finish else found


def _mended_field(name: str, field: FieldInfo, value: Any) -> Any:
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return _choice(name, get_args(annotation), value)
    if get_origin(annotation) is tuple:
        return _items(get_args(annotation)[0], value)
    if annotation is str and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if annotation is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if annotation == int | None and isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
    return value


def _choice(name: str, allowed: tuple[Any, ...], value: Any) -> Any:
    if not isinstance(value, str):
        return value
    plain = _plain(value)
    return plain if plain in allowed else _SYNONYMS.get(name, {}).get(plain, value)


def _items(kind: Any, value: Any) -> Any:
    if value is None:
        return []
    if isinstance(value, str) and kind is str:
        return [value] if value.strip() else []
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list):
        return items
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [mended(item, kind) if isinstance(item, dict) else item for item in items]
    return [_mended_text(item) for item in items if item is not None]


def _mended_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _finished_plan(plan: dict[str, Any]) -> dict[str, Any]:
    """Ids of the alphabet that flows need, in the steps and in what depends on them."""
    steps = plan.get("steps")
    if not isinstance(steps, list):
        return plan
    return {**plan, "steps": [_with_plain_ids(step) if isinstance(step, dict) else step for step in steps]}


def _with_plain_ids(step: dict[str, Any]) -> dict[str, Any]:
    changed = dict(step)
    if isinstance(step.get("id"), str):
        changed["id"] = _plain_id(step["id"])
    for name, plain in (("depends_on", _plain_id), ("files", str.strip)):
        if isinstance(step.get(name), list):
            changed[name] = [plain(item) if isinstance(item, str) else item for item in step[name]]
    return changed


def _plain_id(text: str) -> str:
    return _NOT_IN_IDS.sub("-", text).strip("-")[:_LONGEST_ID]


def _finished_review(review: dict[str, Any]) -> dict[str, Any]:
    """Whoever names a blocker asks for changes, whatever the verdict says."""
    findings = review.get("findings")
    severities = {item.get("severity") for item in findings if isinstance(item, dict)} if findings else set()
    if review.get("verdict") == "approved" and _SERIOUS & severities:
        return {**review, "verdict": "changes_requested"}
    return review


def _plain(text: Any) -> str:
    return re.sub(r"[\s_-]+", "_", str(text).strip().strip("*.!\"'").casefold())


_FINISH: Mapping[type[BaseModel], Callable[[dict[str, Any]], dict[str, Any]]] = MappingProxyType(
    {RunPlan: _finished_plan, ReviewReport: _finished_review}
)

"""The reference pages of actions and playbooks, made from the registry and the library themselves. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic.fields import FieldInfo

from orchestration.playbooks.actions import AnyAction
from orchestration.playbooks.catalogue import PlaybookEntry
from orchestration.playbooks.model import Risk
from orchestration.playbooks.runbook import runbook

_ACTIONS = """# Actions

What the steps of playbooks can do. An action with the risk *reads* changes nothing; what a *reversible* one changes can
be undone, or does no harm if it stays; a *destructive* one asks a person unless `automation.actions` in the
configuration lets just that action run by itself. What an action finds can be used by later steps and conditions as
`step.name`. [Add one of your own](../how-to/own-action.md).

| action | risk | what it does |
| --- | --- | --- |
"""
_WORDS = {
    Risk.READS: "reads",
    Risk.REVERSIBLE: "reversible",
    Risk.DESTRUCTIVE: "destructive: cannot be undone",
}
_PLAYBOOK = """<!-- Made from orchestration/playbooks/library/{file}; `orchestrator playbooks render` makes it anew. -->

"""


def actions_page(kinds: Iterable[type[AnyAction]]) -> str:
    """The page of all actions, in Markdown."""
    ordered = sorted(kinds, key=lambda kind: kind.name)
    rows = "\n".join(f"| [`{one.name}`](#{_anchor(one.name)}) | {one.risk.value} | {one.summary} |" for one in ordered)
    return _ACTIONS + rows + "\n\n" + "\n".join(_section(kind) for kind in ordered)


def playbook_page(entry: PlaybookEntry) -> str:
    """The page of one playbook, in Markdown."""
    return _PLAYBOOK.format(file=entry.file) + runbook(entry.playbook)


def _anchor(name: str) -> str:
    # Renderers such as GitHub's leave the full stop out of a heading's anchor.
    return name.replace(".", "")


def _section(kind: type[AnyAction]) -> str:
    return "\n".join([f"## {kind.name}", "", *_facts(kind), ""])


def _facts(kind: type[AnyAction]) -> Iterator[str]:
    yield f"{kind.summary[0].upper()}{kind.summary[1:]}."
    yield ""
    yield f"- risk: {_WORDS[kind.risk]}"
    if kind.undo_summary:
        yield f"- undo: {kind.undo_summary}"
    yield f"- finds: {', '.join(f'`{name}`' for name in kind.finds) or 'nothing'}"
    fields = kind.parameters.model_fields
    about = inspect.cleandoc(kind.parameters.__doc__ or "").replace("\n", " ")
    yield f"- parameters: {about}" if fields else "- parameters: none"
    for name, field in fields.items():
        yield f"  - `{name}`: {_type(field)}, {_default(field)}"


def _type(field: FieldInfo) -> str:
    names = {str: "text", float: "number", int: "whole number", bool: "true or false"}
    if field.annotation in names:
        bounds = [_bound(one) for one in field.metadata]
        return names[field.annotation] + "".join(f" {bound}" for bound in bounds if bound)
    return "list of texts" if "tuple" in str(field.annotation) else "text"


def _bound(constraint: Any) -> str:
    words = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    return " ".join(f"{sign} {getattr(constraint, word)}" for word, sign in words.items() if hasattr(constraint, word))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    return "may be left out" if field.default in (None, ()) else f"`{field.default}` unless given"

"""What a program decides is not read out of a sentence: a better wording must not change what the system does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.unit.architecture.source import Module, modules

_TWO_WORDS = re.compile(r"[A-Za-z]{2,},? [A-Za-z(]|^[a-z]{2,} $")
_CUTS = {"startswith", "endswith", "removeprefix", "removesuffix", "partition", "rpartition", "split"}
_EXPRESSIONS = {"compile", "match", "fullmatch", "search", "findall", "finditer", "sub"}
# Where sentences for people stand.
_SENTENCES = {"reason", "message", "detail", "summary", "note", "says", "sentence", "because", "hint", "title"}

# Where a sentence is all there is, by its beginning, with the reason.
_VENDORS = "vendors tell some failures apart in their texts alone"
_SHORTENED = "pydantic's own wording, made shorter for people; nothing is decided by it"
_SCRIPT = "the scripted model of rehearsals reads its prompt and its script"
_ALLOWED = {
    "orchestration.config.structure: Input should be ": _SHORTENED,
    "orchestration.config.structure: Value error, ": _SHORTENED,
    "orchestration.playbooks.document: Value error, ": _SHORTENED,
    "orchestration.providers.classification: (?i)no.?capacity": _VENDORS,
    "orchestration.providers.classification: (?i)quota": _VENDORS,
    "orchestration.providers.dialects.": "servers have no codes for what they refuse, and templates only marks",
    "orchestration.rehearsal.conversation: ^Your step:": _SCRIPT,
    "orchestration.rehearsal.scenes.scripted_calls: ^call ": _SCRIPT,
    "orchestration.agents.mcp.inspection: ": "orders to a model are looked for in what strangers write",
    "orchestration.agents.tools.": "patches and source code are what these tools read, in formats that others define",
    "orchestration.runs.patch_view: ": "the format of git's patches, which git defines",
    "orchestration.app.drill_sessions: left out: ": "a progress line of `orchestrator drill`, a process of ours",
    "orchestration.storage.migrations.": "what earlier versions wrote is read once, when the database is upgraded",
}


def decisions(module: Module) -> Iterator[str]:
    """The places of a module where a sentence is compared or cut, as "module: sentence"."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            if (text := _text(node.left)) and _name(node.comparators[0]) in _SENTENCES:
                yield f"{module.name}: {text}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            for text in (found for argument in node.args for found in _texts(argument)):
                cut = node.func.attr in _CUTS and (_TWO_WORDS.search(text) or _name(node.func.value) in _SENTENCES)
                if cut or (node.func.attr in _EXPRESSIONS and _is_re(node.func) and _TWO_WORDS.search(text)):
                    yield f"{module.name}: {text}"


def _is_re(function: ast.Attribute) -> bool:
    return isinstance(function.value, ast.Name) and function.value.id == "re"


def _texts(node: ast.expr) -> Iterator[str]:
    for part in node.elts if isinstance(node, ast.Tuple) else [node]:
        if text := _text(part):
            yield text


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def test_no_decision_is_read_out_of_a_sentence() -> None:
    found = sorted({one for module in modules().values() for one in decisions(module)})
    assert [one for one in found if not one.startswith(tuple(_ALLOWED))] == []


def test_nothing_is_allowed_that_is_not_there_any_more() -> None:
    found = {one for module in modules().values() for one in decisions(module)}
    assert [begin for begin in _ALLOWED if not any(one.startswith(begin) for one in found)] == []

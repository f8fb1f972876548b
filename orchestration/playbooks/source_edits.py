"""Edits of a playbook's YAML text that leave everything else as it is, comments and layout too. Pure.

Each function returns the new text, or None where the text is not laid out as blocks, and so cannot be edited by lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160), 8232, 8233, 65279), " ")


def move_option(text: str, option: str, before: str) -> str | None:
    """Put an option before another one."""
    blocks = _blocks(text, "mitigate", "option")
    if option not in blocks or before not in blocks:
        return None
    lines = text.splitlines(keepends=True)
    (start, end), (at, _) = blocks[option], blocks[before]
    block = lines[start:end]
    if start < at:
        return "".join([*lines[:start], *lines[end:at], *block, *lines[at:]])
    return "".join([*lines[:at], *block, *lines[at:start], *lines[end:]])


def point_hypothesis(text: str, hypothesis: str, option: str) -> str | None:
    """Let a hypothesis point to another option."""
    for item in _items(text, "hypotheses"):
        values = _values(item)
        named, pointer = values.get("hypothesis"), values.get("points_to")
        if named is not None and named.value == hypothesis and isinstance(pointer, yaml.ScalarNode):
            return f"{text[: pointer.start_mark.index]}{option}{text[pointer.end_mark.index :]}"
    return None


def add_option(text: str, option: str, summary: str, instruction: str, when: Mapping[str, Any]) -> str | None:
    """Add an option, tried last, that asks a person to do something by hand."""
    lines = text.splitlines(keepends=True)
    blocks = _blocks(text, "mitigate", "option")
    keys = _values(yaml.compose(text, yaml.SafeLoader))
    if blocks:
        at, head = max(end for _, end in blocks.values()), []
    elif "mitigate" not in keys and "verify" in keys:
        at = keys["verify"].start_mark.line
        while at and not lines[at].startswith("verify:"):
            at -= 1
        head = ["mitigate:\n"]
    else:
        return None
    block = [f"  - option: {option}", f"    says: {_quoted(summary)}"]
    block += [f"    when: {json.dumps(when, ensure_ascii=False)}"] if when else []
    block += [
        "    steps:",
        f"      - step: {option}",
        "        do: people.do-by-hand",
        f"        with: {{ text: {_quoted(instruction)} }}",
        "        why: A person did this when nothing else helped.",
        "        mode: suggest",
    ]
    tail = ["\n"] if head else []
    return "".join([*lines[:at], *head, *(f"{line}\n" for line in block), *tail, *lines[at:]])


def raise_version(text: str, version: int) -> str:
    """Set the playbook's version."""
    keys = _values(yaml.compose(text, yaml.SafeLoader))
    if node := keys.get("version"):
        return f"{text[: node.start_mark.index]}{version}{text[node.end_mark.index :]}"
    lines = text.splitlines(keepends=True)
    at = keys["scenario"].end_mark.line + 1
    return "".join([*lines[:at], f"version: {version}\n", *lines[at:]])


def _items(text: str, key: str) -> Sequence[yaml.Node]:
    node = _values(yaml.compose(text, yaml.SafeLoader)).get(key)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _blocks(text: str, key: str, name: str) -> dict[str, tuple[int, int]]:
    """The items of a list by their names, each as its first line and the line behind it."""
    lines, items = text.splitlines(), _items(text, key)
    starts = [item.start_mark.line for item in items]
    if not items or any(not lines[at].lstrip().startswith("- ") for at in starts) or len(set(starts)) < len(starts):
        return {}
    end = items[-1].end_mark.line
    while end > starts[-1] + 1 and not lines[end - 1].strip():
        end -= 1
    named = (_values(item).get(name) for item in items)
    spans = zip(starts, [*starts[1:], end], strict=True)
    return {node.value: span for node, span in zip(named, spans, strict=True) if node is not None}


def _values(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _quoted(text: str) -> str:
    # A JSON string is a double-quoted scalar of YAML, as long as it holds nothing that YAML cannot print.
    clean = " ".join(text.translate(_CONTROLS).encode("utf-8", "ignore").decode().split())
    return json.dumps(clean, ensure_ascii=False)

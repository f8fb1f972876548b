from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import pytest

from tests.unit.architecture.source import imports, modules


def rings(graph: Mapping[str, AbstractSet[str]]) -> list[set[str]]:
    """The sets of two and more nodes of which each reaches every other: Kosaraju's two passes."""
    order: list[str] = []
    _visit_all(graph, list(graph), order)
    reverse: dict[str, set[str]] = {node: set() for node in graph}
    for node, targets in graph.items():
        for target in targets:
            reverse[target].add(node)
    return [part for part in _visit_all(reverse, order[::-1], []) if len(part) > 1]


def _visit_all(graph: Mapping[str, AbstractSet[str]], starts: list[str], finished: list[str]) -> list[set[str]]:
    """Depth first from each start that is new; returns what each reached, and notes the order of finishing."""
    seen: set[str] = set()
    parts = []
    for start in starts:
        part: set[str] = set()
        stack = [(start, False)]
        while stack:
            node, done = stack.pop()
            if done:
                finished.append(node)
            elif node not in seen:
                seen.add(node)
                part.add(node)
                stack.append((node, True))
                stack.extend((target, False) for target in sorted(graph[node]))
        parts.append(part)
    return parts


def test_no_modules_import_each_other_even_lazily_or_for_types_only() -> None:
    found = rings({name: imports(module) for name, module in modules().items()})
    assert found == []


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [{"a", "b"}]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": {"d", "a"}}, [{"a", "b", "c"}, {"d", "e"}]),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}, []),
    ],
)
def test_a_ring_is_found_however_long_it_is(graph: dict[str, set[str]], expected: list[set[str]]) -> None:
    assert sorted(rings(graph), key=min) == expected


def test_an_import_within_a_function_counts() -> None:
    assert "orchestration.workflows.engine" in imports(modules()["orchestration.app.application"])

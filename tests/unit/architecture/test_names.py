from __future__ import annotations

from collections import defaultdict

import pytest

from tests.unit.architecture.source import modules, words

# Nouns of the field, in spite of their ending.
_NOUNS = {
    "alerting",  # the configuration's section of that name
    "closing",  # of an incident
    "monitoring",
    "formatting",  # of numbers and times on pages
    "scoring",  # of a drill
    "streaming",  # of an answer
    "testing",  # what libraries call their helpers for the tests of others
}
# Words of an earlier vocabulary that nobody would search for.
_ABANDONED = {
    "conducting", "desk", "doing", "foreseeing", "ground", "here", "keeper", "keeping", "ledger", "noting", "patience",
    "places", "rehearsing", "sharing", "spoken", "surroundings", "telling", "turn", "upkeep", "vigil", "wall", "walls",
    "watching", "workbench", "workshop",
}  # fmt: skip


def test_a_public_class_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for module in modules().values():
        for name in module.classes:
            if not name.startswith("_"):
                homes[name].append(module.name)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_modules_are_called_after_nouns() -> None:
    last = {name: name.rpartition(".")[2] for name in modules()}
    assert [name for name, word in last.items() if word.endswith("ing") and word not in _NOUNS] == []


def test_no_module_and_no_class_has_a_name_of_the_abandoned_vocabulary() -> None:
    names = {name for module in modules().values() for name in (module.name.rpartition(".")[2], *module.classes)}
    assert sorted(name for name in names if _ABANDONED & set(words(name))) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run_launcher", ("run", "launcher")),
        ("RunLauncher", ("run", "launcher")),
        ("_HTTPServer", ("http", "server")),
        ("SLATable", ("sla", "table")),
    ],
)
def test_names_are_taken_apart_into_words(name: str, expected: tuple[str, ...]) -> None:
    assert words(name) == expected

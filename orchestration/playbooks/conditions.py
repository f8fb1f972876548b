"""Conditions on findings: the whole language that playbooks have for `when`. Pure.

A condition is a mapping; all of its entries must hold. A key names a fact (`probe.outcome`), the value is what it must
be: a plain value, a list of allowed values, or one test such as `{above: 3}`. `any`, `all` and `not` combine
conditions. A fact that is not known satisfies nothing but `{known: false}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Condition = Mapping[str, Any]
Facts = Mapping[str, Any]

# Not None: a finding may be None itself, and a condition may ask for that.
_UNKNOWN = object()


def _number(value: Any) -> bool:
    # A bool is an int in Python; `above: 0` must not hold for `true`.
    return isinstance(value, int | float) and not isinstance(value, bool)


TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "is": lambda fact, wanted: bool(fact == wanted),
    "is_not": lambda fact, wanted: bool(fact != wanted),
    "above": lambda fact, wanted: _number(fact) and fact > wanted,
    "below": lambda fact, wanted: _number(fact) and fact < wanted,
    "at_least": lambda fact, wanted: _number(fact) and fact >= wanted,
    "at_most": lambda fact, wanted: _number(fact) and fact <= wanted,
    "contains": lambda fact, wanted: isinstance(fact, str | Sequence) and wanted in fact,
    "empty": lambda fact, wanted: (not fact) == wanted,
}
_NUMERIC = frozenset({"above", "below", "at_least", "at_most"})
_COMBINE = frozenset({"any", "all", "not"})


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether the facts satisfy the condition; an empty one always holds."""
    return all(_entry_holds(key, wanted, facts) for key, wanted in condition.items())


def problems(condition: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The mistakes in a condition of a file: where in it, and what is wrong."""
    if not isinstance(condition, Mapping):
        yield path, "expected a mapping of facts to what they must be"
        return
    for key, wanted in condition.items():
        place = f"{path}.{key}".lstrip(".")
        if key in ("any", "all"):
            yield from _list_problems(wanted, place)
        elif key == "not":
            yield from problems(wanted, place)
        elif isinstance(wanted, Mapping):
            yield from _test_problems(wanted, place)


def names(condition: Condition) -> Iterator[str]:
    """The facts that a condition refers to."""
    for key, wanted in condition.items():
        if key in ("any", "all"):
            for part in wanted:
                yield from names(part)
        elif key == "not":
            yield from names(wanted)
        else:
            yield key


def in_words(condition: Condition) -> str:
    """The condition as a phrase for people."""
    parts = [_in_words(key, wanted) for key, wanted in condition.items()]
    return " and ".join(parts) or "always"


def _entry_holds(key: str, wanted: Any, facts: Facts) -> bool:
    if key == "any":
        return any(holds(part, facts) for part in wanted)
    if key == "all":
        return all(holds(part, facts) for part in wanted)
    if key == "not":
        return not holds(wanted, facts)
    return _fact_fits(facts.get(key, _UNKNOWN), wanted)


def _fact_fits(fact: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        # A finding of None is as good as unknown to a test: it can be neither above nor below anything.
        known = fact is not _UNKNOWN and fact is not None
        return all(
            known == value if name == "known" else known and TESTS[name](fact, value) for name, value in wanted.items()
        )
    if fact is _UNKNOWN:
        return False
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return fact in wanted
    return bool(fact == wanted)


def _list_problems(wanted: object, place: str) -> Iterator[tuple[str, str]]:
    if not isinstance(wanted, Sequence) or isinstance(wanted, str) or not wanted:
        yield place, "expected a list of conditions"
        return
    for number, part in enumerate(wanted):
        yield from problems(part, f"{place}.{number}")


def _test_problems(wanted: Mapping[str, Any], place: str) -> Iterator[tuple[str, str]]:
    for name, value in wanted.items():
        if name not in TESTS and name != "known":
            allowed = ", ".join([*TESTS, "known"])
            yield place, f"expected one of the tests {allowed}, got '{name}'"
        elif name in _NUMERIC and not _number(value):
            yield place, f"expected a number for '{name}', got {value!r}"
        elif name in ("empty", "known") and not isinstance(value, bool):
            yield place, f"expected true or false for '{name}', got {value!r}"


def _in_words(key: str, wanted: Any) -> str:
    if key in ("any", "all"):
        joint = " or " if key == "any" else " and "
        return "(" + joint.join(in_words(part) for part in wanted) + ")"
    if key == "not":
        return f"not ({in_words(wanted)})"
    if isinstance(wanted, Mapping):
        return " and ".join(_test_in_words(key, name, value) for name, value in wanted.items())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        return f"{key} is one of {', '.join(map(_shown, wanted))}"
    return f"{key} is {_shown(wanted)}"


def _test_in_words(key: str, name: str, value: Any) -> str:
    if name == "known":
        return f"{key} is {'known' if value else 'not known'}"
    if name == "empty":
        return f"{key} is {'empty' if value else 'not empty'}"
    verb = {"contains": "contains"}.get(name) or ("is" if name == "is" else f"is {name.removeprefix('is_')}")
    return f"{key} {verb.replace('_', ' ')} {_shown(value)}"


def _shown(value: Any) -> str:
    # Numbers are kept out: 1 equals True and would be shown as "yes".
    return {True: "yes", False: "no", None: "unknown"}.get(value, str(value)) if not _number(value) else str(value)

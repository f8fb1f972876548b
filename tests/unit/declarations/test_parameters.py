from __future__ import annotations

import contextlib
import json
from datetime import date
from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orchestration.declarations.parameters import BadCallError, call_with, schema_of
from orchestration.declarations.task import Call
from orchestration.errors import UsageError
from orchestration.sdk import tool

CALL = Call("run-1", "clerk", "/work", "run-1.clerk/3")


class Colour(Enum):
    RED = "red"


class Address(BaseModel):
    street: str
    number: int = 1


def everything(
    text: str,
    when: date,
    where: Address,
    colour: Colour,
    parts: tuple[int, ...] = (),
    size: Literal["s", "m"] = "s",
    *,
    call: Call,
    note: str | None = None,
) -> list[Any]:
    return [text, when, where, colour, parts, size, call, note]


def test_annotations_become_a_schema_without_what_the_system_fills_in() -> None:
    schema = schema_of(everything)
    assert schema["required"] == ["text", "when", "where", "colour"]
    assert set(schema["properties"]) == {"text", "when", "where", "colour", "parts", "size", "note"}
    assert schema["properties"]["when"]["format"] == "date"
    assert schema["additionalProperties"] is False


def test_arguments_become_values_of_the_types() -> None:
    given_ = {"text": "a", "when": "2026-11-29", "where": {"street": "Main"}, "colour": "red", "parts": [1, 2]}
    assert call_with(everything, given_, CALL) == [
        *("a", date(2026, 11, 29), Address(street="Main"), Colour.RED, (1, 2), "s", CALL, None)
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "text: Field required"),
        ({"text": "a", "when": "soon", "where": {"street": "x"}, "colour": "red"}, "when: "),
        ({"text": "a", "when": "2026-01-01", "where": {"street": 5}, "colour": "red"}, "where.street: "),
        ({"text": "a", "when": "2026-01-01", "where": {"street": "x"}, "colour": "red", "typo": 1}, "typo: Extra"),
        ({"text": "a", "when": "2026-01-01", "where": {"street": "x"}, "colour": "red", "call": {}}, "call: Extra"),
    ],
)
def test_wrong_arguments_do_not_reach_the_function(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(BadCallError, match=expected):
        call_with(everything, arguments, CALL)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["text", "when", "where", "colour", "parts", "x"]), JSON, max_size=6))
def test_whatever_a_model_sends_is_either_called_or_refused(arguments: dict[str, Any]) -> None:
    with contextlib.suppress(BadCallError):
        call_with(everything, json.loads(json.dumps(arguments)), CALL)


def test_a_function_without_types_is_refused_with_what_to_do() -> None:
    def untyped(a):  # type: ignore[no-untyped-def]
        return a

    def variadic(*words: str) -> str:
        return "".join(words)

    with pytest.raises(UsageError, match=r"'a' has no type\. Annotate"):
        schema_of(untyped)
    with pytest.raises(UsageError, match="cannot be given by name"):
        schema_of(variadic)


@tool
def top_level(text: str) -> str:
    """Says it."""
    return text


def test_a_tool_is_still_a_function_and_knows_where_it_is() -> None:
    assert top_level("hello") == "hello"
    section = top_level.section()
    assert section["entryPoint"] == f"{__name__}:top_level"
    assert section["description"] == "Says it."


def test_a_function_that_no_other_process_can_import_is_refused() -> None:
    @tool
    def inner(text: str) -> str:
        return text

    with pytest.raises(UsageError, match="defined inside a function"):
        inner.section()

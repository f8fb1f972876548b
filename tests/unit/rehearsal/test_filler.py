"""The smallest value that a schema allows."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from orchestration.rehearsal.scenes.filler import example


class Kind(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Part(BaseModel):
    name: str
    weight: float = Field(ge=2)


class Thing(BaseModel):
    kind: Kind
    word: Literal["only"]
    parts: list[Part] = Field(min_length=2)
    note: str | None
    on: bool
    empty: None
    spare: int = 5


def test_an_example_passes_the_checks_of_the_model_behind_the_schema() -> None:
    thing = Thing.model_validate(example(Thing.model_json_schema()), strict=False)
    assert thing.kind is Kind.SMALL
    assert thing.parts == [Part(name="[rehearsal]", weight=2)] * 2
    assert thing.note == "[rehearsal]"


def test_what_is_not_required_is_left_out() -> None:
    assert "spare" not in example(Thing.model_json_schema())


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "[rehearsal]"),
        ({"type": ["null", "string"]}, None),
        ({"type": "integer"}, 0),
        ({"oneOf": [{"const": 3}, {"type": "string"}]}, 3),
        ({"properties": {"a": {"type": "boolean"}}, "required": ["a", "b"]}, {"a": False, "b": "[rehearsal]"}),
        ({"type": "array", "items": {"type": "string"}}, []),
    ],
)
def test_each_kind_of_schema_has_its_smallest_value(schema: dict, value: object) -> None:
    assert example(schema) == value

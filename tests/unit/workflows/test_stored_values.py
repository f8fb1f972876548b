from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from orchestration.workflows.engine.values import JSON, StoredValueError, from_json, to_json


class Colour(StrEnum):
    RED = "red"


class Car(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    colour: Colour
    seats: tuple[int, ...] = ()
    from_: str = Field(default="here", alias="from")


@dataclass(frozen=True, slots=True)
class Journey:
    began: datetime
    colours: frozenset[Colour]
    note: str | None = None


BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OPTIONAL = TypeAdapter[str | None](str | None)


@pytest.mark.parametrize(
    ("model", "value", "stored"),
    [
        (Car, Car(colour=Colour.RED, seats=(1, 2)), {"colour": "red", "seats": [1, 2], "from": "here"}),
        (
            Journey,
            Journey(BEGAN, frozenset({Colour.RED})),
            {"began": "2026-03-01T12:00:00Z", "colours": ["red"], "note": None},
        ),
        (str, "text", "text"),
        (NoneType, None, None),
        (OPTIONAL, None, None),
        (OPTIONAL, "text", "text"),
        (list[int], [1, 2], [1, 2]),
        (JSON, {"a": [1, None, {"b": 0.5}]}, {"a": [1, None, {"b": 0.5}]}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_a_value_is_stored_as_json_and_comes_back_as_it_was(model: Any, value: Any, stored: Any) -> None:
    assert to_json(model, value) == stored
    assert from_json(model, stored, "it") == value


def test_a_time_that_was_stored_with_an_offset_is_read_too() -> None:
    stored = {"began": "2026-03-01T12:00:00+00:00", "colours": []}
    assert from_json(Journey, stored, "it") == Journey(BEGAN, frozenset())


def test_stored_json_of_another_shape_is_refused_with_what_is_wrong() -> None:
    with pytest.raises(StoredValueError, match="step 'buy' of run-1 cannot be read as Car: colour: Input should be"):
        from_json(Car, {"colour": "plaid"}, "step 'buy' of run-1")


def test_text_that_is_no_unicode_goes_through_unchanged() -> None:
    assert to_json(str, "\ud800") == "\ud800"
    assert from_json(JSON, {"a": "\ud800"}, "it") == {"a": "\ud800"}

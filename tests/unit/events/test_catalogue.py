"""Every kind of event has a type, every type is published, and no kind is named anywhere else."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestration.clock import FakeClock
from orchestration.events import Event, EventBus
from orchestration.events.agents import AgentFinished, FailureCause, Usage
from orchestration.events.catalogue import CATALOGUE, incident_event, read_payload
from orchestration.events.incidents import IncidentEvent
from orchestration.events.payload import EventPayload, UnlistedPayload
from orchestration.events.providers import CallAttempt, ModelCallFinished
from orchestration.events.runs import ApprovalRequested, RunStopped
from tests.support.project import ROOT

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
USAGE = Usage(1.0, 2, 30, 0.0, rehearsal=False)


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "orchestration").rglob("*.py")):
        if path.is_relative_to(ROOT / "orchestration" / "events"):
            continue
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def filled(kind: str) -> EventPayload:
    """An event of this kind with a word in each field that takes text."""
    names = [field.name for field in dataclasses.fields(CATALOGUE[kind])]  # type: ignore[arg-type]
    return read_payload(kind, dict.fromkeys(names, "word"))


def test_every_type_is_published_somewhere() -> None:
    named = {node.id for _, tree in sources() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    unpublished = {one.__name__ for one in CATALOGUE.values() if not issubclass(one, IncidentEvent)} - named
    assert unpublished == set()


@pytest.mark.parametrize("kind", list(CATALOGUE))
def test_every_type_has_a_meaning_and_a_sentence(kind: str) -> None:
    listed = CATALOGUE[kind]
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", kind)
    assert (listed.__doc__ or "").endswith(".")
    assert filled(kind).sentence()


@pytest.mark.parametrize("kind", list(CATALOGUE))
def test_what_a_payload_stores_is_read_back_as_the_same(kind: str) -> None:
    for payload in (filled(kind), read_payload(kind, {})):
        assert read_payload(kind, payload.data()) == payload


def test_a_published_event_carries_its_payload_and_its_stored_data() -> None:
    event = EventBus(FakeClock()).publish(RunStopped("out of disk"), run_id="run-1")
    assert (event.kind, event.run_id, event.data) == ("run.stopped", "run-1", {"reason": "out of disk"})
    assert event.payload == RunStopped("out of disk")


def test_nested_values_are_stored_as_plain_json_and_read_back_typed() -> None:
    payload = AgentFinished("run-1.a", FailureCause("timeout", "it took too long"), USAGE)
    data = payload.data()
    assert data["failing"] == {"kind": "timeout", "message": "it took too long", "error": ""}
    assert read_payload("agent.finished", data) == payload


def test_optional_fields_that_were_not_given_are_not_stored() -> None:
    assert ApprovalRequested("a-1", "May I?").data() == {"approval": "a-1", "question": "May I?"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # As releases before 0.2 wrote it: without the number of attempts, with a field that is gone since.
        (
            {"key": "r/1", "outcome": "ok", "seconds": 1, "route": "a/m", "vendor": "a"},
            {"seconds": 1.0, "route": "a/m"},
        ),
        ({"tries": [{"route": "a/m", "outcome": "ok"}]}, {"tries": (CallAttempt("a/m", "ok", None, 0.0, ""),)}),
        ({"tries": "none", "seconds": "soon", "usd": None, "tokens": True}, {"tries": (), "seconds": 0.0, "tokens": 0}),
    ],
)
def test_rows_of_other_releases_are_read_without_failing(data: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    event = Event("model_call.finished", NOON, data=data)
    assert isinstance(event.payload, ModelCallFinished)
    assert {name: getattr(event.payload, name) for name in expected} == expected
    assert event.data == data


def test_kinds_that_the_catalogue_does_not_know_keep_their_data() -> None:
    event = EventBus(FakeClock()).emit("plugin.finished", run_id="run-1", count=3)
    assert event.data == {"count": 3}
    assert isinstance(event.payload, UnlistedPayload)


def test_each_entry_of_an_incident_has_its_own_type() -> None:
    found = incident_event("severity-raised")
    assert found is not None
    assert found.kind == "incident.severity_raised"
    assert incident_event("no-such-entry") is None
    assert incident_event("replayed") is None


def test_no_payload_field_has_the_name_of_a_field_of_the_event() -> None:
    own = {field.name for field in dataclasses.fields(Event)} | set(vars(EventPayload))
    clashes = {kind: {field.name for field in dataclasses.fields(one)} & own for kind, one in CATALOGUE.items()}  # type: ignore[arg-type]
    assert not any(clashes.values())


def test_no_kind_is_named_outside_the_catalogue() -> None:
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in CATALOGUE
    ]
    assert named == []


def test_the_product_publishes_only_types() -> None:
    emitted = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit"
        if "bus" in ast.unparse(node.func.value)
    ]
    # An entry of an incident that another release wrote is announced as it is.
    assert [place.partition(":")[0] for place in emitted] == ["orchestration/incidents/unit_of_work.py"]

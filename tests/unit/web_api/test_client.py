"""The client of the API: records, queries, errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestration.client import Client, EventRecord, RunRecord, _events, _part, _query, _record
from orchestration.errors import UsageError

RUN = {
    "id": "run-1",
    "goal": "g",
    "status": "queued",
    "reason": "",
    "workspace": "/w",
    "priority": "normal",
    "origin": "",
    "created_at": "2026-03-03T12:00:00Z",
    "started_at": None,
    "from a newer server": 1,
}


def test_a_record_reads_times_and_leaves_out_what_it_does_not_know() -> None:
    run = _record(RunRecord, RUN)
    assert run.created_at == datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
    assert run.started_at is None
    assert run.agent is None


def test_a_query_leaves_out_what_was_not_asked() -> None:
    assert _query({"a": None, "b": [], "c": True, "d": 0, "e": ["x"]}) == {"c": "true", "d": 0, "e": ["x"]}


@pytest.mark.parametrize("text", ["", "a/b", "..\\x", "a?b", "a#b", "a%2fb", "a\nb"])
def test_a_part_of_a_path_cannot_be_several(text: str) -> None:
    with pytest.raises(UsageError, match="expected a name or an identifier"):
        _part(text)


def test_an_address_is_one_of_the_web() -> None:
    with pytest.raises(UsageError, match="expected a server's address"):
        Client("localhost:8642")


def test_events_are_read_with_their_numbers_and_signs_of_life_are_passed_over() -> None:
    data: dict[str, Any] = {
        "kind": "run.created",
        "at": "2026-03-03T12:00:00Z",
        "run_id": "r",
        "agent": None,
        "actor": "a",
    }
    data |= {"data": {"goal": "g"}}
    lines = [
        ": here",
        "",
        "id: 7",
        "event: run.created",
        f"data: {json.dumps(data)}",
        "",
        ": still here",
        "",
    ]
    (event,) = _events(iter(lines))
    moment = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
    assert event == EventRecord(7, "run.created", moment, "r", None, "a", {"goal": "g"})

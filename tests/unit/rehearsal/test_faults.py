"""Faults as functions on a reply, and the registry that assigns them to requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestration.clock import FakeClock
from orchestration.errors import UsageError
from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest, RehearsalToolCall
from orchestration.rehearsal.fault_registry import FaultMatch, FaultOrder, FaultRegistry
from orchestration.rehearsal.faults import FAULTS, find_fault, parse_fault
from orchestration.rehearsal.wire_reply import StreamEnding, WireDialect, WireReply, whole

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
STREAM = WireReply(pieces=(b"one", b"two", b"three", b"four"), streaming=True)
CHAT = "/v1/chat/completions"


def spoilt(fault: str, delivery: WireReply = STREAM) -> WireReply:
    return parse_fault(fault).spoil(delivery, NOW)


def taken(faults: FaultRegistry, path: str = CHAT, role: str | None = None) -> str | None:
    injection = faults.next_for(path, role)
    return injection.fault.name if injection else None


@pytest.mark.parametrize(
    ("fault", "ending"),
    [("stall", StreamEnding.SILENCE), ("truncate", StreamEnding.CLEAN), ("disconnect", StreamEnding.RESET)],
)
def test_three_faults_stop_in_the_middle_each_in_its_own_way(fault: str, ending: StreamEnding) -> None:
    assert (spoilt(fault).pieces, spoilt(fault).ending) == ((b"one", b"two"), ending)


def test_hang_sends_nothing_at_all() -> None:
    assert (spoilt("hang").pieces, spoilt("hang").ending) == ((), StreamEnding.SILENCE)


def test_the_number_after_the_colon_is_the_faults_own() -> None:
    assert spoilt("slow:7").delay == 7
    assert spoilt("slow_tokens:0.2").pause == 0.2
    assert spoilt("refuse:3").refuse == 3
    assert spoilt("slow").delay == FAULTS["slow"].default


@pytest.mark.parametrize(
    ("fault", "headers"),
    [
        ("429:7", {"retry-after": "7"}),
        ("429_date:7", {"retry-after": "Mon, 05 Jan 2026 09:00:07 GMT"}),
        ("429_ms:0.25", {"retry-after-ms": "250"}),
        ("429_bare", {}),
    ],
)
def test_a_rate_limit_says_when_to_come_back_in_three_ways_or_not(fault: str, headers: dict[str, str]) -> None:
    assert (spoilt(fault).status, dict(spoilt(fault).headers)) == (429, headers)


def test_an_error_has_the_shape_of_the_dialect() -> None:
    openai = json.loads(b"".join(spoilt("404").pieces))
    ollama = json.loads(b"".join(spoilt("404", whole({}, WireDialect.OLLAMA)).pieces))
    assert openai["error"]["code"] == "model_not_found"
    assert ollama == {"error": "[rehearsal] the model does not exist"}


def test_a_content_filter_has_azures_inner_error() -> None:
    error = json.loads(b"".join(spoilt("400_content_filter").pieces))["error"]
    assert (error["code"], error["innererror"]["code"]) == ("content_filter", "ResponsibleAIPolicyViolation")


def test_an_error_line_comes_after_the_first_pieces_or_is_the_whole_body() -> None:
    assert spoilt("error_line").pieces[:2] == (b"one", b"two")
    assert b"error" in spoilt("error_line").pieces[2]
    alone = spoilt("error_line", whole({"fine": True}))
    assert (alone.status, list(json.loads(b"".join(alone.pieces)))) == (200, ["error"])


def test_a_broken_call_breaks_the_call_that_was_to_come_or_makes_one() -> None:
    conversation = RehearsalRequest("executor", "go", tools=frozenset({"read_file", "write_file"}))
    call = RehearsalToolCall("write_file", {"path": "a"})
    injection = parse_fault("bad_tool_call")
    assert injection.distort(RehearsalReply(calls=(call,)), conversation) == RehearsalReply(
        calls=(call,), broken_calls=True
    )
    assert injection.distort(RehearsalReply("text"), conversation).calls[0].name == "read_file"


def test_most_faults_leave_what_is_said_alone() -> None:
    assert parse_fault("503").distort(RehearsalReply("text"), RehearsalRequest("", "")) == RehearsalReply("text")
    assert parse_fault("bad_json_answer").spoil(STREAM, NOW) == STREAM


@pytest.mark.parametrize("text", ["418", "", "429:soon", "slow:-1", "slow:nan", "slow:inf"])
def test_what_is_no_fault_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError, match="expected"):
        parse_fault(text)


def test_the_reference_lists_exactly_the_faults_that_exist() -> None:
    page = Path(__file__).parents[3] / "docs/reference/rehearsal-provider.md"
    lines = page.read_text().splitlines()
    rows = {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line.startswith("| `")}
    assert rows == {
        (f"`{fault.name}`", fault.effect, fault.number, f"{fault.default:g}" if fault.number else "")
        for fault in FAULTS.values()
    }


async def test_a_fault_holds_for_its_number_of_requests() -> None:
    faults = FaultRegistry(FakeClock())
    faults.add(FaultOrder(fault="503", count=2))
    assert [taken(faults) for _ in range(3)] == ["503", "503", None]


async def test_a_fault_holds_for_its_time() -> None:
    clock = FakeClock()
    faults = FaultRegistry(clock)
    faults.add(FaultOrder(fault="hang", seconds=10))
    await clock.advance(9.9)
    assert taken(faults) == "hang"
    await clock.advance(0.1)
    assert taken(faults) is None


def test_a_fault_without_limits_holds_until_it_is_taken_back() -> None:
    faults = FaultRegistry(FakeClock())
    faults.add(FaultOrder(fault="500"))
    assert [taken(faults) for _ in range(50)] == ["500"] * 50
    faults.clear()
    assert taken(faults) is None


def test_the_oldest_fault_that_fits_comes_first() -> None:
    faults = FaultRegistry(FakeClock())
    faults.add(FaultOrder(fault="401", count=1, match=FaultMatch(role="reviewer")))
    faults.add(FaultOrder(fault="502", count=1, match=FaultMatch(path=CHAT)))
    faults.add(FaultOrder(fault="500", count=1))
    assert taken(faults, "/v1/models") == "500"
    assert taken(faults, role="planner") == "502"
    assert taken(faults, role="planner") is None
    assert [(rule["fault"], rule["left"]) for rule in faults.list()] == [("401", 1)]
    assert taken(faults, role="reviewer") == "401"


def test_an_order_may_bring_the_faults_number() -> None:
    faults = FaultRegistry(FakeClock())
    faults.add(FaultOrder(fault="429", number=30))
    injection = faults.next_for(CHAT, None)
    assert injection == find_fault("429", 30)


@pytest.mark.parametrize(
    "order", [{}, {"fault": "503", "count": 0}, {"fault": "503", "seconds": 0}, {"fault": "503", "x": 1}]
)
def test_an_order_that_makes_no_sense_is_refused(order: dict) -> None:
    with pytest.raises(ValidationError):
        FaultOrder.model_validate(order)


def test_an_order_for_an_unknown_fault_is_refused_at_once() -> None:
    faults = FaultRegistry(FakeClock())
    with pytest.raises(UsageError, match="418"):
        faults.add(FaultOrder(fault="418"))
    assert faults.list() == []

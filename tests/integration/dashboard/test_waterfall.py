from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestration.events import Event
from orchestration.runs.waterfall import WIDTH, Waterfall, waterfall
from orchestration.web.pages.providers import recent_usage

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)
LANE = "run-1.planner"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def agent(kind: str, seconds: float, lane: str = LANE, **data: Any) -> Event:
    return Event(f"agent.{kind}", at(seconds), "run-1", "planner", data={"agent_run_id": lane, **data})


def started(seconds: float, lane: str = LANE) -> Event:
    return agent("started", seconds, lane, title="plan")


def finished(seconds: float, failing: Any = None) -> Event:
    return agent("finished", seconds, failing=failing, use={"tokens": 7, "usd": 0.5})


def model_call(seconds: float, took: float, *outcomes: str, key: str = f"{LANE}/1", **data: Any) -> Event:
    tries = [{"route": f"p{number}/m", "outcome": one, "seconds": 1.0} for number, one in enumerate(outcomes)]
    about = {"key": key, "seconds": took, "tries": tries, "route": "p/m", "outcome": "ok", "tokens": 5, **data}
    return Event("model_call.finished", at(seconds), "run-1", "planner", data=about)


def drawn(agents: list[Event], calls: list[Event], until: float = 10) -> Waterfall:
    return waterfall(agents, list(enumerate(calls, start=1)), NOON, at(until))


def test_a_call_stands_where_it_began_and_is_as_long_as_it_took() -> None:
    (lane,) = drawn([started(0), finished(10)], [model_call(6, 4, "ok")]).lanes
    (call,) = lane.calls
    assert (call.began, call.ended, call.seconds) == (at(2), at(6), 4.0)
    assert (call.span.x, call.span.width) == (200.0, 400.0)
    assert (lane.span.x, lane.span.width) == (0.0, 1000.0)


def test_an_agent_at_work_reaches_to_now() -> None:
    fall = drawn([started(5)], [], until=20)
    assert (fall.lanes[0].state, fall.lanes[0].ended) == ("running", None)
    assert (fall.lanes[0].span.x, fall.lanes[0].span.width) == (250.0, 750.0)


def test_an_agent_that_was_taken_over_stays_one_lane() -> None:
    (lane,) = drawn([started(0), agent("interrupted", 2), started(4), finished(6)], []).lanes
    assert (lane.resumed, lane.state, lane.ended) == (1, "done", at(6))


def test_a_failed_agent_says_why() -> None:
    (lane,) = drawn([started(0), finished(1, {"kind": "time", "message": "too slow"})], []).lanes
    assert (lane.state, lane.message) == ("failed", "too slow")


def test_tokens_are_those_of_the_calls_until_the_agent_has_ended() -> None:
    calls = [model_call(1, 1, "ok"), model_call(2, 1, "ok")]
    assert drawn([started(0)], calls).tokens == 10
    assert drawn([started(0), finished(3)], calls).tokens == 7


def test_retries_and_fallbacks_are_told_apart() -> None:
    same = model_call(1, 1, "ok")
    same.data["tries"].append({"route": "p0/m", "outcome": "ok", "seconds": 1.0})  # type: ignore[union-attr]
    (lane,) = drawn([started(0)], [same, model_call(2, 1, "timeout", "ok")]).lanes
    assert [(call.retries, call.fallback) for call in lane.calls] == [(1, False), (1, True)]


def test_a_tool_call_a_refusal_and_a_failed_call_are_shown_as_such() -> None:
    tool = Event("tool_call.finished", at(1), "run-1", data={"key": f"{LANE}/2", "tool": "read_file", "ok": True})
    refused = Event("tool_call.refused", at(2), "run-1", data={"what": ".env", "reason": "secret"})
    failed = Event("model_call.failed", at(3), "run-1", data={"key": f"{LANE}/3", "outcome": "no_route", "tries": []})
    fall = drawn([started(0)], [tool, refused, failed, Event("run.waiting", at(4), "run-1")])
    assert [(call.kind, call.ok) for call in fall.lanes[0].calls] == [("tool", True), ("model", False)]
    assert [(call.kind, call.about) for call in fall.loose] == [("refused", ".env: secret")]


@given(st.lists(st.tuples(st.floats(-5, 50), st.floats(0, 100)), max_size=20), st.floats(0, 30))
def test_nothing_stands_outside_whatever_the_clocks_say(calls: list[tuple[float, float]], until: float) -> None:
    fall = drawn([started(0)], [model_call(end, took, "ok") for end, took in calls], until)
    spans = [call.span for lane in fall.lanes for call in lane.calls] + [lane.span for lane in fall.lanes]
    for span in spans:
        assert 0 <= span.x < WIDTH
        assert span.width > 0
        assert span.x + span.width <= WIDTH + 0.2  # each is rounded to a tenth


def test_what_providers_did_lately_counts_tries_that_another_route_made_good() -> None:
    found = recent_usage([model_call(1, 1, "timeout", "ok", first_token_seconds=0.2).data, model_call(2, 1, "ok").data])
    assert (found["p0"].attempts, found["p0"].failures, found["p0"].error_rate) == (2, {"timeout": 1}, 0.5)
    assert (found["p1"].attempts, found["p1"].median, found["p1"].error_rate) == (1, 1.0, 0.0)
    assert found["p"].first_token == 0.2


def test_nine_of_ten_answers_are_at_least_as_fast_as_the_90th_percentile() -> None:
    found = recent_usage([{"tries": [{"route": "p/m", "outcome": "ok", "seconds": float(n)}]} for n in range(1, 11)])
    assert found["p"].percentile_90 == 9.0

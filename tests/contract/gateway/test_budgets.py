"""Budgets stop hard: before the call that would go over, also with calls side by side and in several processes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestration.clock import FakeClock
from orchestration.providers.failures import BudgetExceededError
from orchestration.storage.database import Database
from orchestration.storage.spend import Charge, Spend
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import BODY, Desk, provider, together
from tests.support.vendor import Vendor, refused

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PRICES = {"a": [{"name": "m", "inputUsdPerMillion": 100_000, "outputUsdPerMillion": 100_000}]}  # a call costs $1.20
AGENT = {"id": "planner", "limits": {"tokens": 45}}


@pytest.fixture
def desk_with(make_desk: MakeDesk, first: Vendor, database: Database) -> Any:
    def make(clock: FakeClock | None = None, **runtime: Any) -> Desk:
        more = {"clock": clock} if clock else {}
        providers = {"a": provider(first.url, concurrency=20)}
        return make_desk(providers, desk={"database": database, **more}, **runtime)

    return make


async def test_a_run_stops_before_the_call_that_would_go_over(desk_with: Any, first: Vendor) -> None:
    desk = desk_with(limits={"tokens": 45})
    for _ in range(3):
        await desk.ask(run_id="r")
    with pytest.raises(BudgetExceededError, match=r"run r may use 45 tokens and has used 36.*`limits.tokens`"):
        await desk.ask(run_id="r")
    await desk.ask(run_id="another")
    await desk.ask()
    assert len(first.chats) == 5
    assert [event.data["outcome"] for event in desk.said("model_call.failed")] == ["budget"]


async def test_calls_side_by_side_do_not_go_over_together(desk_with: Any, first: Vendor) -> None:
    desk = desk_with(limits={"tokens": 50})
    done = await together(*[lambda: desk.ask(run_id="r")] * 20)
    refused_ones = [one for one in done if isinstance(one, BudgetExceededError)]
    assert len(first.chats) + len(refused_ones) == 20
    assert len(first.chats) <= 4
    assert "set" in str(refused_ones[0])


async def test_what_a_call_may_answer_is_set_aside_too(desk_with: Any, first: Vendor) -> None:
    desk = desk_with(limits={"tokens": 1000})
    for key in ("max_tokens", "max_completion_tokens"):
        with pytest.raises(BudgetExceededError):
            await desk.ask(run_id="r", body={**BODY, key: 1000})
    assert first.chats == []


async def test_dollars_are_limited_like_tokens(desk_with: Any, first: Vendor) -> None:
    desk = desk_with(limits={"usd": 3.0}, models=PRICES)
    done = await together(*[lambda: desk.ask(run_id="r")] * 10)
    assert len(first.chats) < 10
    assert isinstance(done[-1], BudgetExceededError)
    while not isinstance((await together(lambda: desk.ask(run_id="r")))[0], BudgetExceededError):
        pass
    assert len(first.chats) <= 3
    with pytest.raises(BudgetExceededError, match=r"may spend \$3\.00 and has spent \$\d\.\d\d.*`limits.usd`"):
        await desk.ask(run_id="r")


async def test_an_agent_has_a_limit_within_its_run(desk_with: Any) -> None:
    desk = desk_with(agents=[AGENT], limits={"tokens": 1000})
    for _ in range(2):
        await desk.ask(run_id="r", agent="planner")
    await desk.ask(run_id="r", agent="planner")
    with pytest.raises(BudgetExceededError, match="agent planner of run r"):
        await desk.ask(run_id="r", agent="planner")
    await desk.ask(run_id="r", agent="other")


async def test_the_day_has_a_limit_for_everyone_and_begins_anew_at_midnight(desk_with: Any, first: Vendor) -> None:
    clock = FakeClock(NOON)
    desk = desk_with(clock, dailyUsd=2.6, models=PRICES)
    await desk.ask(run_id="r")
    await desk.ask()
    with pytest.raises(BudgetExceededError, match=r"this project may spend \$2\.60 today.*`runtime.dailyUsd`"):
        await desk.ask(run_id="another")
    await clock.advance(12 * 3600)
    await desk.ask(run_id="another")
    assert len(first.chats) == 3


async def test_tokens_of_a_day_may_be_limited_too(desk_with: Any) -> None:
    desk = desk_with(dailyTokens=30)
    await desk.ask()
    await desk.ask()
    with pytest.raises(BudgetExceededError, match=r"`runtime\.dailyTokens`"):
        await desk.ask()


async def test_another_process_sees_what_this_one_has_spent(desk_with: Any) -> None:
    one, other = desk_with(limits={"tokens": 45}), desk_with(limits={"tokens": 45})
    for desk in (one, other, one):
        await desk.ask(run_id="r")
    with pytest.raises(BudgetExceededError):
        await other.ask(run_id="r")


async def test_a_call_that_fails_costs_nothing_and_sets_nothing_aside(desk_with: Any, first: Vendor) -> None:
    desk = desk_with(limits={"tokens": 50})
    first.answer = lambda asked: refused(400)
    for _ in range(10):
        with pytest.raises(Exception, match="refused"):
            await desk.ask(run_id="r")


async def test_the_same_key_is_charged_once_and_a_call_without_one_each_time(
    desk_with: Any, database: Database
) -> None:
    desk = desk_with(limits={"tokens": 1000})
    for _ in range(3):
        await desk.ask(run_id="r", key="step-1")
    assert Spend(database).totals("r") == (12, 0.0)
    for _ in range(2):
        await desk.ask(run_id="r")
    assert Spend(database).totals("r") == (36, 0.0)


def test_totals_are_by_run_by_agent_and_by_time(database: Database) -> None:
    spend = Spend(database)
    assert spend.totals("r") == (0, 0.0)
    for hour, (run, agent, usd) in enumerate([("r", "x", 1.0), ("r", "y", None), ("s", "x", 2.0)]):
        at = NOON.replace(hour=hour)
        assert spend.add(Charge(f"k{hour}", run, agent, "a", "m", 1, 2, usd, at))
        assert not spend.add(Charge(f"k{hour}", run, agent, "a", "m", 1, 2, usd, at))
    assert spend.totals("r") == (6, 1.0)
    assert spend.totals("r", "y") == (3, 0.0)
    assert spend.totals(since=NOON.replace(hour=1)) == (6, 2.0)
    assert spend.totals(since=NOON) == (0, 0.0)

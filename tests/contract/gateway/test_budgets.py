"""Budgets stop hard: before the call that would go over, also with calls side by side and in several processes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from starlette.responses import Response

from orchestration.clock import FakeClock
from orchestration.providers.failures import BudgetExceededError, StreamInterruptedError
from orchestration.providers.wire import Allowance, ClientKey
from orchestration.storage.charge import Charge
from orchestration.storage.database import Database
from orchestration.storage.spend import Spend
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import BODY, Desk, provider, together
from tests.support.vendor import Asked, Vendor, event, refused, stream, yes

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
    # Which of them decides first is left to threads, and the last may find that nothing is set aside any more.
    assert any("set" in str(one) for one in refused_ones)


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


RED = {"agent": "client:t1", "client": ClientKey("t1", "ci", "red")}
GREEN = {"agent": "client:t2", "client": ClientKey("t2", "web", "green")}


@pytest.mark.parametrize(
    ("owner", "stops", "goes_on"),
    [
        ({"key": "ci"}, RED, GREEN),
        ({"key": "t1"}, RED, GREEN),
        ({"key": "*"}, RED, GREEN),
        ({"team": "red"}, RED, GREEN),
        ({"team": "*"}, RED, GREEN),
        ({"agent": "planner"}, {"agent": "planner", "run_id": "r"}, {"agent": "executor", "run_id": "r"}),
        ({"agent": "*"}, {"agent": "planner", "run_id": "r"}, RED),
    ],
)
@pytest.mark.parametrize("period", ["day", "month"])
async def test_whoever_has_a_budget_stops_alone_until_the_period_ends(
    desk_with: Any, owner: dict[str, str], stops: Any, goes_on: Any, period: str
) -> None:
    # An hour before the end of February in Tokyo, where it is nine hours later.
    clock = FakeClock(datetime(2026, 2, 28, 14, 0, tzinfo=UTC))
    budget = {**owner, "period": period, "hardTokens": 30, "timeZone": "Asia/Tokyo"}
    desk = desk_with(clock, budgets=[budget])
    await desk.ask(**stops)
    await desk.ask(**stops)
    unit = "today" if period == "day" else "this month"
    with pytest.raises(
        BudgetExceededError, match=rf"may use 30 tokens {unit} and has used 24.*budgets\[0\].hardTokens"
    ):
        await desk.ask(**stops)
    await desk.ask(**goes_on)
    await clock.advance(3599)
    with pytest.raises(BudgetExceededError, match="Asia/Tokyo"):
        await desk.ask(**stops)
    await clock.advance(1)
    await desk.ask(**stops)


async def test_a_restart_forgets_nothing_of_a_month(desk_with: Any) -> None:
    budgets = [{"team": "red", "hardUsd": 2.6}]
    for _ in range(2):
        await desk_with(FakeClock(NOON), budgets=budgets, models=PRICES).ask(**RED)
    with pytest.raises(BudgetExceededError, match=r"team red may spend \$2\.60 this month and has spent \$2\.40"):
        await desk_with(FakeClock(NOON), budgets=budgets, models=PRICES).ask(**RED)


async def test_a_soft_limit_is_announced_once_in_its_period_and_stops_nobody(desk_with: Any) -> None:
    clock, budgets = FakeClock(NOON), [{"key": "ci", "period": "day", "softTokens": 20, "hardTokens": 60}]
    desk, other = desk_with(clock, budgets=budgets), desk_with(clock, budgets=budgets)
    for one in (desk, desk, other, other, desk):
        await one.ask(**RED)
    for _ in range(3):
        with pytest.raises(BudgetExceededError):
            await other.ask(**RED)
    found = [event.data for one in (desk, other) for event in one.said("budget.reached")]
    assert [(one["owner"], one["reached"], one["used"]) for one in found] == [
        ("key ci", "soft", "24 tokens"),
        ("key ci", "hard", "60 tokens"),
    ]
    await clock.advance(86_400)
    await desk.ask(**RED)
    await desk.ask(**RED)
    assert len(desk.said("budget.reached")) == 3, "once again in the next period"


async def test_a_key_has_limits_of_its_own_with_a_soft_share(desk_with: Any) -> None:
    client = ClientKey("t9", "night", None, Allowance(), Allowance(tokens=30), 50)
    desk = desk_with(FakeClock(NOON))
    for _ in range(2):
        await desk.ask(agent="client:t9", client=client)
    with pytest.raises(BudgetExceededError, match=r"key night may use 30 tokens this month.*`monthly_tokens`"):
        await desk.ask(agent="client:t9", client=client)
    assert [event.data["limit"] for event in desk.said("budget.reached")] == ["15 tokens"]


@pytest.mark.parametrize("owner", [{"model": "m"}, {"model": "a/m"}, {"provider": "a"}, {"provider": "*"}])
async def test_a_model_whose_budget_is_used_up_is_asked_no_more(
    make_desk: MakeDesk, first: Vendor, second: Vendor, database: Database, owner: dict[str, str]
) -> None:
    both = {"a": provider(first.url), "b": provider(second.url, defaultModel="n")}
    desk = make_desk(both, desk={"database": database}, budgets=[{**owner, "hardTokens": 30}])
    routes = [str((await desk.ask()).route) for _ in range(4)]
    assert routes == ["a/m", "a/m", "b/n", "b/n"]
    with pytest.raises(BudgetExceededError):
        await desk.ask(provider="a", only=True)
    if owner == {"provider": "*"}:
        with pytest.raises(BudgetExceededError, match=r"provider [ab] may use 30"):
            await desk.ask()


async def test_answers_without_a_limit_are_set_aside_for_too(desk_with: Any, first: Vendor) -> None:
    """Of a budget of 2,500 tokens two calls set 1,000 aside beside their prompts, and the third what is left."""
    free = anyio.Event()

    async def waits(asked: Asked) -> Response:
        await free.wait()
        return yes(asked)

    first.answer = waits
    desk = desk_with(budgets=[{"period": "day", "hardTokens": 2500}])
    refused_ones: list[BudgetExceededError] = []

    async def ask() -> None:
        try:
            await desk.ask()
        except BudgetExceededError as error:
            refused_ones.append(error)
            if len(refused_ones) == 7:
                free.set()

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask)
    assert len(first.chats) == 3
    await desk.ask()


async def test_what_a_failed_call_has_used_is_charged_beside_its_repetition(
    desk_with: Any, first: Vendor, database: Database
) -> None:
    desk = desk_with(budgets=[{"hardTokens": 10_000}])
    first.answer = lambda asked: stream([event({"choices": [{"delta": {"content": "Half of an answ"}}]})])

    async def on_chunk(_: Any) -> None:
        pass

    with pytest.raises(StreamInterruptedError):
        await desk.ask(on_chunk, key="step-1")
    (failed,) = desk.said("model_call.failed")
    half = failed.data["use"]["prompt_tokens"] + failed.data["use"]["completion_tokens"]
    first.answer = yes
    await desk.ask(key="step-1")
    await desk.ask(key="step-1")
    assert half > 0
    assert Spend(database).totals()[0] == half + 12
    Spend(database).add_events(desk.events)
    assert Spend(database).totals()[0] == half + 12, "the event is of the same charge"


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

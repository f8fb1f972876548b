"""Who gets a place, and that none is lost."""

from __future__ import annotations

import math

import anyio
import pytest

from orchestration.clock import FakeClock
from orchestration.config.providers.settings import ProviderSettings
from orchestration.errors import ConflictError
from orchestration.providers.attempt_history import AttemptHistory
from orchestration.providers.concurrency import ConcurrencyLimiter
from orchestration.providers.endpoint import Endpoint
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.route import ProviderState, RouteRecord
from orchestration.providers.wire import Route


@pytest.fixture
def record() -> RouteRecord:
    settings = ProviderSettings(base_url="http://127.0.0.1:9/v1", concurrency=1)
    return RouteRecord(Route("a", "m"), ProviderState(Endpoint("a", settings, {})))


async def test_a_place_is_taken_at_once_where_one_is_free(record: RouteRecord) -> None:
    places = ConcurrencyLimiter(FakeClock())
    assert await places.acquire(lambda: record if record.provider.try_acquire(0) else math.inf) is record
    assert record.provider.in_use == 1
    places.release(record)
    assert record.provider.in_use == 0


@pytest.mark.parametrize("cancelled", range(4))
async def test_a_place_goes_down_the_queue_past_those_who_have_gone(record: RouteRecord, cancelled: int) -> None:
    places, served = ConcurrencyLimiter(FakeClock()), list[int]()
    assert record.provider.try_acquire(0)
    scopes = [anyio.CancelScope() for _ in range(4)]

    async def queue(number: int) -> None:
        with scopes[number]:
            taken = await places.acquire(lambda: record if record.provider.try_acquire(0) else math.inf)
            served.append(number)
            places.release(taken)

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(queue, number)
            await anyio.wait_all_tasks_blocked()
        places.release(record)
        scopes[cancelled].cancel()
    assert record.provider.in_use == 0
    assert [number for number in served if number != cancelled] == [one for one in range(4) if one != cancelled]


async def test_each_call_knows_how_many_wait_ahead_of_it_at_its_own_provider(record: RouteRecord) -> None:
    places, told = ConcurrencyLimiter(FakeClock()), dict[str, list[int]]()
    assert record.provider.try_acquire(0)

    async def wait(name: str, queue: str) -> None:
        await places.acquire(
            lambda: record if queue == "a" and record.provider.try_acquire(0) else math.inf,
            queue,
            told.setdefault(name, []).append,
        )

    async with anyio.create_task_group() as group:
        for name, queue in (("first", "a"), ("other", "b"), ("second", "a"), ("third", "a")):
            group.start_soon(wait, name, queue)
            await anyio.wait_all_tasks_blocked()
        assert told == {"first": [0], "other": [0], "second": [1], "third": [2]}
        places.release(record)
        await anyio.wait_all_tasks_blocked()
        assert told == {"first": [0], "other": [0], "second": [1, 0], "third": [2, 1]}
        group.cancel_scope.cancel()


async def test_a_wait_ends_when_its_time_is_over_or_when_something_changes(record: RouteRecord) -> None:
    clock, waits = FakeClock(), [60.0, 5.0]
    places, taken = ConcurrencyLimiter(clock), list[float]()

    def decide() -> RouteRecord | float:
        return waits.pop(0) if waits else record

    async def queue() -> None:
        await places.acquire(decide)
        taken.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(queue)
        await anyio.wait_all_tasks_blocked()
        await clock.advance(10)
        places.wake()
        await anyio.wait_all_tasks_blocked()
        await clock.advance(4.9)
        assert taken == []
        await clock.advance(0.2)
    assert taken == [15.0]


async def test_what_ends_a_wait_is_raised_where_the_wait_is(record: RouteRecord) -> None:
    places, hopeless = ConcurrencyLimiter(FakeClock()), False

    def decide() -> float:
        if hopeless:
            raise ConflictError("nothing left")
        return math.inf

    async def queue() -> None:
        with pytest.raises(ConflictError, match="nothing left"):
            await places.acquire(decide)

    async with anyio.create_task_group() as group:
        group.start_soon(queue)
        await anyio.wait_all_tasks_blocked()
        hopeless = True
        places.wake()


async def test_a_place_is_not_lost_on_one_for_whom_there_is_no_hope_any_more(record: RouteRecord) -> None:
    places, served = ConcurrencyLimiter(FakeClock()), list[str]()
    assert record.provider.try_acquire(0)
    hopeless = False

    def gives_up() -> float:
        if hopeless:
            raise ConflictError("nothing left")
        return math.inf

    async def first() -> None:
        with pytest.raises(ConflictError):
            await places.acquire(gives_up)

    async def second() -> None:
        await places.acquire(lambda: record if record.provider.try_acquire(0) else math.inf)
        served.append("second")

    async with anyio.create_task_group() as group:
        for queue in (first, second):
            group.start_soon(queue)
            await anyio.wait_all_tasks_blocked()
        hopeless = True
        places.release(record)
    assert served == ["second"]


def test_a_route_is_tried_three_times_in_a_call_where_time_may_mend_it() -> None:
    history, route = AttemptHistory(), Route("a", "m")
    assert (history.pause(route, 0), history.failures(route), history.latest(route)) == (0, 0, None)
    pauses = []
    for moment in range(3):
        history.add_failure(route, Failure(FailureKind.OVERLOADED, "busy"), moment, 2.0)
        pauses.append(history.pause(route, moment))
    assert pauses == [2.0, 2.0, math.inf]
    assert history.failures(route) == 3


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - {FailureKind.OVERLOADED, FailureKind.RATE_LIMITED}))
def test_a_route_is_not_tried_again_in_a_call_where_time_does_not_help(kind: FailureKind) -> None:
    history, route = AttemptHistory(), Route("a", "m")
    history.add_failure(route, Failure(kind, "no"), 0, 0)
    assert history.pause(route, 1e9) == math.inf
    assert history.pause(Route("a", "n"), 0) == 0

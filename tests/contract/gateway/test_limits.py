"""Places at providers: changed while calls run and wait, by hand and by an edit of the configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.responses import Response

from orchestration.clock import FakeClock
from orchestration.config.schema import Configuration
from orchestration.providers.failures import NoRouteError
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import Desk, configuration, provider, together, until
from tests.support.vendor import END, Asked, Vendor, delta, refused, stream, yes


class Gate:
    """Answers that wait until they are let go, one by one or all."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._let_go = anyio.Semaphore(0)
        self.answered = 0
        vendor.answer = self.answer

    async def answer(self, asked: Asked) -> Response:
        await self._let_go.acquire()
        self.answered += 1
        return yes(asked)

    @property
    def inside(self) -> int:
        return len(self._vendor.chats) - self.answered

    def let_go(self, count: int) -> None:
        for _ in range(count):
            self._let_go.release()


@pytest.fixture
def gate(first: Vendor) -> Gate:
    return Gate(first)


async def settle() -> None:
    """Give what could happen by mistake the time to happen."""
    await anyio.sleep(0.05)


async def test_no_more_calls_than_its_limit_are_at_a_provider_at_once(
    make_desk: MakeDesk, first: Vendor, gate: Gate
) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=3)})

    async def drive() -> None:
        for answered in range(8):
            await until(lambda: gate.inside == 3)
            await settle()
            assert (gate.inside, desk.status("a").in_use) == (3, 3)
            gate.let_go(1)
            await until(lambda answered=answered: gate.answered > answered)  # type: ignore[misc]
        gate.let_go(2)

    done = await together(drive, *[desk.ask] * 10)
    assert [one.finish_reason for one in done[1:]] == ["stop"] * 10
    assert done[0] is None
    assert desk.status("a").in_use == 0


async def test_a_larger_limit_lets_those_who_wait_go_on_at_once(make_desk: MakeDesk, first: Vendor, gate: Gate) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=1)})

    async def drive() -> None:
        await until(lambda: gate.inside == 1)
        await settle()
        assert gate.inside == 1
        desk.gateway.set_limit("a", 4)
        await until(lambda: gate.inside == 4)
        gate.let_go(4)

    done = await together(drive, *[desk.ask] * 4)
    assert [one.finish_reason for one in done[1:]] == ["stop"] * 4


async def test_a_smaller_limit_lets_what_is_under_way_end(make_desk: MakeDesk, first: Vendor, gate: Gate) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=4)})

    async def drive() -> None:
        await until(lambda: gate.inside == 4)
        desk.gateway.set_limit("a", 1)
        gate.let_go(3)
        await until(lambda: gate.answered == 3)
        await settle()
        assert (gate.inside, len(first.chats)) == (1, 4)
        gate.let_go(1)
        await until(lambda: len(first.chats) == 5)
        await settle()
        assert gate.inside == 1
        gate.let_go(2)

    done = await together(drive, *[desk.ask] * 6)
    assert [one.finish_reason for one in done[1:]] == ["stop"] * 6


async def test_zero_pauses_a_provider_and_work_goes_to_the_next(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})
    desk.gateway.set_limit("a", 0)
    assert (await desk.ask()).route.provider == "b"
    desk.gateway.set_limit("b", 0)

    async def go_on() -> None:
        await settle()
        assert (len(first.chats), len(second.chats)) == (0, 1)
        desk.gateway.set_limit("b", 1)

    done = await together(desk.ask, go_on)
    assert done[0].route.provider == "b"


async def test_whoever_is_told_to_wait_waits_for_the_first_route_always_may_probe(
    make_desk: MakeDesk, first: Vendor, second: Vendor, gate: Gate
) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=1), "b": provider(second.url)}, whenBusy="wait")

    async def drive() -> None:
        await until(lambda: gate.inside == 1)
        await settle()
        assert second.chats == []
        gate.let_go(2)

    done = await together(desk.ask, desk.ask, drive)
    assert {one.route.provider for one in done[:2]} == {"a"}


async def test_those_who_wait_for_a_provider_that_breaks_go_elsewhere(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    broken = anyio.Event()

    async def break_later(asked: Asked) -> Response:
        await broken.wait()
        return refused(401)

    first.answer = break_later
    settings = {"a": provider(first.url, concurrency=1), "b": provider(second.url)}
    desk = make_desk(settings, whenBusy="wait")

    async def drive() -> None:
        await until(lambda: bool(first.chats))
        await settle()
        broken.set()

    done = await together(*[desk.ask] * 4, drive)
    assert {one.route.provider for one in done[:4]} == {"b"}
    assert len(first.chats) == 1


async def test_places_go_to_those_who_came_first(make_desk: MakeDesk, first: Vendor, gate: Gate) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=1)})
    order: list[int] = []

    async def ask(number: int) -> None:
        await desk.ask()
        order.append(number)

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(ask, number)
            await until(lambda number=number: len(first.chats) == 1)  # type: ignore[misc]
        for _ in range(6):
            await until(lambda: gate.inside == 1)
            gate.let_go(1)
    assert order == sorted(order)


async def test_a_waiter_that_is_cancelled_leaves_no_trace(make_desk: MakeDesk, first: Vendor, gate: Gate) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=1)})

    async def drive() -> None:
        await until(lambda: gate.inside == 1)
        with anyio.move_on_after(0.05):
            await desk.ask()
        gate.let_go(2)

    done = await together(desk.ask, drive)
    assert done[0].finish_reason == "stop"
    assert (await desk.ask()).finish_reason == "stop"
    assert desk.status("a").in_use == 0
    outcomes = [event.data["outcome"] for event in desk.events if event.kind.startswith("model_call.")]
    assert outcomes == ["cancelled", "ok", "ok"]


def edited(desk: Desk, **providers: dict[str, Any]) -> Configuration:
    desk.configuration = configuration(providers)
    return desk.configuration


async def test_an_edit_of_the_limit_frees_those_who_wait_on_the_old_one(
    make_desk: MakeDesk, first: Vendor, gate: Gate
) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=1)})

    async def drive() -> None:
        await until(lambda: gate.inside == 1)
        edited(desk, a=provider(first.url, concurrency=3))
        await desk.gateway.reconfigure()
        await until(lambda: gate.inside == 3)
        assert desk.status("a").limit == 3
        gate.let_go(3)

    done = await together(drive, *[desk.ask] * 3)
    assert [one.finish_reason for one in done[1:]] == ["stop"] * 3
    assert desk.status("a").in_use == 0


async def test_a_limit_set_by_hand_outlives_an_edit_of_something_else(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=4)})
    desk.gateway.set_limit("a", 2)
    edited(desk, a=provider(first.url, concurrency=4, streaming=False))
    await desk.gateway.reconfigure()
    assert desk.status("a").limit == 2
    edited(desk, a=provider(first.url, concurrency=5, streaming=False))
    await desk.gateway.reconfigure()
    assert desk.status("a").limit == 5


@pytest.mark.parametrize("edit", [{"streaming": True, "timeouts": {"call": 99}}, {"apiKeyEnv": "KEY"}, None])
async def test_a_call_under_way_ends_well_on_the_connection_on_which_it_began(
    make_desk: MakeDesk, first: Vendor, second: Vendor, edit: dict[str, Any] | None
) -> None:
    """The edit changes settings, credentials, or (None) the address."""
    go_on = anyio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield delta(content="Ye")
        await go_on.wait()
        yield delta(content="s.")
        yield END

    first.answer = lambda asked: stream(slowly())
    desk = make_desk({"a": provider(first.url)}, desk={"credentials": {"KEY": "k"}})
    before = desk.gateway._routes.provider("a").endpoint

    async def drive() -> None:
        await until(lambda: bool(first.chats))
        await settle()
        edited(desk, a=provider(second.url if edit is None else first.url, **(edit or {})))
        await desk.gateway.reconfigure()
        assert not before._connections.current.is_closed
        go_on.set()

    done = await together(desk.ask, drive)
    assert done[0].message["content"] == "Yes."
    assert before._connections.current.is_closed
    first.answer = yes
    await desk.ask()
    assert len(second.chats) == (edit is None)


async def test_a_provider_that_is_taken_away_ends_its_calls_and_its_waiters(
    make_desk: MakeDesk, first: Vendor, second: Vendor, gate: Gate
) -> None:
    desk = make_desk({"a": provider(first.url, concurrency=1)})

    async def drive() -> None:
        await until(lambda: gate.inside == 1)
        await settle()
        edited(desk, b=provider(second.url))
        assert await together(desk.gateway.reconfigure, desk.gateway.reconfigure) == [None, None]
        await until(lambda: len(second.chats) == 1)
        gate.let_go(1)

    done = await together(desk.ask, desk.ask, drive)
    assert [one.route.provider for one in done[:2]] == ["a", "b"]
    assert [one.provider for one in desk.gateway.statuses()] == ["b"]


async def test_another_address_is_asked_although_the_old_one_was_retired(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: refused(410)
    desk = make_desk({"a": provider(first.url)})
    async with desk.gateway.running():
        with pytest.raises(NoRouteError):
            await desk.ask()
        edited(desk, a=provider(second.url))
        await desk.gateway.reconfigure()
        await until(lambda: desk.status("a").state == "closed")
        assert (await desk.ask()).message["content"] == "Yes."
    assert len(first.asked) == 1


async def test_another_default_model_leaves_nothing_of_the_old_one(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: refused(404) if asked.body["model"] == "m" else yes(asked)
    desk = make_desk({"a": provider(first.url)})
    with pytest.raises(NoRouteError):
        await desk.ask()
    edited(desk, a=provider(first.url, defaultModel="n"))
    await desk.gateway.reconfigure()
    assert (await desk.ask()).route.model == "n"
    assert [(one.model, one.state) for one in desk.gateway.statuses()] == [("n", "closed")]


async def test_a_change_of_rates_holds_from_now_on(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk({"a": provider(first.url, requestsPerMinute=1)}, desk={"clock": FakeClock()})
    await desk.ask()
    with pytest.raises(NoRouteError):
        await desk.ask()
    edited(desk, a=provider(first.url))
    await desk.gateway.reconfigure()
    await desk.ask()
    edited(desk, a=provider(first.url, tokensPerMinute=10))
    await desk.gateway.reconfigure()
    await desk.ask()
    with pytest.raises(NoRouteError):
        await desk.ask()

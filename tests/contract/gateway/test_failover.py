"""Failing over, waiting, and coming back: with real servers, on a real or a standing clock."""

from __future__ import annotations

import anyio
import pytest
from starlette.responses import Response

from orchestration.clock import FakeClock
from orchestration.errors import NotFoundError
from orchestration.providers.failures import NoRouteError
from orchestration.providers.wire import GatewayCall
from orchestration.rehearsal import MODEL, RehearsalServer
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import provider, together, until
from tests.support.patience import Stopwatch
from tests.support.vendor import Asked, Vendor, as_json, refused, yes

SOON = {"breaker": {"probeAfter": 0.1, "probeAtMost": 0.2}}


async def test_a_dead_primary_costs_two_calls_until_its_probe_says_otherwise(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: refused(503)
    desk = make_desk({"a": provider(first.url, breaker={"probeAfter": 60}), "b": provider(second.url)})
    for _ in range(10):
        assert (await desk.ask()).route.provider == "b"
    assert (len(first.chats), len(second.chats)) == (2, 10)


async def test_calls_that_fail_together_do_not_lengthen_the_time_to_the_probe(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    arrived = anyio.Event()

    async def fail_together(asked: Asked) -> Response:
        if len(first.chats) == 20:
            arrived.set()
        await arrived.wait()
        return refused(503)

    first.answer = fail_together
    settings = provider(first.url, concurrency=20, breaker={"probeAfter": 5})
    desk = make_desk({"a": settings, "b": provider(second.url, concurrency=20)})
    done = await together(*[desk.ask] * 20)
    assert {one.route.provider for one in done} == {"b"}
    assert desk.breakers("a") == ["opened: overloaded"]
    status = desk.status("a")
    assert status.since is not None
    assert status.usable_at is not None
    assert (status.usable_at - status.since).total_seconds() == 5


async def test_an_answer_that_began_before_the_trouble_does_not_close_a_breaker(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    go_on = anyio.Event()

    async def slow_first(asked: Asked) -> Response:
        if len(first.chats) > 1:
            return refused(503)
        await go_on.wait()
        return yes(asked)

    first.answer = slow_first
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})

    async def others() -> None:
        await until(lambda: len(first.chats) == 1)
        for _ in range(2):
            await desk.ask()
        go_on.set()

    slow, _ = await together(desk.ask, others)
    assert slow.route.provider == "a"
    assert desk.breakers("a") == ["opened: overloaded"]


async def test_after_a_probe_the_preferred_provider_is_used_again_by_itself(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: refused(503)
    desk = make_desk({"a": provider(first.url, **SOON), "b": provider(second.url)})
    async with desk.gateway.running():
        for _ in range(2):
            await desk.ask()
        await until(lambda: len(desk.breakers("a")) >= 3)
        first.answer = yes
        await until(lambda: desk.status("a").state == "closed")
        assert (await desk.ask()).route.provider == "a"
    again = ["half_open: overloaded", "opened: overloaded"]
    told = desk.breakers("a")
    assert told[:3] == ["opened: overloaded", *again]
    assert told[-2:] == ["half_open: overloaded", "closed: overloaded"]
    assert told[1:-2] == again * ((len(told) - 3) // 2)


async def test_half_open_lets_one_probe_through_and_no_caller(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: refused(503)
    settings = {"a": provider(first.url, concurrency=20, **SOON), "b": provider(second.url, concurrency=20)}
    desk = make_desk(settings)
    async with desk.gateway.running():
        for _ in range(2):
            await desk.ask()
        go_on = anyio.Event()

        async def slowly(asked: Asked) -> Response:
            await go_on.wait()
            return yes(asked)

        first.answer = slowly
        before = len(first.chats)
        await until(lambda: desk.status("a").state == "half-open" and len(first.chats) == before + 1)
        done = await together(*[desk.ask] * 20)
        assert {one.route.provider for one in done} == {"b"}
        assert len(first.chats) == before + 1
        assert first.chats[-1].body["max_tokens"] == 8
        go_on.set()
        await until(lambda: desk.status("a").state == "closed")


async def test_a_cheap_probe_is_enough_for_a_server_that_was_away(make_desk: MakeDesk) -> None:
    async with RehearsalServer(latency=0) as away, RehearsalServer(latency=0) as other:
        settings = {
            "a": provider(away.url, defaultModel=MODEL, **SOON),
            "b": provider(other.url, defaultModel=MODEL),
        }
        desk = make_desk(settings)
        async with desk.gateway.running():
            away.refuse(0.3)
            assert (await desk.ask()).route.provider == "b"
            await until(lambda: desk.status("a").state == "closed")
        assert away.call_log.calls() == []


async def test_a_probe_may_be_refused_by_a_server_that_is_well(make_desk: MakeDesk, first: Vendor) -> None:
    """Some keys may not list models, and some models refuse `max_tokens`."""
    first.answer = lambda asked: refused(503)
    desk = make_desk({"a": provider(first.url, **SOON)})
    async with desk.gateway.running():
        with pytest.raises(NoRouteError):
            await desk.ask()
        first.probe = lambda asked: refused(403, "may not list models")
        first.answer = lambda asked: refused(400, "use max_completion_tokens")
        await until(lambda: desk.status("a").state == "closed")


async def test_what_a_person_has_to_mend_is_probed_rarely_and_at_once_when_something_changes(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: refused(401, "wrong key")
    clock = FakeClock()
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)}, desk={"clock": clock})
    async with desk.gateway.running():
        await desk.ask()
        await clock.advance(290)
        assert (len(first.chats), len(first.probes)) == (1, 0)
        desk.bus.emit("credentials.changed", names=["KEY"])
        first.answer = yes
        await clock.advance(1)
        await until(lambda: desk.status("a").state == "closed")
        assert len(first.probes) == 1
    opened = desk.said("route.opened")[0].data
    assert (opened["route"], opened["reason"], opened["detail"]) == ("a/m", "authentication", "wrong key")


async def test_a_long_wait_goes_to_the_next_route_at_once_and_holds_the_first_back(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: refused(429, retry_after="30")
    clock = FakeClock()
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)}, desk={"clock": clock})
    for _ in range(5):
        assert (await desk.ask()).route.provider == "b"
    assert len(first.chats) == 1
    assert desk.status("a").state == "closed"
    first.answer = yes
    await clock.advance(27.9)
    assert (await desk.ask()).route.provider == "b"
    await clock.advance(2.1)
    assert (await desk.ask()).route.provider == "a"
    assert desk.breakers("a") == []


async def test_nothing_sleeps_while_another_route_is_free(make_desk: MakeDesk, first: Vendor, second: Vendor) -> None:
    """The second is busy when the first asks for a wait; it becomes free before the wait is over, and is taken."""
    first.answer = lambda asked: refused(429, retry_after="4")
    free = anyio.Event()

    async def slowly(asked: Asked) -> Response:
        await free.wait()
        return yes(asked)

    second.answer = slowly
    settings = {"a": provider(first.url), "b": provider(second.url, concurrency=1)}
    desk = make_desk(settings)
    begun = Stopwatch()

    async def set_free() -> None:
        await until(lambda: bool(second.chats))
        await anyio.sleep(0.05)
        free.set()

    done = await together(desk.ask, desk.ask, set_free)
    assert [one.route.provider for one in done[:2]] == ["b", "b"]
    assert begun.is_within(2), begun


async def test_a_busy_route_is_not_waited_for_once_the_held_one_is_free(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    async def never(asked: Asked) -> Response:
        await anyio.sleep(30)
        return yes(asked)

    second.answer = never
    first.answer = lambda asked: refused(429, retry_after="60") if len(first.chats) == 1 else yes(asked)
    clock = FakeClock()
    settings = {"a": provider(first.url), "b": provider(second.url, concurrency=1)}
    desk = make_desk(settings, desk={"clock": clock})
    async with anyio.create_task_group() as group:
        group.start_soon(desk.ask)
        await until(lambda: bool(second.chats))

        async def later() -> None:
            await anyio.sleep(0.05)
            await clock.advance(60)

        waiting, _ = await together(desk.ask, later)
        assert waiting.route.provider == "a"
        group.cancel_scope.cancel()


async def test_an_overload_is_tried_again_after_a_backoff_when_nothing_else_is_there(
    make_desk: MakeDesk, first: Vendor
) -> None:
    first.answer = lambda asked: refused(503) if len(first.chats) == 1 else yes(asked)
    clock = FakeClock()
    desk = make_desk({"a": provider(first.url)}, desk={"clock": clock, "random": lambda: 0.9})

    async def later() -> None:
        await until(lambda: len(first.chats) == 1)
        await anyio.sleep(0.05)
        await clock.advance(0.85)
        await anyio.sleep(0.05)
        assert len(first.chats) == 1
        await clock.advance(0.1)

    completion, nothing = await together(desk.ask, later)
    assert nothing is None
    assert [one.outcome for one in completion.tries] == ["overloaded", "ok"]


async def test_our_own_limit_in_a_minute_is_kept_and_told(make_desk: MakeDesk, first: Vendor) -> None:
    clock = FakeClock()
    desk = make_desk({"a": provider(first.url, requestsPerMinute=2)}, desk={"clock": clock})
    for _ in range(2):
        await desk.ask()
    with pytest.raises(NoRouteError, match="held back"):
        await desk.ask()
    async with anyio.create_task_group() as group:
        waited = anyio.Event()

        async def wait() -> None:
            await desk.gateway.wait_for_route(GatewayCall())
            waited.set()

        group.start_soon(wait)
        await clock.advance(29)
        assert not waited.is_set()
        await clock.advance(2)
        assert waited.is_set()
    await desk.ask()
    assert len(first.chats) == 3


async def test_a_rehearsal_and_a_real_provider_never_stand_in_for_each_other(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    rehearsal = {"type": "rehearsal", "baseUrl": f"{second.url}/v1", "defaultModel": "rehearsal"}
    desk = make_desk({"a": provider(first.url), "stage": rehearsal})
    first.answer = second.answer = lambda asked: refused(401)
    with pytest.raises(NoRouteError):
        await desk.ask()
    with pytest.raises(NoRouteError):
        await desk.ask(provider="stage")
    assert (len(first.chats), len(second.chats)) == (1, 1)


async def test_a_call_may_be_kept_on_one_provider_and_name_its_model(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})
    assert str((await desk.ask(provider="b", model="other", only=True)).route) == "b/other"
    second.answer = lambda asked: refused(410)
    with pytest.raises(NoRouteError):
        await desk.ask(provider="b", only=True)
    assert str((await desk.ask(provider="b", model="other")).route) == "a/m"
    with pytest.raises(NotFoundError, match="There is no provider"):
        await desk.ask(provider="nowhere")


async def test_a_cheap_answer_closes_only_what_it_proves(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: refused(404, "no such model")
    desk = make_desk({"a": provider(first.url)})
    with pytest.raises(NoRouteError):
        await desk.ask()
    assert (await desk.gateway.probe("a")).ok
    assert desk.status("a").state == "open"
    assert (await desk.gateway.probe("a", deep=True)).outcome == "model_missing"
    first.answer = yes
    assert (await desk.gateway.probe("a", deep=True)).ok
    assert desk.status("a").state == "closed"


async def test_a_reset_while_a_probe_is_under_way_is_answered_by_a_new_one(make_desk: MakeDesk, first: Vendor) -> None:
    """The key was replaced while a probe with the old one was under way: its failure must not be the last word."""
    go_on = anyio.Event()

    async def old_then_new(asked: Asked) -> Response:
        if len(first.probes) == 1:
            await go_on.wait()
            return refused(410)
        return as_json({"data": []})

    first.answer = lambda asked: refused(503) if len(first.chats) < 3 else yes(asked)
    first.probe = old_then_new
    desk = make_desk({"a": provider(first.url, **SOON)})
    async with desk.gateway.running():
        with pytest.raises(NoRouteError):
            await desk.ask()
        await until(lambda: len(first.probes) == 1)
        desk.gateway.reset("a")
        await until(lambda: desk.status("a").state == "closed")
        go_on.set()
        await anyio.sleep(0.05)
        assert desk.status("a").state == "closed"

"""Two gateways on one database, as two processes would be."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from orchestration.clock import FakeClock
from orchestration.providers.dialects.dialect import Dialect, ToolForm
from orchestration.providers.dialects.learned import LearnedDialect
from orchestration.providers.failures import NoRouteError
from orchestration.providers.learned_routes import forget_learned
from orchestration.providers.route_table import address_of
from orchestration.storage.database import Database
from orchestration.storage.route_states import RouteStates, seen_now
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import Desk, provider, until
from tests.support.vendor import Asked, Vendor, refused, yes

Pair = tuple[Desk, Desk]
TOOL = {"type": "function", "function": {"name": "look", "description": "d", "parameters": {"type": "object"}}}
LATER = {"breaker": {"probeAfter": 60}}


@pytest.fixture
def settings(first: Vendor, second: Vendor) -> dict[str, Any]:
    return {"a": provider(first.url, **LATER), "b": provider(second.url)}


@pytest.fixture
async def pair(make_desk: MakeDesk, settings: dict[str, Any], database: Database) -> AsyncIterator[Pair]:
    one, other = (make_desk(settings, desk={"database": database}) for _ in range(2))
    async with one.gateway.running(), other.gateway.running():
        yield one, other


async def test_what_one_has_learnt_the_other_knows_within_a_second(pair: Pair, first: Vendor) -> None:
    one, other = pair
    took = []
    for _ in range(3):  # the quickest counts: the machine may be busy
        first.answer = lambda asked: refused(503)
        for _ in range(2):
            await one.ask()
        took.append(await until(lambda: other.status("a").state == "open"))
        assert (other.status("a").reason, other.status("a").last_failure) == ("overloaded", "no")
        calls = len(first.chats)
        assert (await other.ask()).route.provider == "b"
        assert len(first.chats) == calls
        first.answer = yes
        one.gateway.reset("a")
        await until(lambda: one.status("a").state == "closed")
        took.append(await until(lambda: other.status("a").state == "closed"))
    assert min(took) < 1
    assert other.breakers("a") == []


async def test_a_wait_that_a_provider_asks_for_holds_for_all(pair: Pair, first: Vendor) -> None:
    one, other = pair
    first.answer = lambda asked: refused(429, retry_after="60")
    await one.ask()
    await until(lambda: other.status("a").usable_at is not None)
    assert other.status("a").usable_at == one.status("a").usable_at
    assert (await other.ask()).route.provider == "b"
    assert len(first.chats) == 1


async def test_what_each_sees_is_told_for_those_who_only_look(
    pair: Pair, database: Database, first: Vendor, second: Vendor
) -> None:
    def answer(asked: Asked) -> Any:
        response = yes(asked)
        response.headers["x-ratelimit-remaining-tokens"] = "900"
        return response

    first.answer = answer
    for desk in pair:
        await desk.ask()
    states = RouteStates(database)

    def seen() -> list[dict[str, Any]]:
        state, _ = states.load().get(("a", "m"), ({}, None))
        return list(seen_now(state, pair[0].clock.now()))

    await until(lambda: len(seen()) == 2)
    assert [one["headroom"] for one in seen()] == [{"remaining-tokens": 900.0}] * 2
    assert [one["in_use"] for one in seen()] == [0, 0]


async def test_one_process_probes_for_all(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database, first: Vendor
) -> None:
    settings["a"] |= {"breaker": {"probeAfter": 0.4, "probeAtMost": 0.4}}
    first.answer = lambda asked: refused(503)
    desks = [make_desk(settings, desk={"database": database}) for _ in range(4)]
    async with contextlib.AsyncExitStack() as stack:
        for desk in desks:
            await stack.enter_async_context(desk.gateway.running())
        for _ in range(2):
            await desks[0].ask()
        await until(lambda: all(desk.status("a").state == "open" for desk in desks))
        await until(lambda: len(first.chats) >= 5)
        probing = [desk for desk in desks if desk.said("route.half_open")]
        assert len(probing) == 1
        first.answer = yes
        await until(lambda: all(desk.status("a").state == "closed" for desk in desks))


def test_the_claim_to_probe_ends_by_itself(database: Database) -> None:
    states, clock = RouteStates(database), FakeClock()
    now = clock.now()
    assert states.claim("a", "m", "p1", 15, now)
    assert states.claim("a", "m", "p1", 15, now)
    assert not states.claim("a", "m", "p2", 15, now + timedelta(seconds=14))
    states.save("a", "m", {"state": "closed", "since": 1.0}, now)
    assert not states.claim("a", "m", "p2", 15, now + timedelta(seconds=14))
    assert states.claim("a", "m", "p2", 15, now + timedelta(seconds=15))


async def test_a_new_process_does_not_call_a_dead_primary_first(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database, first: Vendor
) -> None:
    first.answer = lambda asked: refused(503)
    desk = make_desk(settings, desk={"database": database})
    async with desk.gateway.running():
        for _ in range(2):
            await desk.ask()
    new = make_desk(settings, desk={"database": database})
    async with new.gateway.running():
        assert (await new.ask()).route.provider == "b"
    assert len(first.chats) == 2


async def test_a_key_that_was_replaced_between_two_processes_is_tried_once(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database, first: Vendor
) -> None:
    first.answer = lambda asked: refused(401)
    desk = make_desk(settings, desk={"database": database})
    async with desk.gateway.running():
        await desk.ask()
    first.answer = yes
    new = make_desk(settings, desk={"database": database})
    async with new.gateway.running():
        await until(lambda: new.status("a").state == "closed")
        assert (await new.ask()).route.provider == "a"


async def test_what_was_retired_stays_so_but_not_at_another_address(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: refused(410)
    desk = make_desk(settings, desk={"database": database})
    async with desk.gateway.running():
        await desk.ask()
    same = make_desk(settings, desk={"database": database})
    async with same.gateway.running():
        assert (same.status("a").state, same.status("a").reason) == ("open", "retired")
        assert (await same.ask()).route.provider == "b"
    moved = make_desk({**settings, "a": provider(second.url)}, desk={"database": database})
    async with moved.gateway.running():
        assert (await moved.ask()).route.provider == "a"
    assert len(first.asked) == 1


async def test_a_state_that_cannot_be_read_is_as_good_as_none(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database
) -> None:
    desk = make_desk(settings, desk={"database": database})
    for model, state in (("m", {"state": "ajar"}), ("n", {})):
        RouteStates(database).save("a", model, state, desk.clock.now())
    async with desk.gateway.running():
        assert (await desk.ask()).route.provider == "a"


async def test_without_the_database_each_decides_always_may_probe(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database, first: Vendor
) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("DROP TABLE route_states")
    settings["a"] |= {"breaker": {"probeAfter": 0.1}}
    first.answer = lambda asked: refused(503)
    desk = make_desk(settings, desk={"database": database})
    async with desk.gateway.running():
        for _ in range(2):
            assert (await desk.ask()).route.provider == "b"
        first.answer = yes
        await until(lambda: desk.status("a").state == "closed")


def test_an_older_state_does_not_replace_a_newer_one(database: Database) -> None:
    states, now = RouteStates(database), FakeClock().now()
    states.save("a", "m", {"state": "closed", "since": 20.0}, now)
    states.report("a", "m", "p1", {"in_use": 1}, now)
    states.save("a", "m", {"state": "open", "since": 10.0}, now)
    state, _ = states.load()["a", "m"]
    assert state["state"] == "closed"
    states.save("a", "m", {"state": "open", "since": 30.0}, now)
    state, _ = states.load()["a", "m"]
    assert (state["state"], [one["in_use"] for one in seen_now(state, now)]) == ("open", [1])


async def test_what_was_learnt_is_told_before_the_process_ends(
    make_desk: MakeDesk, database: Database, first: Vendor
) -> None:
    first.answer = lambda asked: refused(404)
    desk = make_desk({"a": provider(first.url)}, desk={"database": database})
    async with desk.gateway.running():
        with pytest.raises(NoRouteError):
            await desk.ask()
    state, _ = RouteStates(database).load()["a", "m"]
    assert (state["state"], state["reason"]) == ("open", "model_missing")


def picky(asked: Asked) -> Any:
    """A server without tools, and with a small context."""
    if asked.body.get("tools"):
        return refused(400, "m does not support tools")
    if len(str(asked.body["messages"])) > 20_000:
        return refused(400, "maximum context length is 4096 tokens")
    return yes(asked)


LONG = {"messages": [{"role": "user", "content": "task " * 8000}], "tools": [TOOL]}


async def test_what_a_model_understands_is_learned_once_for_all_and_survives_a_restart(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database, pair: Pair, first: Vendor
) -> None:
    first.answer = picky
    one, other = pair
    await one.ask(body=LONG, adaptable=True)
    assert len(first.chats) == 3
    await until(lambda: other.knows("a").window == 4096)
    await other.ask(body=LONG, adaptable=True)
    assert len(first.chats) == 4
    new = make_desk(settings, desk={"database": database})
    async with new.gateway.running():
        await new.ask(body=LONG, adaptable=True)
    assert len(first.chats) == 5


async def test_two_that_learn_different_things_at_once_agree_on_both(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database
) -> None:
    one, other = (make_desk(settings, desk={"database": database}) for _ in range(2))
    now = one.clock.now().timestamp()
    one.teach("a", LearnedDialect(Dialect(tools=ToolForm.TEXT), learned_at=now))
    other.teach("a", LearnedDialect(Dialect(system_role=False), window=8192, learned_at=now - 1))
    async with one.gateway.running(), other.gateway.running():
        await until(lambda: one.knows("a") == other.knows("a"))
    assert one.knows("a").dialect == Dialect(tools=ToolForm.TEXT, system_role=False)
    assert one.knows("a").window == 8192


async def test_what_was_learned_is_asked_anew_when_it_is_forgotten_has_expired_or_the_address_is_another(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database, first: Vendor, second: Vendor
) -> None:
    first.answer = picky
    desk = make_desk(settings, desk={"database": database})
    async with desk.gateway.running():
        await desk.ask(body=LONG, adaptable=True)
        await until(lambda: "learned" in RouteStates(database).load().get(("a", "m"), ({}, None))[0])
        forget_learned(RouteStates(database), desk.configuration, ["a"], desk.clock.now())
        await until(lambda: desk.knows("a").is_empty)
        await desk.ask(body=LONG, adaptable=True)
    assert len(first.chats) == 6
    later = FakeClock(desk.clock.now() + timedelta(hours=25))
    old = make_desk(settings, desk={"database": database, "clock": later})
    async with old.gateway.running():
        assert old.knows("a").is_empty
    moved = make_desk({**settings, "a": provider(second.url)}, desk={"database": database})
    async with moved.gateway.running():
        assert moved.knows("a").is_empty


async def test_what_cannot_be_read_of_what_was_learned_is_as_good_as_none(
    make_desk: MakeDesk, settings: dict[str, Any], database: Database
) -> None:
    desk = make_desk(settings, desk={"database": database})
    address = address_of(desk.configuration.runtime.providers["a"])
    for damage in ({"window": "x"}, {"dialect": []}, {"dialect": {"tools": "signs"}}, {"learned_at": None}):
        stored = {"address": address, **damage}
        RouteStates(database).learn("a", "m", lambda _, stored=stored: stored, desk.clock.now())
        async with desk.gateway.running():
            assert desk.knows("a").is_empty

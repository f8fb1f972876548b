from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import anyio
import httpx2
import pytest

from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock, SystemClock
from orchestration.config.schema import Configuration
from orchestration.events import Event, EventBus
from orchestration.monitoring.collectors.providers import ProviderWatch
from orchestration.providers.budget import Budgets
from orchestration.providers.gateway import Gateway
from orchestration.providers.wire import GatewayCall
from orchestration.rehearsal import RehearsalServer
from orchestration.rehearsal.fault_registry import FaultOrder
from orchestration.storage.database import Database
from orchestration.storage.route_states import RouteStates
from orchestration.storage.spend import Spend
from tests.support.patience import patient
from tests.support.slow_server import slow_server

CHAT = {"messages": [{"role": "user", "content": "hello"}]}


class Key:
    def __init__(self, value: str | None = "a-key") -> None:
        self.value = value

    def get(self, name: str) -> str | None:
        return self.value


def configured(url: str, **more: object) -> Configuration:
    runtime = {
        "defaultProvider": "openai",
        "openai": {"baseUrl": f"{url}/v1", "defaultModel": "rehearsal", "apiKeyEnv": "KEY"},
        "azure": {"enabled": False},
        **more,
    }
    return Configuration.model_validate({"runtime": runtime})


def ups(signals: tuple[Signal, ...]) -> list[tuple[str, float, object]]:
    return [(one.labels["provider"], one.value, one.evidence["reason"]) for one in signals if one.name == "provider_up"]


async def test_a_provider_that_stops_while_all_is_idle_is_noticed_by_the_next_probe_and_its_return_soon() -> None:
    clock = FakeClock()
    async with RehearsalServer(latency=0) as server:
        configuration = configured(server.url)
        watch = ProviderWatch(lambda: configuration, Key(), clock)
        found = await watch.probe()
        assert ups(found) == [("openai", 1.0, "")]
        assert [(one.name, one.value) for one in found[1:]] == [("providers_usable", 1.0)]
        assert await watch.probe() == ()
        server.refuse(3600)
        assert await watch.probe() == ()  # not due yet
        await clock.advance(15)
        found = await watch.probe()
        assert ups(found) == [("openai", 0.0, "unreachable")]
        assert found[1].evidence == {"down": {"openai": "unreachable"}}
        await clock.advance(4)
        assert await watch.probe() == ()
    async with RehearsalServer(latency=0) as server:
        configuration = configured(server.url)
        await clock.advance(1)
        assert ups(await watch.probe()) == [("openai", 1.0, "")]
        await watch.aclose()


async def test_a_provider_that_a_person_takes_out_of_the_configuration_is_waited_for_no_more() -> None:
    clock = FakeClock()
    async with RehearsalServer(latency=0) as server:
        spare = {"type": "openai", "baseUrl": f"{server.url}/v1", "defaultModel": "rehearsal", "auth": "none"}
        both, one = configured(server.url, spare=spare, fallbackProviders=["spare"]), configured(server.url)
        present = [both]
        watch = ProviderWatch(lambda: present[0], Key(), clock)
        assert {name for name, _, _ in ups(await watch.probe())} == {"openai", "spare"}
        present[0] = one
        left = [signal.labels for signal in await watch.probe() if signal.name == "provider_left"]
        assert left == [{"provider": "spare"}]
        assert await watch.probe() == ()
        await watch.aclose()


async def test_a_request_that_failed_has_its_provider_probed_at_once() -> None:
    clock = FakeClock()
    async with RehearsalServer(latency=0) as server:
        configuration = configured(server.url)
        watch = ProviderWatch(lambda: configuration, Key(), clock)
        await watch.probe()
        server.refuse(3600)
        tries = [{"route": "openai/rehearsal", "outcome": "unreachable"}]
        refused = [{"route": "openai/rehearsal", "outcome": "bad_request"}]
        assert watch.on_event(Event("model_call.failed", clock.now(), data={"tries": refused})) == ()
        assert await watch.probe() == ()
        assert watch.on_event(Event("model_call.failed", clock.now(), data={"tries": tries})) == ()
        assert ups(await watch.probe()) == [("openai", 0.0, "unreachable")]
        await watch.aclose()


async def test_a_missing_key_is_told_as_that() -> None:
    configuration = configured("http://127.0.0.1:9")
    watch = ProviderWatch(lambda: configuration, Key(None), FakeClock())
    assert ups(await watch.probe()) == [("openai", 0.0, "authentication")]
    await watch.aclose()


async def test_what_another_process_has_said_of_a_route_counts_until_it_says_otherwise(database: Database) -> None:
    clock, states = FakeClock(), RouteStates(database)
    async with RehearsalServer(latency=0) as server:
        configuration = configured(server.url)
        watch = ProviderWatch(lambda: configuration, Key(), clock, states)
        await watch.probe()
        states.save("openai", "rehearsal", {"state": "open", "reason": "quota"}, clock.now())
        assert ups(await watch.collect_routes()) == [("openai", 0.0, "quota")]
        await clock.advance(15)
        assert await watch.probe() == ()  # a list of models proves nothing about a quota
        states.save("openai", "rehearsal", {"state": "closed"}, clock.now())
        assert ups(await watch.collect_routes()) == [("openai", 1.0, "")]
        await watch.aclose()


async def test_everything_is_told_again_now_and_then_so_that_nobody_has_to_remember() -> None:
    clock = FakeClock()
    configuration = configured("http://127.0.0.1:9")
    watch = ProviderWatch(lambda: configuration, Key(), clock)
    await watch.probe()
    told = 0
    for _ in range(20):
        told += len(ups(await watch.collect_routes()))
        await clock.advance(1)
    assert told == 4
    await watch.aclose()


async def test_the_gateway_and_the_watch_agree_when_a_providers_port_is_closed(database: Database) -> None:
    """The whole way: a real request fails, its event is heard, and the provider is down."""
    clock = SystemClock()
    bus = EventBus(clock)
    async with RehearsalServer(latency=0) as server:
        configuration = configured(server.url)
        gateway = Gateway(lambda: configuration, Key(), bus, clock, Budgets(Spend(database), lambda: configuration))
        watch = ProviderWatch(lambda: configuration, Key(), clock)
        heard: list[Event] = []
        bus.subscribe(heard.append)
        bus.subscribe(lambda event: [*watch.on_event(event)] and None)
        async with gateway.running():
            await watch.probe()
            await gateway.complete(CHAT, GatewayCall())
            (finished,) = [event for event in heard if event.kind == "model_call.finished"]
            (one,) = finished.data["tries"]
            assert one["outcome"] == "ok"
            assert 0 < one["seconds"] <= finished.data["seconds"]
            server.refuse(3600)
            started = clock.now()
            with pytest.raises(Exception, match="no provider can answer now"):
                await gateway.complete(CHAT, GatewayCall())
            await watch.probe()
            assert watch.standings()["openai"].reason == "unreachable"
            assert clock.now() - started < timedelta(seconds=2)
        await watch.aclose()


def far(url: str) -> Configuration:
    """The server of this machine by a name that does not tell that it is here."""
    return configured(url.replace("127.0.0.1", "0.0.0.0"))


async def test_a_provider_on_this_machine_is_probed_every_second_another_as_often_as_is_set() -> None:
    for configuration_of, seconds in ((configured, 1.0), (far, 15.0)):
        clock = FakeClock()
        async with RehearsalServer(latency=0) as server:
            configuration = configuration_of(server.url)
            watch = ProviderWatch(lambda found=configuration: found, Key(), clock)
            assert ups(await watch.probe()) == [("openai", 1.0, "")]
            server.refuse(3600)
            await clock.advance(seconds - 0.1)
            assert await watch.probe() == ()
            await clock.advance(0.1)
            assert ups(await watch.probe()) == [("openai", 0.0, "unreachable")]
            await watch.aclose()


async def test_a_provider_that_hangs_is_down_after_two_probes_the_second_at_once() -> None:
    clock = SystemClock()
    async with RehearsalServer(latency=0) as server:
        configuration = configured(server.url)
        watch = ProviderWatch(lambda: configuration, Key(), clock)
        await watch.probe()
        server.faults.add(FaultOrder(fault="hang"))
        await clock.sleep(1)
        begun = clock.monotonic()
        assert ups(await watch.probe()) == [], "one slow answer is no outage"
        assert ups(await watch.probe()) == [("openai", 0.0, "timeout")]
        assert clock.monotonic() - begun < 5
        await watch.aclose()


async def test_one_that_was_at_work_when_it_said_nothing_is_not_hurried_again() -> None:
    """A server that does one thing at a time: a call that it answered was under way when it was probed."""
    clock = SystemClock()
    async with RehearsalServer(latency=0) as server:
        configuration = configured(server.url)
        watch = ProviderWatch(lambda: configuration, Key(), clock)
        await watch.probe()
        server.faults.add(FaultOrder(fault="hang", count=4))
        await clock.sleep(1)
        assert ups(await watch.probe()) == []
        assert ups(await watch.probe()) == [("openai", 0.0, "timeout")]
        tries = [{"route": "openai/rehearsal", "outcome": "ok", "seconds": 4.0}]
        watch.on_event(Event("model_call.finished", clock.now(), data={"tries": tries, "seconds": 4.0}))
        server.faults.add(FaultOrder(fault="slow", number=1.5, count=2))
        watch.on_event(Event("model_call.failed", clock.now(), data={"tries": [{**tries[0], "outcome": "timeout"}]}))
        assert ups(await watch.probe()) == [("openai", 1.0, "")], "it is given the time that it takes"
        await watch.aclose()


async def test_one_whose_only_request_uses_the_processor_is_not_down(tmp_path: Path) -> None:
    """It is a server with one request at a time, which cannot answer a probe meanwhile; a call may take minutes."""
    with slow_server(tmp_path, "single", "burn", 5.0) as server:
        configuration = configured(server.url)
        watch = ProviderWatch(lambda: configuration, Key(), SystemClock())
        await watch.probe()
        async with httpx2.AsyncClient(timeout=patient(30)) as client, anyio.create_task_group() as group:
            group.start_soon(lambda: client.post(f"{server.url}/v1/chat/completions", json=CHAT))
            # Two silent probes in turn would be an outage.
            for _ in range(2):
                await anyio.sleep(1.1)
                assert ups(await watch.probe()) == []
        await watch.aclose()

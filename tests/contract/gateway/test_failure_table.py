"""Every row of the table of failures: what is tried again, and what it does to a route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from orchestration.providers.breaker import BreakerState
from orchestration.providers.failures import FailureKind, NoRouteError, RequestRefusedError
from orchestration.rehearsal import MODEL, RehearsalServer
from orchestration.rehearsal.fault_registry import FaultMatch, FaultOrder
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import Desk, provider, until
from tests.support.patience import patient

CHAT = "/v1/chat/completions"
OPEN, CLOSED = BreakerState.OPEN, BreakerState.CLOSED


@dataclass(frozen=True)
class Row:
    """A fault and what must come of it: its class, calls made here, the breaker, whether held back, whether probed.

    What is no `proof` may be due to the request: it opens nothing before a probe has failed, too.
    """

    fault: str
    kind: FailureKind
    calls: int
    state: BreakerState
    held: bool = False
    probed: bool = True
    proof: bool = True


ROWS = [
    Row("hang", FailureKind.TIMEOUT, 1, CLOSED),
    Row("stall", FailureKind.TIMEOUT, 1, CLOSED),
    Row("429:1", FailureKind.RATE_LIMITED, 2, CLOSED, held=True),
    Row("429_ms:2.5", FailureKind.RATE_LIMITED, 1, CLOSED, held=True),
    Row("429_date:90", FailureKind.RATE_LIMITED, 1, CLOSED, held=True),
    Row("429_bare", FailureKind.RATE_LIMITED, 2, CLOSED, held=True),
    Row("429_quota", FailureKind.QUOTA, 1, OPEN),
    Row("500", FailureKind.OVERLOADED, 2, CLOSED, proof=False),
    Row("502", FailureKind.OVERLOADED, 2, OPEN),
    Row("503", FailureKind.OVERLOADED, 2, OPEN),
    Row("529", FailureKind.OVERLOADED, 2, OPEN),
    Row("html", FailureKind.OVERLOADED, 2, OPEN),
    Row("401", FailureKind.AUTHENTICATION, 1, OPEN, probed=False),
    Row("403", FailureKind.AUTHENTICATION, 1, OPEN, probed=False),
    Row("404", FailureKind.MODEL_MISSING, 1, OPEN),
    Row("404_ollama", FailureKind.MODEL_MISSING, 1, OPEN),
    Row("404_azure", FailureKind.MODEL_MISSING, 1, OPEN),
    Row("410", FailureKind.RETIRED, 1, OPEN, probed=False),
    Row("empty", FailureKind.MALFORMED, 2, CLOSED, proof=False),
    Row("garbage", FailureKind.MALFORMED, 2, CLOSED, proof=False),
    Row("truncate", FailureKind.MALFORMED, 2, CLOSED, proof=False),
    Row("disconnect", FailureKind.MALFORMED, 2, CLOSED, proof=False),
    Row("error_line", FailureKind.OVERLOADED, 2, CLOSED, proof=False),
]
REFUSED = [
    ("400", FailureKind.BAD_REQUEST),
    ("400_content_filter", FailureKind.CONTENT_FILTER),
]


@pytest.fixture
async def primary() -> AsyncIterator[RehearsalServer]:
    async with RehearsalServer(latency=0) as running:
        yield running


@pytest.fixture
async def fallback() -> AsyncIterator[RehearsalServer]:
    async with RehearsalServer(latency=0) as running:
        yield running


def spoil(server: RehearsalServer, fault: str) -> None:
    name, _, number = fault.partition(":")
    order = FaultOrder(fault=name, number=float(number) if number else None, match=FaultMatch(path=CHAT))
    server.faults.add(order)


@pytest.fixture
def desk_for(make_desk: MakeDesk) -> MakeDesk:
    def make(*servers: RehearsalServer, **runtime: Any) -> Desk:
        named = zip(("primary", "fallback"), servers, strict=False)
        timeouts = {"firstToken": patient(0.3), "nextToken": patient(0.3), "call": patient(5)}
        providers = {name: provider(server.url, defaultModel=MODEL, timeouts=timeouts) for name, server in named}
        return make_desk(providers, **runtime)

    return make


def calls(server: RehearsalServer) -> int:
    return len(server.call_log.calls())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.fault)
async def test_a_failure_is_classed_falls_back_and_counts_as_the_table_says(
    desk_for: MakeDesk, row: Row, primary: RehearsalServer, fallback: RehearsalServer
) -> None:
    spoil(primary, row.fault)
    desk = desk_for(primary, fallback)
    completion = await desk.ask()
    assert completion.route.provider == "fallback"
    assert [one.outcome for one in completion.tries] == [row.kind.value] * row.calls + ["ok"]
    assert calls(primary) == row.calls
    status = desk.status("primary")
    assert (status.state, status.reason) == (row.state.value, row.kind.value if row.state is OPEN else "")
    waits = status.usable_at is not None
    assert waits is (row.held if row.state is CLOSED else row.probed)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.proof], ids=lambda row: row.fault)
async def test_what_one_request_may_have_caused_closes_the_route_only_if_a_probe_fails_too(
    desk_for: MakeDesk, row: Row, primary: RehearsalServer, fallback: RehearsalServer
) -> None:
    spoil(primary, row.fault)
    desk = desk_for(primary, fallback)
    async with desk.gateway.running():
        await desk.ask()
        await until(lambda: desk.status("primary").state == "open")
    assert desk.breakers("primary")[0] == f"opened: {row.kind.value}"


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.kind in {"timeout", "overloaded"} and row.proof], ids=lambda row: row.fault
)
async def test_what_may_pass_trips_only_when_it_comes_twice(
    desk_for: MakeDesk, row: Row, primary: RehearsalServer, fallback: RehearsalServer
) -> None:
    spoil(primary, row.fault)
    desk = desk_for(primary, fallback)
    for _ in range(4):
        await desk.ask()
    assert calls(primary) == 2
    assert desk.breakers("primary") == [f"opened: {row.kind.value}"]


@pytest.mark.parametrize(("fault", "kind"), REFUSED)
async def test_a_request_at_fault_is_refused_at_once_and_counts_against_nobody(
    desk_for: MakeDesk, fault: str, kind: FailureKind, primary: RehearsalServer, fallback: RehearsalServer
) -> None:
    spoil(primary, fault)
    desk = desk_for(primary, fallback)
    for _ in range(3):
        with pytest.raises(RequestRefusedError) as caught:
            await desk.ask()
    assert caught.value.kind is kind
    assert (calls(primary), calls(fallback)) == (3, 0)
    assert desk.status("primary").state == "closed"
    assert [event.data["outcome"] for event in desk.said("model_call.failed")] == [kind.value] * 3


async def test_by_policy_a_content_filter_falls_back(
    desk_for: MakeDesk, primary: RehearsalServer, fallback: RehearsalServer
) -> None:
    spoil(primary, "400_content_filter")
    desk = desk_for(primary, fallback, fallbackOnContentFilter=True)
    completion = await desk.ask()
    assert [one.outcome for one in completion.tries] == ["content_filter", "ok"]
    assert desk.status("primary").state == "closed"
    spoil(fallback, "400_content_filter")
    with pytest.raises(RequestRefusedError, match="fallback/rehearsal-1 refused"):
        await desk.ask()
    assert desk.status("fallback").state == "closed"


async def test_a_refused_connection_is_tried_twice_and_trips_at_once(
    desk_for: MakeDesk, fallback: RehearsalServer
) -> None:
    async with RehearsalServer() as gone:
        desk = desk_for(gone, fallback)
        _ = gone.url
    for _ in range(3):
        completion = await desk.ask()
        assert completion.route.provider == "fallback"
    first = desk.said("model_call.finished")[0].data["tries"]
    assert [one["outcome"] for one in first] == ["unreachable", "unreachable", "ok"]
    assert len(desk.said("model_call.finished")[1].data["tries"]) == 1
    assert desk.breakers("primary") == ["opened: unreachable"]


async def test_a_name_that_does_not_exist_is_unreachable(make_desk: MakeDesk, fallback: RehearsalServer) -> None:
    settings = {"a": provider("http://no-such-host.invalid"), "b": provider(fallback.url, defaultModel=MODEL)}
    completion = await make_desk(settings).ask()
    assert [one.outcome for one in completion.tries] == ["unreachable", "unreachable", "ok"]


@pytest.mark.parametrize("fault", ["429_ms:0.02", "503"])
async def test_without_another_route_a_short_wait_is_sat_out(
    desk_for: MakeDesk, fault: str, primary: RehearsalServer
) -> None:
    name, _, number = fault.partition(":")
    primary.faults.add(FaultOrder(fault=name, number=float(number) if number else None, count=1))
    desk = desk_for(primary)
    completion = await desk.ask()
    assert [one.outcome for one in completion.tries][1:] == ["ok"]


async def test_without_another_route_a_long_wait_is_told_with_its_end(
    desk_for: MakeDesk, primary: RehearsalServer
) -> None:
    spoil(primary, "429:120")
    desk = desk_for(primary)
    with pytest.raises(NoRouteError, match="rate limited") as caught:
        await desk.ask()
    assert caught.value.retry_at is not None
    # Longer than that no wait is believed: the route is probed then.
    assert 55 < caught.value.retry_at - desk.clock.monotonic() <= 60


async def test_a_missing_model_is_missing_for_itself_only(desk_for: MakeDesk, primary: RehearsalServer) -> None:
    desk = desk_for(primary)
    with pytest.raises(NoRouteError, match="model missing"):
        await desk.ask(model="no-such-model")
    assert (await desk.ask()).route.model == MODEL


async def test_a_refused_key_speaks_for_all_models_of_the_provider(
    desk_for: MakeDesk, primary: RehearsalServer
) -> None:
    desk = desk_for(primary)
    await desk.ask(model="rehearsal-2")
    spoil(primary, "401")
    with pytest.raises(NoRouteError, match="authentication"):
        await desk.ask()
    assert {one.state for one in desk.gateway.statuses()} == {"open"}
    assert calls(primary) == 2

"""Silent calls to real server processes: who computes is waited for, who is stopped is left."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from orchestration.providers import probe_timeout
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import Desk, provider
from tests.support.patience import Stopwatch
from tests.support.slow_server import SlowServer, slow_server
from tests.support.vendor import Vendor


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes that wait for less: a silence is final after two seconds instead of three."""
    for name, seconds in {"_LEAST_SECONDS": 0.4, "_UNKNOWN_SECONDS": 0.5, "_MOST_SECONDS": 1.0}.items():
        monkeypatch.setattr(probe_timeout, name, seconds)


def ollama(server: SlowServer) -> dict[str, object]:
    """A kind of provider that is known to answer probes during calls."""
    return {"type": "ollama", "baseUrl": server.url, "defaultModel": "m"}


@pytest.mark.parametrize(("work", "answers"), [("burn", "a"), ("sleep", "b")])
async def test_a_server_that_can_do_one_thing_only_keeps_its_call_while_it_computes(
    make_desk: MakeDesk, first: Vendor, tmp_path: Path, work: str, answers: str
) -> None:
    """It answers no probe; the processor tells whether it works or hangs."""
    with slow_server(tmp_path, "single", work, 5.0) as server:
        desk = make_desk({"a": ollama(server), "b": provider(first.url)})
        assert (await desk.ask()).route.provider == answers
        assert bool(desk.breakers("a")) == (answers == "b")


@pytest.fixture
def talker(tmp_path: Path) -> Iterator[SlowServer]:
    """Answers several requests at once: forty tokens in four seconds."""
    with slow_server(tmp_path, "threads", "sleep", 0.0, 40) as server:
        yield server
        server.process.send_signal(signal.SIGCONT)


async def asked_and_stopped_after(seconds: float, desk: Desk, server: SlowServer, *, stopped: float) -> str:
    """The provider that answers when the first is stopped in the middle of its answer."""
    answered: list[str] = []

    async def ask() -> None:
        answered.append((await desk.ask()).route.provider)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.sleep(seconds)
        server.process.send_signal(signal.SIGSTOP)
        await anyio.sleep(stopped)
        if stopped:
            server.process.send_signal(signal.SIGCONT)
    return answered[0]


async def test_a_server_that_is_stopped_is_left_soon_if_little_is_lost(
    make_desk: MakeDesk, first: Vendor, talker: SlowServer
) -> None:
    desk = make_desk({"a": ollama(talker), "b": provider(first.url)})
    assert await asked_and_stopped_after(0.3, desk, talker, stopped=0) == "b"
    assert "of 2 probes neither" in desk.status("a").last_failure


async def test_calls_that_have_been_silent_together_are_left_together(
    make_desk: MakeDesk, first: Vendor, talker: SlowServer
) -> None:
    desk = make_desk({"a": ollama(talker), "b": provider(first.url)})
    ended: list[tuple[str, float]] = []
    stopped = Stopwatch()

    async def ask(later: float) -> None:
        await anyio.sleep(later)
        answer = await desk.ask()
        ended.append((answer.route.provider, stopped.seconds))

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(ask, number / 10)
        await anyio.sleep(0.5)
        talker.process.send_signal(signal.SIGSTOP)
        stopped = Stopwatch()
    assert {name for name, _ in ended} == {"b"}
    # They share their probes.
    assert ended[-1][1] < 1.5 * ended[0][1]


async def test_a_call_that_has_worked_for_longer_than_it_is_silent_is_kept(
    make_desk: MakeDesk, first: Vendor, talker: SlowServer
) -> None:
    desk = make_desk({"a": ollama(talker), "b": provider(first.url)})
    assert await asked_and_stopped_after(3.0, desk, talker, stopped=2.5) == "a"
    assert not desk.breakers("a")


async def test_a_server_at_work_may_take_longer_than_the_limit_for_its_first_token(
    make_desk: MakeDesk, first: Vendor, tmp_path: Path
) -> None:
    """The limit is meant for silence, and the call's own limit still counts."""
    with slow_server(tmp_path, "single", "burn", 6.0) as server:
        slow = {**ollama(server), "timeouts": {"firstToken": 4.0}}
        desk = make_desk({"a": slow, "b": provider(first.url)})
        assert (await desk.ask()).route.provider == "a"

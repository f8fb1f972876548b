"""How many connections a gateway has to a provider, and which of them it keeps for the next call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from orchestration.http_connections import PooledConnections
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import Desk, provider, together, until

_BODY = b'{"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}'
_HEAD = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(_BODY)}\r\n\r\n".encode()


class PatientServer:
    """Answers when it may, and counts who has connected."""

    def __init__(self) -> None:
        self.port = 0
        self.connected = 0
        self.waiting = 0
        self.may_answer = anyio.Event()
        self.may_answer.set()

    async def serve(self, stream: SocketStream) -> None:
        self.connected += 1
        async with stream:
            try:
                while await stream.receive():
                    self.waiting += 1
                    await self.may_answer.wait()
                    self.waiting -= 1
                    await stream.send(_HEAD + _BODY)
            except (anyio.EndOfStream, anyio.BrokenResourceError):  # as clients leave
                pass


@asynccontextmanager
async def patient_server() -> AsyncIterator[PatientServer]:
    server = PatientServer()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        server.port = listener.extra(SocketAttribute.local_port)
        group.start_soon(listener.serve, server.serve)
        yield server
        group.cancel_scope.cancel()


@pytest.fixture
async def server() -> AsyncIterator[PatientServer]:
    async with patient_server() as running:
        yield running


def at(server: PatientServer, **more: object) -> dict[str, object]:
    return provider(f"http://127.0.0.1:{server.port}", concurrency=8, streaming=False, **more)


def counts(desk: Desk) -> PooledConnections:
    return desk.gateway.connections().get("a", PooledConnections())


async def test_those_that_carry_a_request_are_told_from_those_that_wait_for_one(
    make_desk: MakeDesk, server: PatientServer
) -> None:
    desk = make_desk({"a": at(server)})
    assert counts(desk) == (0, 0)
    server.may_answer = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(desk.ask)
        await until(lambda: server.waiting == 3)
        assert counts(desk) == (3, 0)
        server.may_answer.set()
    assert counts(desk) == (0, 3)
    await desk.ask()
    assert (counts(desk), server.connected) == ((0, 3), 3)


@pytest.mark.parametrize("keep", [0, 2])
async def test_no_more_are_kept_than_is_configured(make_desk: MakeDesk, server: PatientServer, keep: int) -> None:
    desk = make_desk({"a": at(server, keepConnections=keep)})
    server.may_answer = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(desk.ask)
        await until(lambda: server.waiting == 5)
        server.may_answer.set()
    assert counts(desk) == (0, keep)
    await desk.ask()
    assert server.connected == (5 if keep else 6)


async def test_one_that_has_waited_longer_than_is_configured_is_not_used_again(
    make_desk: MakeDesk, server: PatientServer
) -> None:
    desk = make_desk({"a": at(server, keepSeconds=0.05)})
    await desk.ask()
    assert counts(desk) == (0, 1)
    await until(lambda: counts(desk) == (0, 0))
    await desk.ask()
    assert server.connected == 2


async def test_those_of_a_pool_that_was_replaced_count_while_they_are_in_use(
    make_desk: MakeDesk, server: PatientServer
) -> None:
    desk = make_desk({"a": at(server)})
    await together(*[desk.ask] * 2)
    connections = next(iter(desk.gateway._routes._providers.values())).endpoint._connections
    server.may_answer = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(desk.ask)
        await until(lambda: server.waiting == 1)
        connections.renew()
        group.start_soon(desk.ask)
        await until(lambda: server.waiting == 2)
        assert counts(desk).busy == 2
        server.may_answer.set()
    assert counts(desk) == (0, 1)

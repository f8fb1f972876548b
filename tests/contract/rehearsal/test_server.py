"""Starting, stopping and closing the port, in this process and as a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import anyio
import httpx2
import pytest

from orchestration.clock import FakeClock
from orchestration.errors import OrchestratorError, UsageError
from orchestration.rehearsal import RehearsalServer
from orchestration.rehearsal.__main__ import main
from tests.contract.rehearsal.chat import OPENAI, request, until
from tests.support.patience import fail_after, patient

COMMAND = [sys.executable, "-m", "orchestration.rehearsal", "--port", "0", "--latency-ms", "0"]


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        yield running
        running.kill()


@pytest.mark.parametrize("fault", ["hang", "stall", "slow_tokens:60"])
async def test_stopping_takes_under_half_a_second_with_an_answer_on_its_way(fault: str) -> None:
    async with RehearsalServer() as server, httpx2.AsyncClient(base_url=server.url, timeout=patient(30)) as client:
        failed = anyio.Event()

        async def wait_for_an_answer() -> None:
            with pytest.raises(httpx2.TransportError):
                await client.post(OPENAI, json=request(stream=True), headers={"x-rehearsal-fault": fault})
            failed.set()

        async def has_begun() -> bool:
            return bool(server.call_log.stats()["faults"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_an_answer)
            await until(has_begun)
            begun = time.monotonic()
            await server.stop()
            taken = time.monotonic() - begun
            await failed.wait()
    assert taken < 0.5


async def test_a_stopped_server_gives_its_port_back() -> None:
    async with RehearsalServer() as server:
        port = int(server.url.rpartition(":")[2])
    async with RehearsalServer(port=port) as second:
        assert second.url == f"http://127.0.0.1:{port}"


async def test_stopping_twice_is_harmless_and_a_stopped_server_has_no_address() -> None:
    async with RehearsalServer() as server:
        await server.stop()
    with pytest.raises(OrchestratorError, match="start"):
        _ = server.url
    with pytest.raises(OrchestratorError, match="start"):
        server.refuse(1)


async def test_several_servers_run_side_by_side() -> None:
    async with RehearsalServer() as one, RehearsalServer() as two, httpx2.AsyncClient(timeout=patient(30)) as client:
        await client.get(one.url)
        assert (one.call_log.stats()["paths"], two.call_log.stats()["paths"]) == ({"/": 1}, {})


async def test_a_refusing_port_comes_back_by_itself(client: httpx2.AsyncClient, server: RehearsalServer) -> None:
    address = server.url
    posted = await client.post("/rehearsal/faults", json={"fault": "refuse", "seconds": 0.3})
    assert posted.json() == {"refusing_seconds": 0.3}
    with pytest.raises(httpx2.ConnectError):
        await client.get("/")
    await until(lambda: _answers(client))
    assert server.url == address


async def test_refusing_lasts_as_long_as_it_was_told() -> None:
    clock = FakeClock()
    async with (
        RehearsalServer(clock=clock) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=patient(30)) as client,
    ):
        assert await _answers(client)
        server.refuse(60)
        assert not await _answers(client)
        await clock.advance(59)
        assert not await _answers(client)
        await clock.advance(1)
        await until(lambda: _answers(client))


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.1, 0.11, 0.12, 0.15])
async def test_stopping_ends_at_whatever_moment_the_port_reopens(moment: float) -> None:
    async with RehearsalServer() as server:
        server.refuse(0.001)
        await anyio.sleep(moment)
        with fail_after(5):
            await server.stop()


async def test_nobody_else_gets_the_port_while_it_refuses() -> None:
    clock = FakeClock()
    async with RehearsalServer(clock=clock) as server:
        port = int(server.url.rpartition(":")[2])
        server.refuse(60)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


async def test_a_refused_request_finds_its_connection_cut(client: httpx2.AsyncClient) -> None:
    with pytest.raises(httpx2.TransportError):
        await client.post(OPENAI, json=request(), headers={"x-rehearsal-fault": "refuse:0.1"})
    with pytest.raises(httpx2.ConnectError):
        await client.get("/")


async def test_answers_on_a_kept_connection_are_not_held_back(client: httpx2.AsyncClient) -> None:
    seconds = []
    for _ in range(10):
        begun = time.monotonic()
        await client.get("/")
        seconds.append(time.monotonic() - begun)
    assert min(seconds[1:]) < 0.03  # an answer in two small packets takes 40 ms where it waits for the client


async def _answers(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/")).status_code == 200
    except httpx2.TransportError:
        return False


async def test_a_taken_port_is_named() -> None:
    async with RehearsalServer() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OrchestratorError, match=str(port)):
            await RehearsalServer(port=port).start()


@pytest.mark.parametrize("wrong", [{"host": "0.0.0.0"}, {"host": "::"}, {"port": 70000}, {"port": -1}, {"latency": -1}])
def test_what_cannot_be_served_is_refused_before_anything_starts(wrong: dict) -> None:
    with pytest.raises(UsageError, match="expected"):
        RehearsalServer(**wrong)


def test_importing_the_package_does_not_load_the_http_server() -> None:
    code = "import sys, orchestration.rehearsal; print({'uvicorn', 'starlette'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=patient(30), check=True
    )
    assert result.stdout == "set()\n"


def test_a_process_of_its_own_says_where_it_is_and_stops_when_told(process: subprocess.Popen[str]) -> None:
    address = _address(process)
    assert httpx2.get(address, timeout=patient(30)).text == "Ollama is running"
    process.send_signal(signal.SIGTERM)
    assert process.wait(patient(5)) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_a_killed_process_is_gone_at_once(process: subprocess.Popen[str]) -> None:
    address = _address(process)
    process.kill()
    process.wait(patient(5))
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(address, timeout=patient(30))


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_command_explains_a_port_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "70000"]) == 2
    assert capsys.readouterr().err.startswith("error: expected a port")

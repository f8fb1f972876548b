"""`orchestrator endpoint`: several processes on one port, which share limits, and of which any may hang or die."""

from __future__ import annotations

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.support.console import ConsoleProject, stop, wait_for_line
from tests.support.patience import patient, until
from tests.support.project import provider_at
from tests.support.rehearsal import RehearsalProcess, a_provider

_LIMIT, _PROCESSES = 2, 2
_BODY = {"model": "first/rehearsal-1", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def provider() -> Iterator[RehearsalProcess]:
    with a_provider(latency_ms=1) as provider:
        yield provider


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, provider: RehearsalProcess) -> ConsoleProject:
    first = provider_at(provider.url, concurrency=_LIMIT)
    return ConsoleProject(tmp_path_factory.mktemp("endpoint") / "p", defaultProvider="first", first=first)


class Served:
    """The endpoint while it runs."""

    def __init__(self, process: subprocess.Popen[str], url: str, project: ConsoleProject) -> None:
        self.process = process
        self.url = url
        self._project = project

    def processes(self) -> list[psutil.Process]:
        return [one for one in psutil.Process(self.process.pid).children() if "endpoint_process" in str(one.cmdline())]

    def token(self, name: str, *limits: str) -> str:
        created = self._project.call("tokens", "create", name, "--gateway", "--json", *limits)
        return str(created.json()["secret"])

    def ask(self, token: str, **more: object) -> httpx2.Response:
        """One request, by a connection of its own."""
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=self.url, headers=headers, timeout=patient(30)) as client:
            return client.post("/v1/chat/completions", json={**_BODY, **more})


@contextmanager
def an_endpoint(project: ConsoleProject) -> Iterator[Served]:
    with project.started("endpoint", "--port", "0", "--processes", str(_PROCESSES)) as process:
        (line,) = [one for one in wait_for_line(process, "gateway endpoint:") if "gateway endpoint:" in one]
        found = re.search(r"http://[^/]+", line)
        assert found is not None, line
        served = Served(process, found[0], project)
        with httpx2.Client(base_url=served.url, timeout=patient(60)) as client:
            until(lambda: client.get("/readyz").status_code == 200, 60)
        until(lambda: len(served.processes()) == _PROCESSES, 30)
        yield served


@pytest.fixture(scope="module")
def served(project: ConsoleProject) -> Iterator[Served]:
    with an_endpoint(project) as served:
        yield served


def test_they_share_the_slots_of_a_provider(served: Served, provider: RehearsalProcess) -> None:
    token = served.token("many")
    provider.set_fault("slow", number=0.3, count=12)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: served.ask(token), range(12)))
    assert [answer.status_code for answer in answers] == [200] * 12
    assert provider.most_at_once() == _LIMIT


def test_they_share_the_limits_of_a_token(served: Served, provider: RehearsalProcess) -> None:
    token = served.token("alone", "--concurrency", "1")
    provider.set_fault("slow", number=patient(1.5), count=1)
    with ThreadPoolExecutor(8) as pool:
        statuses = Counter(pool.map(lambda _: served.ask(token).status_code, range(8)))
    provider.clear_faults()
    assert statuses == {200: 1, 429: 7}
    assert served.ask(token).status_code == 200
    token = served.token("five", "--requests-per-minute", "5")
    answers = [served.ask(token) for _ in range(12)]
    assert [answer.status_code for answer in answers[:5]] == [200] * 5
    assert Counter(answer.status_code for answer in answers)[429] >= 6
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_one_that_is_lost_keeps_nobody_waiting_and_is_replaced(served: Served, number: signal.Signals) -> None:
    token, before = served.token(number.name.lower()), served.processes()
    before[0].send_signal(number)
    for _ in range(6):
        assert served.ask(token).status_code == 200
    others = {one.pid for one in before[1:]}
    until(lambda: len(served.processes()) == _PROCESSES and before[0] not in served.processes(), 60)
    assert others < {one.pid for one in served.processes()}


def test_nothing_else_is_served_there_and_nobody_without_a_token(served: Served) -> None:
    with httpx2.Client(base_url=served.url, timeout=patient(30)) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/v1/models").status_code == 401
        assert client.post("/v1/chat/completions", json=_BODY).status_code == 401
        token = served.token("curious")
        answer = client.get("/api/v1/runs", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 404
        assert "serves the gateway endpoint only" in answer.text


def test_each_request_is_charged_once_whichever_process_answers(served: Served, project: ConsoleProject) -> None:
    token = served.token("charged")
    for _ in range(6):
        assert served.ask(token).status_code == 200
    usage = project.call("usage", "--by", "key", "--json").json()
    (key,) = [key for key, name in usage["names"].items() if name == "charged"]
    assert [row["requests"] for row in usage["groups"]["key"] if row["name"] == key] == [6]


def test_a_request_in_progress_ends_before_it_stops(project: ConsoleProject, provider: RehearsalProcess) -> None:
    with an_endpoint(project) as served, ThreadPoolExecutor(1) as pool:
        token = served.token("last")
        asked = len(provider.calls())
        provider.set_fault("slow", number=1.0, count=1)
        answer = pool.submit(partial(served.ask, token))
        provider.wait_for_calls(asked + 1)
        said = stop(served.process, seconds=30)
        assert answer.result().status_code == 200
        assert said.rstrip().endswith("stopped")
        assert served.process.returncode == 0


def test_what_cannot_be_served_is_said_in_words(project: ConsoleProject, tmp_path: Path) -> None:
    said = project.call("endpoint", "--host", "0.0.0.0")
    assert (said.code, "TLS is required" in said.err) == (2, True)
    said = project.call("endpoint", "--certificate", str(tmp_path / "none.pem"), "--key", str(tmp_path / "none.key"))
    assert (said.code, "There is no file" in said.err) == (2, True)

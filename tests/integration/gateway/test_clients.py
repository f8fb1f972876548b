"""The official clients of OpenAI, for both of its APIs, and Anthropic, and another framework, through the gateway
endpoint while the primary's process is killed: before its first token, and in the middle of an answer. The primary is
called by Anthropic's API."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestration.security.principal import Role
from tests.support.clients import python_with_clients
from tests.support.patience import until
from tests.support.project import provider_at
from tests.support.rehearsal import RehearsalProcess, a_provider
from tests.support.web import RunningWebServer, a_web_server

_SCRIPT = Path(__file__).with_name("client_scripts.py")
# The first time the clients are installed, before the first test.
pytestmark = pytest.mark.timeout(240)
_SOON = {"failures": 2, "probeAfter": 0.2, "probeAtMost": 0.3}


@pytest.fixture(scope="module")
def python() -> Path:
    return python_with_clients()


@pytest.fixture(scope="module")
def primary() -> Iterator[RehearsalProcess]:
    with a_provider(latency_ms=80) as one:  # so that there is a middle in which it can be killed
        yield one


@pytest.fixture(scope="module")
def gateway(primary: RehearsalProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWebServer]:
    with a_provider() as secondary:
        providers = {
            "primary": provider_at(primary.url, auth="none", breaker=_SOON, type="anthropic"),
            "secondary": provider_at(secondary.url, auth="none"),
        }
        chain = {"defaultProvider": "primary", "fallbackProviders": ["secondary"]}
        with a_web_server(tmp_path_factory.mktemp("gateway") / "project", **chain, **providers) as server:
            yield server


class Application:
    """An application's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self, what: str) -> None:
        """Have it ask, or stream."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()

    def said(self) -> str:
        """The next thing that it says."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def asked(self) -> str:
        self.begin("ask")
        return self.said()


@contextmanager
def application(python: Path, client: str, server: RunningWebServer) -> Iterator[Application]:
    key = server.token(Role.OPERATOR, ("gateway",))
    command = [python, "-W", "ignore", str(_SCRIPT), client, server.url, key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Application(process)


def wait_until_used(app: Application, provider: str) -> None:
    """Return when a provider is asked again: its route is closed, and the response to its outage has ended."""
    until(lambda: app.asked().startswith(f"{provider}/"))


# How each client says that a stream broke off.
CLIENTS = {
    "openai": "broken_off", "pydantic-ai": "broken_off", "responses": "server_error", "anthropic": "api_error",
}  # fmt: skip


@pytest.mark.parametrize(("client", "broken"), CLIENTS.items())
def test_a_client_goes_on_with_the_fallback_when_the_primary_is_killed(
    python: Path, gateway: RunningWebServer, primary: RehearsalProcess, client: str, broken: str
) -> None:
    with application(python, client, gateway) as app:
        wait_until_used(app, "primary")  # the response to what another test has done may not be over
        assert app.asked().startswith("primary/rehearsal-1 [rehearsal]")

        primary.set_fault("slow", number=60)
        before = len(primary.calls())
        app.begin("stream")
        primary.wait_for_calls(before + 1)
        primary.kill()
        assert (app.said(), app.said().startswith("whole [rehearsal]")) == ("begun", True), "nobody noticed anything"
        primary.start()
        wait_until_used(app, "primary")

        app.begin("stream")
        assert app.said() == "begun"
        primary.kill()
        assert app.said() == f"broken {broken}", "what was handed on cannot be taken back, so it is said"

        app.begin("stream")
        assert (app.said(), app.said().startswith("whole [rehearsal]")) == ("begun", True)
        assert app.asked().startswith("secondary/rehearsal-1 [rehearsal]")
        primary.start()
        wait_until_used(app, "primary")

"""`orchestrator serve` with its web server, as a process: how one comes in, and how it ends."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from orchestration.web.exposure import DEFAULT_PORT
from tests.support import prefork
from tests.support.certificates import own_certificate
from tests.support.console import ConsoleProject, free_port, stop, wait_for_line
from tests.support.patience import Stopwatch, patient, until
from tests.support.web import PASSWORD

_MEGABYTE = 1_048_576


@pytest.fixture
def project(tmp_path: Path) -> ConsoleProject:
    return ConsoleProject(tmp_path / "project")


@contextmanager
def serving(project: ConsoleProject, *options: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """A running server, its address, and what it has printed."""
    with project.started("serve", "--workers", "0", *options) as process:
        lines = wait_for_line(process, "Ctrl-C stops it")
        address = next(line for line in lines if line.startswith("dashboard and API: "))
        yield process, address.split()[-1], lines


def test_from_nothing_to_a_signed_in_admin(project: ConsoleProject) -> None:
    with serving(project, "--port", "0") as (process, url, lines):
        link = next(match[0] for line in lines if (match := re.search(r"http://\S+/setup\?key=\S+", line)))
        with httpx2.Client(base_url=url, timeout=patient(30)) as client:
            key = link.partition("key=")[2]
            assert client.get(link).status_code == 200
            client.post("/setup", data={"key": key, "name": "ada", "password": PASSWORD})
            assert client.get("/api/v1/me").json()["role"] == "admin"
        made = project.call("tokens", "create", "laptop", "--role", "operator", "--expires", "1d")
        token = {"Authorization": f"Bearer {made.out.strip()}"}
        with httpx2.Client(base_url=url, headers=token, timeout=patient(30)) as client:
            assert client.get("/api/v1/me").json()["name"] == "laptop"
        assert made.out.strip() not in (project.root / "logs" / "orchestrator.log").read_text()
        assert key not in (project.root / "logs" / "orchestrator.log").read_text()
        stop(process)


def test_the_link_for_the_first_user_is_not_written_to_a_file(project: ConsoleProject, tmp_path: Path) -> None:
    """It would be found there by whoever reads the file, and reported by the scan for secrets."""
    printed = tmp_path / "serve.log"

    class IntoAFile(prefork.Program):
        def __init__(self, args: Sequence[str], **options: Any) -> None:
            with printed.open("wb") as output:
                super().__init__(args, **{**options, "stdout": output})

    with project.started("serve", "--workers", "0", "--port", "0", start=IntoAFile) as process:
        until(lambda: "Ctrl-C stops it" in printed.read_text(encoding="utf-8"))
        text = printed.read_text(encoding="utf-8")
        assert ("key=" in text, "orchestrator users add NAME --role admin" in text) == (False, True), text
        stop(process)


def test_a_server_that_rests_is_small_and_open_streams_do_not_hold_its_end(project: ConsoleProject) -> None:
    with (
        serving(project, "--port", "0", "--no-sign-in") as (process, url, _),
        httpx2.Client(base_url=url, timeout=patient(30)) as client,
        client.stream("GET", "/api/v1/events") as first,
        client.stream("GET", "/api/v1/events") as second,
    ):
        # Forked with the modules of all commands, of which a server that was started by itself has about 10 MB less.
        assert psutil.Process(process.pid).memory_info().rss < 192 * _MEGABYTE
        assert (first.status_code, second.status_code) == (200, 200)
        began = Stopwatch()
        stop(process, seconds=25)
        assert began.is_within(20), began
        assert process.returncode == 0
        assert next(second.iter_lines()) == ": connected"


@pytest.mark.timeout(180)
def test_where_no_port_was_named_and_the_usual_one_is_taken_a_free_one_is(project: ConsoleProject) -> None:
    def is_ours(other: socket.socket) -> bool:
        """Whether we have taken the usual port; otherwise somebody else has, who may leave at any time."""
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            other.bind(("127.0.0.1", DEFAULT_PORT))
            other.listen()
            return True
        return False

    def is_at_another_port() -> bool:
        with socket.socket() as other:
            ours = is_ours(other)
            with serving(project, "--no-sign-in") as (process, url, _):
                assert url.startswith("http://127.0.0.1:")
                assert httpx2.get(f"{url}/api/v1/me", timeout=patient(10)).json()["name"] == "local"
                stop(process)
        elsewhere = not url.endswith(f":{DEFAULT_PORT}")
        assert elsewhere or not ours
        return elsewhere

    until(is_at_another_port, seconds=90)


_PROXY_SECRET = "a-secret-of-the-proxy-1"


@pytest.mark.parametrize(
    ("proxy", "secret", "cookie", "source"),
    [
        ("127.0.0.1", _PROXY_SECRET, "__Host-session", "203.0.113.9"),
        ("127.0.0.1", "guessed", "session", "127.0.0.1"),
        ("127.0.0.1", "", "session", "127.0.0.1"),
        ("127.0.0.2", _PROXY_SECRET, "session", "127.0.0.1"),
    ],
    ids=["the proxy that was named", "another process", "one without a secret", "another address"],
)
def test_only_the_proxy_that_was_named_is_believed(
    project: ConsoleProject, proxy: str, secret: str, cookie: str, source: str
) -> None:
    (project.root / ".env").write_text(f"ORCHESTRATOR_PROXY_SECRET={_PROXY_SECRET}\n")
    (project.root / ".env").chmod(0o600)
    forwarded = {"Host": "orchestrator.example", "X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    forwarded |= {"X-Orchestrator-Proxy-Secret": secret} if secret else {}
    options = ("--port", "0", "--proxy", proxy, "--name", "orchestrator.example")
    with serving(project, *options) as (process, url, lines):
        key = "".join(lines).partition("key=")[2].split()[0]
        with httpx2.Client(base_url=url, headers=forwarded, timeout=patient(10)) as client:
            made = client.post("/setup", data={"key": key, "name": "ada", "password": PASSWORD})
            name, _, rest = made.headers.get_list("set-cookie")[0].partition("=")
            assert (made.status_code, name, "Secure" in rest) == (303, cookie, cookie.startswith("__Host-"))
            session = {"Cookie": f"{name}={rest.partition(';')[0]}"}
            lines_of_trail = client.get("/api/v1/audit", headers=session).json()["items"]
            assert [line["details"]["source"] for line in lines_of_trail] == [source]
            assert client.get("/api/v1/me", headers={**session, "Host": "elsewhere.example"}).status_code == 421
        stop(process)


def test_a_port_that_was_named_and_is_taken_is_said(project: ConsoleProject) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = project.call("serve", "--workers", "0", "--port", port)
    assert (said.code, "Choose another address with --host and --port" in said.err) == (2, True)


def test_a_proxy_on_this_machine_needs_a_secret(project: ConsoleProject) -> None:
    said = project.call("serve", "--workers", "0", "--port", "0", "--proxy", "127.0.0.1", "--name", "o.example")
    assert said.code == 2
    assert "ORCHESTRATOR_PROXY_SECRET" in said.err


def test_what_is_not_safe_is_refused_before_anything_starts(project: ConsoleProject) -> None:
    said = project.call("serve", "--workers", "0", "--host", "0.0.0.0")
    assert (said.code, "TLS is required" in said.err) == (2, True)
    assert "serving" not in said.out


def test_with_a_certificate_everything_goes_by_tls(project: ConsoleProject, tmp_path: Path) -> None:
    certificate, key = own_certificate(tmp_path)
    options = ("--port", str(free_port()), "--certificate", str(certificate), "--key", str(key))
    with serving(project, *options) as (process, url, lines):
        assert url.startswith("https://127.0.0.1:")
        key_of_link = "".join(lines).partition("key=")[2].split()[0]
        context = ssl.create_default_context(cafile=str(certificate))
        with httpx2.Client(base_url=url, verify=context, timeout=patient(30)) as client:
            answer = client.post("/setup", data={"key": key_of_link, "name": "ada", "password": PASSWORD})
            cookie = answer.headers.get_list("set-cookie")[0]
            assert cookie.startswith("__Host-session=")
            assert "Secure" in cookie
            assert client.get("/api/v1/me").json()["name"] == "ada"
            assert "max-age" in client.get("/healthz").headers["strict-transport-security"]
        stop(process)

"""`orchestrator serve` with its web server, as a process: how one comes in, how it ends, and the console on a server."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.support.console import ConsoleProject, environment, free_port, stop, wait_for_line
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


def test_from_nothing_to_a_signed_in_admin_and_a_console_elsewhere(project: ConsoleProject, tmp_path: Path) -> None:
    with serving(project, "--port", "0") as (process, url, lines):
        link = next(match[0] for line in lines if (match := re.search(r"http://\S+/setup\?key=\S+", line)))
        with httpx2.Client(base_url=url) as client:
            key = link.partition("key=")[2]
            assert client.get(link).status_code == 200
            client.post("/setup", data={"key": key, "name": "ada", "password": PASSWORD})
            assert client.get("/api/v1/me").json()["role"] == "admin"
        made = project.call("tokens", "create", "laptop", "--role", "operator", "--expires", "1d")
        token = {"ORCHESTRATOR_TOKEN": made.out.strip()}
        assert made.code == 0
        assert made.out.strip() not in (project.root / "logs" / "orchestrator.log").read_text()

        def there(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "orchestration", "--server", url, *arguments]
            return subprocess.run(
                command, cwd=tmp_path, env=environment(token), capture_output=True, text=True, timeout=60, check=False
            )

        assert "0 unfinished runs" in there("status").stdout
        begun = there("runs", "start", "--workspace", str(project.workspace), "--json", "say hello")
        run = json.loads(begun.stdout)["id"]
        assert run in there("runs", "list").stdout
        assert json.loads(there("runs", "show", run, "--json").stdout)["origin"] == "api: laptop"
        assert there("runs", "cancel", run, "--reason", "a test").returncode in (0, 1)
        assert "no incidents that fit" in there("incidents", "list", "--severity", "P0").stdout
        unknown = there("incidents", "ack", "inc-unknown")
        assert (unknown.returncode, "expected an incident" in unknown.stderr) == (2, True)
        elsewhere = there("config", "show")
        assert (elsewhere.returncode, "--server" in elsewhere.stderr) == (2, True)
        trail = project.call("audit", "list", "--json").json()
        assert {"laptop", "setup"} <= {line["actor"] for line in trail}
        assert project.call("audit", "verify").code == 0
        stop(process)
    again = project.call("users", "list", "--json").json()
    assert [one["name"] for one in again] == ["ada"]


def test_a_server_that_rests_is_small(project: ConsoleProject) -> None:
    with serving(project, "--port", "0") as (process, _, _lines):
        time.sleep(1)
        assert psutil.Process(process.pid).memory_info().rss < 170 * _MEGABYTE


def test_open_streams_do_not_hold_the_end(project: ConsoleProject) -> None:
    with serving(project, "--port", "0", "--no-sign-in") as (process, url, _), httpx2.Client(base_url=url) as client:
        with client.stream("GET", "/api/v1/events") as first, client.stream("GET", "/api/v1/events") as second:
            assert (first.status_code, second.status_code) == (200, 200)
            began = time.monotonic()
            stop(process, seconds=15)
            assert time.monotonic() - began < 10
            assert process.returncode == 0
            assert list(second.iter_lines())[:1] == [": here"]


def test_a_port_that_is_taken_is_said_and_another_is_taken_where_none_was_named(project: ConsoleProject) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = project.call("serve", "--workers", "0", "--port", port)
    assert (said.code, "take another with --host and --port" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--host", "0.0.0.0"), "expected TLS"),
        (("--host", "0.0.0.0", "--no-sign-in"), "expected sign-in"),
        (("--certificate", "none.pem"), "together"),
        (("--proxy", "nonsense"), "expected a proxy's address"),
    ],
)
def test_what_is_not_safe_is_refused_before_anything_starts(
    project: ConsoleProject, options: tuple[str, ...], what: str
) -> None:
    said = project.call("serve", "--workers", "0", *options)
    assert (said.code, what in said.err) == (2, True)
    assert "serving" not in said.out


def test_with_a_certificate_everything_goes_by_tls(project: ConsoleProject, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, "this test needs openssl"
    options = ("--port", str(free_port()), "--certificate", str(certificate), "--key", str(key))
    with serving(project, *options) as (process, url, lines):
        assert url.startswith("https://127.0.0.1:")
        key_of_link = "".join(lines).partition("key=")[2].split()[0]
        with httpx2.Client(base_url=url, verify=str(certificate)) as client:
            answer = client.post("/setup", data={"key": key_of_link, "name": "ada", "password": PASSWORD})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-session=")
            assert "Secure" in cookie
            assert client.get("/api/v1/me").json()["name"] == "ada"
            assert "max-age" in client.get("/healthz").headers["strict-transport-security"]
        stop(process)


def test_users_and_tokens_are_managed_at_the_console(project: ConsoleProject) -> None:
    password = f"{PASSWORD}\n".encode()
    assert project.call("users", "add", "ada", "--role", "admin", "--password-stdin", data=password).code == 0
    assert project.call("users", "add", "ada", "--password-stdin", data=password).code == 1
    assert project.call("users", "add", "ben", "--password-stdin", data=b"short\n").code == 2
    assert project.call("users", "disable", "ada").code == 1, "the last admin"
    assert "ada: admin" in project.call("users", "role", "ada", "admin").out
    limits = ("--daily-tokens", "1000", "--requests-per-minute", "60")
    made = project.call("tokens", "create", "app", "--gateway", *limits, "--json").json()
    assert made["token"]["limits"] == {"daily_tokens": 1000, "requests_per_minute": 60}
    assert made["token"]["scopes"] == ["gateway"]
    listed = project.call("tokens", "list")
    assert "app" in listed.out
    assert made["secret"] not in listed.out
    assert "opens nothing any more" in project.call("tokens", "revoke", made["token"]["id"]).out

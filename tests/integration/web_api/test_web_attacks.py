"""Attacks on the web side of a running server, one test a trick; `docs/reference/attacks.md` lists them."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import Mount, Route

from orchestration.security import passwords
from orchestration.security.principal import Role
from orchestration.web.auth_middleware import AuthMiddleware, session_of
from orchestration.web.device_cookie import DeviceCookies
from orchestration.web.security_headers import HEADERS
from tests.support.web import PASSWORD, RunningWebServer

NAME = "mallory-target"


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here is not how long a password takes."""
    monkeypatch.setattr(passwords, "_N", 2)
    monkeypatch.setattr(passwords, "NOBODY", passwords.digest(PASSWORD))


@pytest.fixture
def signed_in(server: RunningWebServer) -> httpx2.Client:
    return sign_in(server, NAME)


def sign_in(server: RunningWebServer, name: str, **more: Any) -> httpx2.Client:
    if server.web.access.table.find_user(name) is None:
        server.web.access.add_user(name, Role.ADMIN, PASSWORD, actor="tests")
    client = server.client(None, **more)
    assert client.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
    return client


def is_in(client: httpx2.Client) -> bool:
    return client.get("/api/v1/me").status_code == 200


# Sessions


def test_a_session_that_somebody_planted_is_not_taken_over(server: RunningWebServer) -> None:
    client = sign_in(server, NAME, cookies={"session": "planted-by-mallory"})
    cookies = [cookie.value for cookie in client.cookies.jar if cookie.name == "session"]
    assert any(value != "planted-by-mallory" for value in cookies)
    with server.client(None, cookies={"session": "planted-by-mallory"}) as mallory:
        assert not is_in(mallory)


def test_signing_in_again_ends_the_session_before(server: RunningWebServer, signed_in: httpx2.Client) -> None:
    former = signed_in.cookies["session"]
    assert signed_in.post("/sign-in", data={"name": NAME, "password": PASSWORD}).status_code == 303
    assert signed_in.cookies["session"] != former
    assert is_in(signed_in)
    with server.client(None, cookies={"session": former}) as thief:
        assert not is_in(thief)


def test_signing_out_everywhere_ends_each_session_of_this_user_alone(
    server: RunningWebServer, signed_in: httpx2.Client
) -> None:
    elsewhere, other = sign_in(server, NAME), sign_in(server, "mallory-other")
    assert signed_in.post("/sign-out", params={"everywhere": "yes"}).status_code == 303
    assert [is_in(one) for one in (signed_in, elsewhere, other)] == [False, False, True]
    again = sign_in(server, NAME)
    with server.client() as admin:
        assert admin.delete(f"/api/v1/users/{NAME}/sessions").json() == {"ended": 1}
    assert not is_in(again)


def test_over_https_the_cookie_that_a_sibling_can_plant_does_not_count() -> None:
    planted = Headers({"cookie": "session=planted; __Host-session="})
    assert session_of(planted, https=True) == ""
    assert session_of(planted, https=False) == "planted"


# Forged requests


def _forms(server: RunningWebServer) -> Iterator[str]:
    for route in server.web.asgi.routes:
        if isinstance(route, Route) and "POST" in (route.methods or ()):
            yield re.sub(r"\{[^}]*\}", "1", route.path)


def test_no_form_acts_without_the_sessions_token(server: RunningWebServer, signed_in: httpx2.Client) -> None:
    """Every route that takes a form, as the routes themselves say; what has a key of its own is not a form."""
    own_keys = ("/api/", "/answer/", "/heartbeat/", "/v1/", "/sign-in", "/setup", "/sign-out", "/openai", "/engines")
    tried = 0
    for path in _forms(server):
        if path.startswith(own_keys):
            continue
        for token in ({}, {"csrf": ""}, {"csrf": "guessed"}):
            answer = signed_in.post(path, data={"reason": "forged", **token})
            assert answer.status_code in (404, 401, 403, 422), path
            if answer.status_code == 422:
                assert "belongs to another session" in answer.text, path
        tried += 1
    assert tried > 20


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_api_write_acts_by_a_cookie_alone(server: RunningWebServer, signed_in: httpx2.Client, method: str) -> None:
    mounted = next(one for one in server.web.asgi.routes if isinstance(one, Mount) and one.path == "/api/v1")
    paths = {"/api/v1" + re.sub(r"\{[^}]*\}", "1", one.path) for one in mounted.routes if isinstance(one, Route)}
    for path in sorted({*paths, "/v1/chat/completions", "/v1/embeddings"}):
        answer = signed_in.request(method, path, json={})
        assert answer.status_code in (403, 404), path


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_what_a_foreign_form_can_send_is_no_api_call(
    server: RunningWebServer, signed_in: httpx2.Client, kind: str
) -> None:
    token = signed_in.get("/api/v1/me").json()["csrf"]
    body = json.dumps({"matchers": ['a="b"'], "seconds": 60, "comment": "forged"})
    headers = {"Content-Type": kind, "X-CSRF-Token": token}
    assert signed_in.post("/api/v1/silences", content=body, headers=headers).status_code == 422


def test_reading_changes_nothing(server: RunningWebServer, signed_in: httpx2.Client) -> None:
    """A link or an image on a foreign page makes a browser send a GET with the session's cookie."""
    tables = ("users", "sessions", "tokens", "audit", "silences", "overrides")
    before = {one: server.project.records(f"SELECT count(*) AS n FROM {one}") for one in tables}
    for path in _pages(server):
        signed_in.get(path)
    for path in ("/sign-out", "/isolation/on", "/api/v1/isolation", "/providers/pause"):
        signed_in.get(path)
    assert {one: server.project.records(f"SELECT count(*) AS n FROM {one}") for one in tables} == before
    assert is_in(signed_in)


# The host


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "localhost:1@evil.example", "2130706433",
     "0x7f.1", "127.1", "0.0.0.0", "[::ffff:7f00:1]", "localhost\t", "localhost,evil.example"],
)  # fmt: skip
def test_no_other_name_leads_here(server: RunningWebServer, host: str) -> None:
    for path in ("/", "/sign-in", "/api/v1/me", "/heartbeat/x", "/answer/x", "/api/v1/intake/generic"):
        answer = raw(server, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400")), (path, answer[:80])


def test_a_second_host_and_no_host_at_all_are_refused(server: RunningWebServer) -> None:
    port = urlsplit(server.url).port
    for lines in (f"Host: evil.example\r\nHost: localhost:{port}", "X: y"):
        answer = raw(server, f"GET /api/v1/me HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n")
        assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
    absolute = f"GET http://evil.example/api/v1/me HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    assert raw(server, absolute).split(b" ")[1] in (b"401", b"404", b"400", b"421")


def test_an_address_is_never_built_from_the_host(server: RunningWebServer) -> None:
    """A link that holds what the client called us would send people elsewhere."""
    with server.client(None) as client:
        for path in ("/runs", "/sign-in", "/incidents?x=1"):
            answer = client.get(path, headers={"Host": "localhost:1", "X-Forwarded-Host": "evil.example"})
            assert "evil.example" not in answer.text + str(answer.headers)
            assert "localhost:1" not in answer.text + str(answer.headers)


def raw(server: RunningWebServer, request: str) -> bytes:
    host = urlsplit(server.url)
    with socket.create_connection((host.hostname, host.port), timeout=20) as connection:
        connection.sendall(request.encode("latin-1"))
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


# Bodies and encodings


def test_no_body_is_decompressed(server: RunningWebServer) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    with server.client() as client:
        for path in ("/api/v1/silences", "/api/v1/intake/generic", "/v1/chat/completions", "/heartbeat/x", "/sign-in"):
            for name in ("gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip"):
                headers = {"Content-Encoding": name, "Content-Type": "application/json"}
                answer = client.post(path, content=bomb, headers=headers)
                assert answer.status_code == 415, path


@pytest.mark.parametrize(
    "head",
    ["Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 6",
     "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Content-Length: +5", "Content-Length: 5\r\n x"],
)  # fmt: skip
def test_a_request_that_two_servers_would_read_differently_is_not_answered(server: RunningWebServer, head: str) -> None:
    smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(server, f"POST /sign-in HTTP/1.1\r\nHost: localhost\r\n{head}\r\nConnection: close\r\n\r\n{smuggled}")
    assert answer.count(b"HTTP/1.1") <= 1
    assert b"smuggled" not in answer


# Guessing


def test_who_guesses_from_many_addresses_of_this_machine_is_one_source(server: RunningWebServer) -> None:
    """All of 127.0.0.0/8 leads here, and a new address must be no new start."""
    name = "loopback-target"
    server.web.access.add_user(name, Role.VIEWER, PASSWORD, actor="tests")
    body = f"name={name}&password=wrong-{'x' * 8}"
    statuses = [post_from(server, f"127.0.{number}.9", body) for number in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    server.web.access.table.remove_failures_for(name)


def test_a_browser_that_was_here_before_is_not_locked_out_by_strangers(server: RunningWebServer) -> None:
    name = "device-target"
    browser = sign_in(server, name)
    assert "device" in browser.cookies
    browser.post("/sign-out")
    for _ in range(6):
        with server.client(None) as stranger:
            last = stranger.post("/sign-in", data={"name": name, "password": "a wrong password"})
    assert last.status_code == 429
    assert browser.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 303
    with server.client(None, cookies={"device": browser.cookies["device"]}) as copied:
        # The cookie is worth nothing for another name, and five attempts for its own.
        for wanted in ("other-name", *[name] * 5):
            last = copied.post("/sign-in", data={"name": wanted, "password": "a wrong password"})
            assert last.status_code in (401, 429)
        assert copied.post("/sign-in", data={"name": name, "password": PASSWORD}).status_code == 429
    server.web.access.table.remove_failures_for(name)


def test_a_forged_device_is_a_stranger(server: RunningWebServer) -> None:
    name = "device-forged"
    server.web.access.add_user(name, Role.VIEWER, PASSWORD, actor="tests")
    statuses = []
    for number in range(7):
        with server.client(None, cookies={"device": f"forged{number}.{'0' * 64}"}) as stranger:
            statuses.append(stranger.post("/sign-in", data={"name": name, "password": "a wrong one"}).status_code)
    assert statuses == [401] * 5 + [429] * 2
    server.web.access.table.remove_failures_for(name)


@pytest.mark.parametrize("key", ["", None])
def test_without_a_key_no_device_is_known(key: str | None) -> None:
    """Anybody could sign with an empty key."""

    def read() -> str:
        if key is None:
            raise OSError("the disk is gone")
        return key

    devices, response = DeviceCookies(read), Response()
    devices.set_on(response, NAME, https=False)
    assert "set-cookie" not in response.headers
    forged = hmac.new(b"", b"device-cookie\0" + f"{NAME}\0one".encode(), hashlib.sha256).hexdigest()
    assert devices.device_of({"device": f"one.{forged}"}, NAME, https=False) == ""


def post_from(server: RunningWebServer, address: str, body: str) -> int:
    host = urlsplit(server.url)
    request = (
        f"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n\r\n{body}"
    )
    with socket.create_connection((host.hostname, host.port), 20, (address, 0)) as connection:
        connection.sendall(request.encode())
        return int(connection.makefile("rb").readline().split()[1])


# Tokens


def test_a_token_with_scopes_gives_nobody_more_than_it_has(server: RunningWebServer) -> None:
    name = "scope-target"
    server.web.access.add_user(name, Role.VIEWER, PASSWORD, actor="tests")
    with server.client(Role.ADMIN, ("access",)) as client:
        user = {"name": "scope-new", "role": "admin", "password": PASSWORD}
        assert client.post("/api/v1/users", json=user).status_code == 409
        for change in ({"role": "admin"}, {"password": PASSWORD + "!"}):
            assert client.patch(f"/api/v1/users/{name}", json=change).status_code == 409
        assert client.post("/api/v1/tokens", json={"name": "wide", "role": "admin"}).status_code == 409
        assert client.patch(f"/api/v1/users/{name}", json={"disabled": True}).status_code == 200


# Streams


def test_one_principal_cannot_hold_all_event_streams(server: RunningWebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client, other = server.client(), server.client(Role.VIEWER, ("events",))
    assert client.get("/api/v1/me").status_code == 200, "the first request puts the application together"
    found: Any = server.web.asgi.middleware_stack
    while not isinstance(found, AuthMiddleware):
        found = found.app
    monkeypatch.setattr(found._streams, "_of_one", 3)
    streams = [client.stream("GET", path) for path in ("/api/v1/events", "/stream?of=runs", "/api/v1/events")]
    for stream in streams:
        assert stream.__enter__().status_code == 200
    refused = client.get("/api/v1/events")
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    with other.stream("GET", "/api/v1/events") as held:
        assert held.status_code == 200, "the limit is for each"
    for stream in streams:
        stream.__exit__(None, None, None)


# Headers


def test_every_page_and_every_error_has_every_header(server: RunningWebServer, signed_in: httpx2.Client) -> None:
    unknown = server.client(None)
    answers = [signed_in.get(path) for path in _pages(server)]
    answers += [signed_in.get("/nothing-here"), signed_in.post("/runs/start", data={}), signed_in.get("/metrics")]
    answers += [unknown.get("/sign-in"), unknown.get("/runs"), unknown.get("/answer/x"), unknown.get("/api/v1/runs")]
    answers += [unknown.get("/healthz"), unknown.get("/api/v1/me", headers={"Host": "evil.example"})]
    answers += [signed_in.get("/static/dashboard.css"), unknown.post("/sign-in", content=b"\xff")]
    assert len(answers) > 25
    for answer in answers:
        for name, value in HEADERS.items():
            expected = "no-referrer" if "/answer/" in answer.url.path and name == "Referrer-Policy" else value
            assert answer.headers.get(name) == expected, (answer.url, answer.status_code, name)
        is_cached = answer.url.path.startswith("/static/")
        assert is_cached or answer.headers["cache-control"] == "no-store", answer.url
        assert "server" not in answer.headers
        for cookie in answer.headers.get_list("set-cookie"):
            assert "httponly" in cookie.lower()


def test_a_fault_of_ours_has_every_header_and_says_nothing(
    server: RunningWebServer, monkeypatch: pytest.MonkeyPatch, signed_in: httpx2.Client
) -> None:
    whole = server.app.runs.list

    def fail(*statuses: Any, **wanted: Any) -> Any:
        # What works beside the requests names its limit, and goes on.
        if "limit" in wanted:
            return whole(*statuses, **wanted)
        raise RuntimeError("secret detail of a fault")

    monkeypatch.setattr(server.app.runs, "list", fail)
    for path in ("/runs", "/api/v1/runs"):
        answer = signed_in.get(path, headers={"Connection": "close"})
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
        assert {name for name in HEADERS if name not in answer.headers} == set(), path


def test_the_policy_lets_no_page_run_what_is_written_into_it() -> None:
    policy = dict(part.strip().partition(" ")[::2] for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert not re.search(r"unsafe|\*|http:|https:|nonce", HEADERS["Content-Security-Policy"])
    assert {"frame-ancestors", "base-uri", "form-action"} <= set(policy)


def _pages(server: RunningWebServer) -> list[str]:
    own_keys = ("/api/", "/answer/", "/heartbeat/", "/v1/", "/oncall/", "/stream", "/metrics", "/openai", "/engines")
    return [
        re.sub(r"\{[^}]*\}", "1", route.path)
        for route in server.web.asgi.routes
        if isinstance(route, Route) and "GET" in (route.methods or ()) and not route.path.startswith(own_keys)
    ]

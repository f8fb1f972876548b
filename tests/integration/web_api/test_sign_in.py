"""Who is let in: the first user, sessions, tokens, those who guess, and pages that are not ours."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
import sqlalchemy as sa

from orchestration.events import Event
from orchestration.security.principal import Role
from orchestration.security.sign_in import SignInOrigin
from orchestration.storage.tables import identities, users
from tests.support.web import PASSWORD, RunningWebServer


@pytest.fixture
def said(server: RunningWebServer) -> Iterator[list[Event]]:
    heard: list[Event] = []
    unsubscribe = server.app.bus.subscribe(heard.append)
    yield heard
    unsubscribe()


def user(server: RunningWebServer, name: str, role: Role = Role.OPERATOR) -> str:
    if server.web.access.table.find_user(name) is None:
        server.web.access.add_user(name, role, PASSWORD, actor="tests")
    return name


def sign_in(server: RunningWebServer, name: str, password: str = PASSWORD) -> tuple[httpx2.Client, httpx2.Response]:
    client = server.client(None)
    return client, client.post("/sign-in", data={"name": name, "password": password})


def test_the_first_user_is_made_with_the_link_that_serve_prints_and_only_once(server: RunningWebServer) -> None:
    with server.app.database.write() as connection:
        connection.execute(sa.delete(identities))
        connection.execute(sa.delete(users))  # another file of this folder may have made the first one
    key = server.web.access.new_setup_key()
    form = {"key": key, "name": "ada", "password": PASSWORD}
    with server.client(None) as client:
        assert 'name="password"' in client.get("/setup", params={"key": key}).text
        wrong = client.post("/setup", data={**form, "key": "guessed"})
        assert (wrong.status_code, 'role="alert"' in wrong.text) == (401, True)
        weak = client.post("/setup", data={**form, "password": "short"})
        assert (weak.status_code, "short" in weak.text) == (422, False)
        done = client.post("/setup", data=form)
        assert (done.status_code, done.headers["location"]) == (303, "/")
        assert client.get("/api/v1/me").json() | {"csrf": ""} == {
            "name": "ada", "role": "admin", "scopes": None, "csrf": "",
        }  # fmt: skip
        assert client.post("/setup", data={**form, "name": "eve"}).status_code == 401
    again = server.web.access.new_setup_key()
    with server.client(None) as client:
        assert client.post("/setup", data={**form, "key": again, "name": "eve"}).status_code == 409


def test_a_session_is_a_cookie_that_scripts_cannot_read(server: RunningWebServer) -> None:
    client, answer = sign_in(server, user(server, "ben"))
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/api/v1/runs").status_code == 200
    secret = client.cookies["session"]
    assert secret not in str(server.project.records("SELECT * FROM sessions"))


def test_signing_out_ends_the_session_on_the_server(server: RunningWebServer) -> None:
    client, _ = sign_in(server, user(server, "ben"))
    kept = client.cookies["session"]
    assert client.post("/sign-out").status_code == 303
    with server.client(None, cookies={"session": kept}) as thief:
        assert thief.get("/api/v1/me").status_code == 401


def test_a_new_role_or_being_kept_out_acts_at_once(server: RunningWebServer) -> None:
    client, _ = sign_in(server, user(server, "cleo"))
    assert client.get("/api/v1/users").status_code == 403
    with server.client() as admin:
        assert admin.patch("/api/v1/users/cleo", json={"disabled": True}).status_code == 200
    assert client.get("/api/v1/me").status_code == 401
    assert sign_in(server, "cleo")[1].status_code == 401
    with server.client() as admin:
        assert admin.patch("/api/v1/users/cleo", json={"disabled": False, "role": "admin"}).status_code == 200
    again, _ = sign_in(server, "cleo")
    assert again.get("/api/v1/users").status_code == 200


def test_a_script_has_to_bring_the_sessions_token(server: RunningWebServer) -> None:
    client, _ = sign_in(server, user(server, "ben"))
    body = {"matchers": ['a="b"'], "seconds": 60, "comment": "a test"}
    assert client.post("/api/v1/silences", json=body).status_code == 403
    assert client.post("/api/v1/silences", json=body, headers={"X-CSRF-Token": "guessed"}).status_code == 403
    token = client.get("/api/v1/me").json()["csrf"]
    assert client.post("/api/v1/silences", json=body, headers={"X-CSRF-Token": token}).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
     {"Origin": "null"}],
)  # fmt: skip
def test_what_another_sites_page_sends_is_refused(server: RunningWebServer, headers: dict[str, str]) -> None:
    client, _ = sign_in(server, user(server, "ben"))
    token = client.get("/api/v1/me").json()["csrf"]
    answer = client.post("/api/v1/runs/latest/cancel", json={}, headers={**headers, "X-CSRF-Token": token})
    assert (answer.status_code, "another" in answer.json()["detail"]) == (403, True)
    assert client.post("/sign-out", headers=headers).status_code == 403
    assert client.post("/sign-in", data={"name": "ben", "password": PASSWORD}, headers=headers).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_a_strange_name_that_leads_here_is_a_trap(server: RunningWebServer, host: str) -> None:
    with server.client() as client:
        assert client.get("/api/v1/me", headers={"Host": host}).status_code == 421
        assert client.get("/api/v1/me", headers={"Host": "localhost:1"}).status_code == 200


def test_who_guesses_is_locked_out_and_the_one_whose_name_they_use_is_not(
    server: RunningWebServer, said: list[Event]
) -> None:
    user(server, "dora")
    statuses = [sign_in(server, "dora", "a wrong password")[1].status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    _, answer = sign_in(server, "dora")
    assert answer.status_code == 429, "not even with the right password"
    told = [event for event in said if event.kind in ("sign_in.failed", "sign_in.locked")]
    assert [event.kind for event in told] == ["sign_in.failed"] * 5 + ["sign_in.locked"]
    assert told[0].data == {"source": "127.0.0.1", "user": "dora", "reason": "wrong name or password"}
    assert server.web.sign_in.sign_in("dora", PASSWORD, SignInOrigin("198.51.100.7")).secret, "from elsewhere"
    assert PASSWORD not in str(said)
    server.web.access.table.remove_failures_for("dora")
    assert sign_in(server, "dora")[1].status_code == 303


def test_nobody_learns_whether_a_name_is_there(server: RunningWebServer) -> None:
    user(server, "ben")
    answers = [sign_in(server, name, "a wrong password")[1].text for name in ("ben", "nobody-of-that-name")]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("way", "leads"),
    [("/runs?status=failed", "/runs?status=failed"), ("//evil.example", "/"), ("https://evil.example", "/"),
     ("/\\evil.example", "/"), ("", "/"), ("/a\r\nSet-Cookie: x=y", "/")],
)  # fmt: skip
def test_signing_in_leads_back_and_never_elsewhere(server: RunningWebServer, way: str, leads: str) -> None:
    user(server, "ben")
    with server.client(None) as client:
        answer = client.post("/sign-in", data={"name": "ben", "password": PASSWORD, "next": way})
    assert answer.headers["location"] == leads


def test_a_stranger_is_led_to_the_sign_in_and_back(server: RunningWebServer) -> None:
    with server.client(None) as client:
        answer = client.get("/anything?a=1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fanything%3Fa%3D1")
        page = client.get(answer.headers["location"]).text
    assert 'value="/anything?a=1"' in page
    assert not re.search(r"<script|style=", page)


def test_a_page_cannot_be_made_to_say_something_else(server: RunningWebServer) -> None:
    with server.client(None) as client:
        assert "<script>" not in client.get("/setup", params={"key": '"><script>'}).text
        assert "<script>" not in client.get("/sign-in", params={"next": '/"><script>'}).text


def test_every_answer_tells_browsers_to_be_careful(server: RunningWebServer) -> None:
    with server.client() as client:
        for path in ("/sign-in", "/api/v1/me", "/healthz", "/nothing-here", "/api/v1/nothing-here"):
            headers = client.get(path).headers
            assert headers["content-security-policy"].startswith("default-src 'none'"), path
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["cache-control"] == "no-store", path


def test_a_token_opens_what_it_is_for_until_it_is_over(server: RunningWebServer) -> None:
    with server.client() as admin:
        made = admin.post("/api/v1/tokens", json={"name": "ci", "role": "viewer", "scopes": ["runs"]}).json()
        secret = {"Authorization": f"Bearer {made['secret']}"}
        assert made["secret"] not in str(server.project.records("SELECT * FROM tokens"))
        with server.client(None, headers=secret) as client:
            assert client.get("/api/v1/runs").status_code == 200
            assert client.get("/api/v1/incidents").status_code == 403
            assert admin.delete(f"/api/v1/tokens/{made['token']['id']}").status_code == 200
            assert client.get("/api/v1/runs").status_code == 401


def test_a_narrow_token_cannot_make_a_wide_one(server: RunningWebServer) -> None:
    with server.client(Role.ADMIN, ("access",)) as client:
        assert client.post("/api/v1/tokens", json={"name": "more", "role": "admin"}).status_code == 409


def test_every_write_is_in_the_audit_trail_with_who_did_it(server: RunningWebServer) -> None:
    with server.client() as client:
        client.post("/api/v1/silences", json={"matchers": ['a="c"'], "seconds": 60, "comment": "x"})
        client.post("/api/v1/incidents/inc-unknown/acknowledge")
        client.get("/api/v1/runs")
        lines = client.get("/api/v1/audit", params={"limit": 2}).json()
        first, second = lines["items"]
        assert (first["actor"], first["action"], first["outcome"], first["details"]["status"]) == (
            "test", "POST /api/v1/incidents/inc-unknown/acknowledge", "refused", 404,
        )  # fmt: skip
        assert (second["action"], second["outcome"]) == ("POST /api/v1/silences", "done")
        assert second["details"]["source"] == "127.0.0.1"
        following = client.get("/api/v1/audit", params={"limit": 1, "cursor": lines["next"]}).json()["items"]
        assert following[0]["sequence"] == second["sequence"] - 1
        assert client.get("/api/v1/audit/verdict").json()["broken_at"] is None

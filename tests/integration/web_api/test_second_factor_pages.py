"""Setting up a second factor and signing in with it, in a browser, over the API and on the console."""

from __future__ import annotations

import re
import subprocess
import time

import httpx2
import pytest

from orchestration.security.principal import Role
from tests.support.one_time_codes import code_at
from tests.support.web import PASSWORD, RunningWebServer


class Browser:
    """One browser with its cookies, and a telephone that shows codes."""

    def __init__(self, server: RunningWebServer, user: str, role: Role = Role.OPERATOR) -> None:
        if server.web.access.table.find_user(user) is None:
            server.web.access.add_user(user, role, PASSWORD, actor="tests")
        self.user, self.server, self.client = user, server, server.client(None)
        self.secret, self.confirmed_by, self.recovery = "", "", list[str]()

    def sign_in(self, to: str = "/") -> httpx2.Response:
        return self.client.post("/sign-in", data={"name": self.user, "password": PASSWORD, "next": to})

    def post(self, path: str, **fields: str) -> httpx2.Response:
        """A form of the account's page, with the token of the session."""
        return self.client.post(f"/account/second-factor/{path}", data={"csrf": self.csrf(), **fields})

    def csrf(self) -> str:
        return str(self.client.get("/api/v1/me").json()["csrf"])

    def code(self, steps: int) -> str:
        """The code of this half minute or of the next one, which a telephone whose clock is fast shows already."""
        return code_at(self.secret, time.time() + 30 * steps)

    def confirm(self, page: str) -> httpx2.Response:
        """Read the secret off the page, and enter its code."""
        shown = self.client.get(page)
        assert shown.status_code == 200
        assert "<svg" in shown.text
        assert not re.search(r"<script|style=|https?://(?!www\.w3\.org)", shown.text)
        self.secret = re.findall(r"<code>([A-Z2-7 ]{39})</code>", shown.text)[0].replace(" ", "")
        self.confirmed_by = self.code(0)
        done = self.client.post("/sign-in/enrol", data={"code": self.confirmed_by, "next": "/runs"})
        self.recovery = re.findall(r"orcrec-[a-z0-9-]{29}", done.text)
        assert len(self.recovery) == 10
        return done


def test_a_second_factor_from_set_up_to_recovery_and_removal(server: RunningWebServer) -> None:
    ada = Browser(server, "factor-ada")
    ada.sign_in()
    other = Browser(server, "factor-ada")
    other.sign_in()
    assert ada.post("set-up", password="a wrong password").status_code == 422
    begun = ada.post("set-up", password=PASSWORD)
    assert (begun.status_code, begun.headers["location"]) == (303, "/sign-in/enrol?next=%2Faccount")
    wrong = ada.client.post("/sign-in/enrol", data={"code": "000000"})
    assert (wrong.status_code, 'role="alert"' in wrong.text, "<svg" in wrong.text) == (401, True, True)
    ada.confirm(begun.headers["location"])
    assert ada.client.get("/api/v1/me").status_code == 200, "this browser has a new session"
    assert other.client.get("/api/v1/me").status_code == 401, "every other one has ended"

    half = other.sign_in("/runs?status=failed")
    assert half.headers["location"] == "/sign-in/code?next=%2Fruns%3Fstatus%3Dfailed"
    assert "session" not in half.headers["set-cookie"].partition("=")[0]
    assert other.client.get("/api/v1/me").status_code == 401, "a password alone opens nothing"
    used = other.client.post("/sign-in/code", data={"code": ada.confirmed_by})
    assert (used.status_code, "used before" in used.text) == (401, True)
    done = other.client.post("/sign-in/code", data={"code": ada.code(1), "next": "/runs?status=failed"})
    assert (done.status_code, done.headers["location"]) == (303, "/runs?status=failed")
    assert other.client.get("/api/v1/me").status_code == 200

    third = Browser(server, "factor-ada")
    third.sign_in()
    assert third.client.post("/sign-in/code", data={"code": ada.recovery[0]}).status_code == 303
    assert "9 recovery codes" in third.client.get("/account").text
    fresh = third.post("renew", password=PASSWORD, code=ada.recovery[1])
    codes = re.findall(r"orcrec-[a-z0-9-]{29}", fresh.text)
    assert len(codes) == 10
    assert third.post("remove", password=PASSWORD, code=ada.recovery[2]).status_code == 422, "void by now"
    assert third.post("remove", password=PASSWORD, code=codes[0]).headers["location"] == "/sign-in"
    assert Browser(server, "factor-ada").sign_in().headers["location"] == "/"
    lines = str(server.project.records("SELECT * FROM audit"))
    assert "second factor set up" in lines
    assert "POST /account/second-factor/remove" in lines


def test_no_secret_of_a_second_factor_is_written_anywhere(server: RunningWebServer) -> None:
    ben = Browser(server, "factor-ben")
    ben.sign_in()
    ben.confirm(ben.post("set-up", password=PASSWORD).headers["location"])
    ben.client.post("/sign-out")
    ben.sign_in()
    ben.client.post("/sign-in/code", data={"code": ben.recovery[0]})
    server.portal.call(server.app.recorded)
    root = server.project.root
    # By another process: where this one closes a file of SQLite, its server loses the locks on it
    # (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
    secrets = "\n".join((ben.secret, *ben.recovery)).encode()
    found = subprocess.run(["grep", "-rlaF", "-f", "-", str(root)], input=secrets, capture_output=True, check=False)
    assert (found.returncode, found.stdout) == (1, b"")
    assert (root / "var" / "second-factor.key").stat().st_mode & 0o077 == 0


def test_an_admin_resets_it_and_programs_need_none(server: RunningWebServer) -> None:
    cleo = Browser(server, "factor-cleo")
    cleo.sign_in()
    cleo.confirm(cleo.post("set-up", password=PASSWORD).headers["location"])
    with server.client(Role.OPERATOR) as program:
        assert program.delete("/api/v1/users/factor-cleo/second-factor").status_code == 403
    with server.client(Role.ADMIN, ("access",)) as narrow:
        assert narrow.delete("/api/v1/users/factor-cleo/second-factor").status_code == 409
    with server.client() as admin:
        shown = {one["name"]: one["second_factor"] for one in admin.get("/api/v1/users").json()}
        assert shown["factor-cleo"] is True
        reset = admin.delete("/api/v1/users/factor-cleo/second-factor")
        assert (reset.status_code, reset.json()["second_factor"]) == (200, False)
        assert admin.delete("/api/v1/users/factor-cleo/second-factor").status_code == 409
        assert admin.delete("/api/v1/users/nobody-of-that-name/second-factor").status_code == 404
    assert cleo.client.get("/api/v1/me").status_code == 401
    assert cleo.sign_in().headers["location"] == "/"


@pytest.mark.parametrize("page", ["/sign-in/code", "/sign-in/enrol"])
def test_a_step_belongs_to_the_browser_that_began_it(server: RunningWebServer, page: str) -> None:
    for cookies in ({}, {"sign-in-code": "guessed", "sign-in-enrolment": "guessed"}):
        with server.client(None, cookies=cookies) as stranger:
            answer = stranger.post(page, data={"code": "000000"})
            assert (answer.status_code, "expired" in answer.text) == (401, True)
            evil = {"Origin": "https://evil.example"}
            assert stranger.post(page, data={"code": "000000"}, headers=evil).status_code == 403


def test_the_account_needs_the_sessions_own_form_and_tokens_have_none(server: RunningWebServer) -> None:
    dora = Browser(server, "factor-dora")
    dora.sign_in()
    assert dora.client.post("/account/second-factor/set-up", data={"password": PASSWORD}).status_code == 422
    with server.client() as program:
        assert program.get("/account").status_code == 403
        assert program.post("/account/second-factor/set-up", data={"password": PASSWORD}).status_code == 403


def test_an_admin_who_has_to_have_one_sets_it_up_at_the_next_sign_in(server: RunningWebServer) -> None:
    eve = Browser(server, "factor-eve", Role.ADMIN)
    eve.sign_in()
    kept = server.project.document.get("access", {})
    server.project.document["access"] = {**kept, "requireSecondFactor": ["admin"]}
    server.project.write()
    server.portal.call(server.app.store.refresh_in_thread)
    try:
        assert eve.client.get("/api/v1/me").status_code == 401
        with server.client() as program:
            assert program.get("/api/v1/me").status_code == 200, "a token is no user"
        led = eve.sign_in("/runs")
        assert led.headers["location"] == "/sign-in/enrol?next=%2Fruns"
        assert eve.client.get("/api/v1/me").status_code == 401
        done = eve.confirm(led.headers["location"])
        assert 'href="/runs"' in done.text
        assert eve.client.get("/api/v1/me").json()["name"] == "factor-eve"
    finally:
        server.project.document["access"] = kept
        server.project.write()
        server.portal.call(server.app.store.refresh_in_thread)


def test_the_console_shows_who_has_one_and_resets_it(server: RunningWebServer) -> None:
    flo = Browser(server, "factor-flo")
    flo.sign_in()
    flo.confirm(flo.post("set-up", password=PASSWORD).headers["location"])
    shown = {one["name"]: one["second_factor"] for one in server.project.call("users", "list", "--json").json()}
    assert shown["factor-flo"] is True
    reset = server.project.call("users", "reset-second-factor", "factor-flo", "--json").json()
    assert (reset["name"], reset["second_factor"]) == ("factor-flo", False)
    again = server.project.call("users", "reset-second-factor", "factor-flo")
    assert again.code == 1
    assert "has no second factor" in again.err
    assert flo.client.get("/api/v1/me").status_code == 401

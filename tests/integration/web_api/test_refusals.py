"""What people see where something is refused: pages, and never the JSON that programs read."""

from __future__ import annotations

import pytest

from tests.support.web import PASSWORD, RunningWebServer

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nowhere", 404, "There is nothing at this address."),
        ("PUT", "/runs", 405, "Method Not Allowed"),
        ("POST", "/incidents/inc-1/acknowledge", 401, "Your session has ended"),
        ("POST", "/runs/start", 401, "keeps what you"),
    ],
)
def test_a_person_is_shown_a_page(server: RunningWebServer, method: str, path: str, status: int, says: str) -> None:
    # Without a session only reads and forms of pages are refused as pages; the others need one to get that far.
    with server.client() if status in (404, 405) else server.client(None) as client:
        answer = client.request(method, path, headers=BROWSER)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert says in answer.text
    assert "Orchestrator" in answer.text
    assert '{"' not in answer.text


def test_a_form_of_another_site_is_refused_with_a_page(server: RunningWebServer) -> None:
    with server.client(None) as client:
        answer = client.post("/sign-in", headers={**BROWSER, "Origin": "https://evil.example"}, data={"name": "x"})
    assert (answer.status_code, "a page of another site" in answer.text) == (403, True)
    assert answer.headers["content-type"].startswith("text/html")


def test_programs_and_scripts_get_no_page(server: RunningWebServer) -> None:
    with server.client(None) as client:
        for path, headers in (("/runs", {**BROWSER, "HX-Request": "true"}), ("/api/v1/runs", BROWSER)):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/session", headers={"HX-Request": "true"}).status_code == 401
    with server.client() as client:
        assert client.get("/session").status_code == 204
        assert client.get("/nowhere").headers["content-type"] == "application/problem+json"


def test_a_set_up_link_that_was_used_says_so(server: RunningWebServer) -> None:
    key = server.web.access.new_setup_key()
    with server.client(None) as client:
        first = client.get("/setup", params={"key": key})
        if not server.web.access.has_users():
            assert (first.status_code, 'name="password"' in first.text) == (200, True)
            client.post("/setup", data={"key": key, "name": "ada", "password": PASSWORD})
    with server.client(None) as client:
        again = client.get("/setup", params={"key": key})
    assert again.status_code == 410
    assert "has been used" in again.text
    assert "<form" not in again.text

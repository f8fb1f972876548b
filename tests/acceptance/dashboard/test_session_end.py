"""A session ends while somebody reads or types: nothing vanishes, and it goes on after signing in."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestration.incidents.report import Facts
from orchestration.security.principal import Role
from tests.support.browser import PHONE, Opener, violations
from tests.support.dashboard_records import declare, fill, finished_run
from tests.support.web import PASSWORD, RunningWebServer, a_web_server

PAGES = (
    "/", "/runs", "/incidents", "/alerts", "/on-call", "/providers", "/playbooks", "/drills", "/maintenance",
    "/resources", "/figures", "/configuration", "/audit", "/search?q=x", "/isolation",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWebServer]:
    with a_web_server(tmp_path_factory.mktemp("project")) as one:
        one.web.access.add_user("ada", Role.ADMIN, PASSWORD, actor="tests")
        fill(one.app)
        yield one


def sign_in(page: Page) -> None:
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def end_session(server: RunningWebServer) -> None:
    """All sessions of the user end, as when a role is changed."""
    server.web.access.change_user("ada", actor="tests", role=Role.ADMIN)


@pytest.fixture
def page(server: RunningWebServer, opener: Opener) -> Page:
    """Somebody is signed in."""
    page = opener(server.url, "/sign-in", PHONE)
    assert violations(page) == []
    sign_in(page)
    expect(page.locator("#stream")).to_have_text("live")
    return page


def test_no_page_is_blanked_when_the_session_ends(server: RunningWebServer, page: Page) -> None:
    run, incident = finished_run(server.app), declare(server.app, "ends", "a trouble", Facts())
    cookies = page.context.cookies()
    for path in (*PAGES, f"/runs/{run.id}", f"/incidents/{incident.id}"):
        page.context.add_cookies(cookies)  # type: ignore[arg-type]
        page.goto(path)
        page.context.clear_cookies()
        page.evaluate("htmx.ajax('GET', location.href, {target: '#page', select: '#page', swap: 'outerMorph'})")
        expect(page.locator("#session"), path).to_contain_text("Your session has ended")
        # Any heading: what it counts may have changed in between.
        expect(page.get_by_role("heading", level=1), path).to_have_text(re.compile(r"\w"))


def test_what_was_typed_is_sent_after_signing_in_again(server: RunningWebServer, page: Page) -> None:
    found = declare(server.app, "typed-on", "a trouble with words", Facts())
    for path, opened_by, label, button, done in (
        (f"/incidents/{found.id}", "Add a note…", "Text", "Add note", "Note added"),
        ("/alerts", "Add a silence…", "Reason", "Add silence", "Silence added"),
        ("/incidents", "Declare an incident…", "What is wrong", "Declare", "declared"),
    ):
        page.goto(path)
        if "/sign-in" in page.url:
            sign_in(page)
        page.get_by_text(opened_by).first.click()
        field = page.get_by_label(label).first
        field.fill("half a thought")
        if path == "/alerts":
            page.get_by_label("Matchers, one per line").fill('agent="planner"')
        end_session(server)
        page.get_by_role("button", name=button).first.click()
        expect(page.locator("#session")).to_contain_text("What you have typed is kept")
        expect(field).to_have_value("half a thought")
        page.get_by_role("link", name="Sign in and go on").click()
        sign_in(page)
        expect(page).to_have_url(re.compile(f"{re.escape(path)}$"))
        expect(page.get_by_label(label).first).to_have_value("half a thought")
        page.get_by_role("button", name=button).first.click()
        expect(page.locator("p[role=status]")).to_contain_text(done)


def test_without_a_script_a_form_says_that_the_session_has_ended(server: RunningWebServer, opener: Opener) -> None:
    found = declare(server.app, "scriptless", "a plain trouble", Facts())
    page = opener(server.url, f"/sign-in?next=/incidents/{found.id}", java_script_enabled=False)
    sign_in(page)
    end_session(server)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("heading", name="Not signed in")).to_be_visible()
    expect(page.locator("main")).to_contain_text("nothing was changed")

"""The dashboard in a real browser: what somebody on call does, on a wide screen and on a telephone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, expect

from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.model import Incident, person
from orchestration.incidents.report import Facts
from orchestration.storage.runs import Run
from tests.support.browser import PHONE, SCREENS, Opener, has_not_moved, mark, violations
from tests.support.dashboard import Dashboard, a_dashboard
from tests.support.dashboard_records import declare, fill, finished_run, hold_drills
from tests.support.patience import patient
from tests.support.project import ProjectFolder


@pytest.fixture(scope="module")
def dashboard(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    project = ProjectFolder(tmp_path_factory.mktemp("project"), {})
    with a_dashboard(project.configuration_file) as one:
        yield one
        assert one.faults == []


@pytest.fixture(scope="module")
def incidents(dashboard: Dashboard) -> dict[str, Incident]:
    return fill(dashboard.app)


@pytest.fixture(scope="module")
def run(dashboard: Dashboard) -> Run:
    return finished_run(dashboard.app)


@pytest.fixture
def opened(opener: Opener, dashboard: Dashboard) -> Opener:
    """Opens a page of the dashboard on a screen."""
    return partial(opener, dashboard.url)


@SCREENS
def test_every_page_is_accessible_keeps_to_its_policy_and_fits_the_screen(
    dashboard: Dashboard, opened: Opener, incidents: dict[str, Incident], run: Run, screen: Mapping[str, Any]
) -> None:
    menu = ["/", "/runs", "/incidents", "/alerts", "/providers", "/resources", "/figures", "/configuration"]
    menu += ["/playbooks", "/drills", "/maintenance", "/audit", "/on-call", "/search?q=executor", "/isolation"]
    menu += ["/views", "/usage", "/usage/calls", "/runs/new"]
    details = [f"/runs/{run.id}", f"/incidents/{incidents['worst'].id}", f"/incidents/{incidents['owing'].id}"]
    details += [f"/incidents/{incidents['taken'].id}", "/playbooks/provider-unavailable"]
    details += ["/maintenance/reports/daily-digest-2026-03-02"]
    page = opened("/", screen)
    for path in (*menu, *details):
        page.goto(path)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert violations(page) == [], path
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide == 0, path
        # What is laid out is the same in both themes; only the colours differ.
        page.emulate_media(color_scheme="dark" if screen["color_scheme"] == "light" else "light")
        assert violations(page, runOnly=["color-contrast"]) == [], path
        page.emulate_media(color_scheme=screen["color_scheme"])
    hold_drills(dashboard.app)
    page.goto("/drills")
    expect(page.get_by_role("heading", name="Running")).to_be_visible()
    assert violations(page) == []
    dashboard.app.leases.release("drills", "drills-1")


def test_the_plots_are_drawn_from_the_tables_behind_them(
    dashboard: Dashboard, opened: Opener, incidents: dict[str, Incident]
) -> None:
    page = opened("/resources")
    expect(page.locator("#plot-cpu_percent canvas")).to_be_visible()
    expect(page.locator("#plot-disk_free_percent .u-legend")).to_contain_text("/work")
    figures = opened("/figures")
    for name in ("mttd", "mttr", "shares", "counts"):
        expect(figures.locator(f"#plot-{name} canvas")).to_be_visible()
    with figures.expect_download() as picture:
        figures.get_by_role("button", name="MTTR by month as PNG").click()
        expect(figures.get_by_role("button", name="MTTR by month as PNG")).to_have_text("PNG")
    assert picture.value.suggested_filename == "mttr-by-month.png"
    content = picture.value.path().read_bytes()
    assert content.startswith(b"\x89PNG")
    # Its size is in the first chunk: wider than high, and higher than the plot alone.
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    assert width > height > 170
    with figures.expect_download() as numbers:
        figures.get_by_role("button", name="MTTR by month as CSV").click()
    lines = numbers.value.path().read_text().splitlines()
    assert lines[0] == '"Month","median","90th percentile"'
    assert lines[-1].startswith(f'"{dashboard.app.clock.now():%Y-%m}",')


@SCREENS
def test_a_run_is_watched_live_from_its_start_to_its_end(
    dashboard: Dashboard, opened: Opener, screen: Mapping[str, Any]
) -> None:
    runs = opened("/runs", screen)
    mark(runs)
    run = dashboard.begin_run()
    row = runs.locator(f"#row-{run.id}")
    expect(row).to_be_visible()
    page = opened(f"/runs/{run.id}", screen)
    mark(page)
    expect(page.locator("h1 .badge").first).to_have_text("succeeded", timeout=patient(30) * 1000)
    expect(page.locator(".lane")).not_to_have_count(0)
    expect(page.get_by_role("link", name="plan.md")).to_be_visible()
    expect(page.locator("h1")).to_contain_text("rehearsal")
    expect(row).to_contain_text("succeeded")
    assert has_not_moved(page)
    assert has_not_moved(runs)


@SCREENS
def test_an_incident_is_seen_coming_acknowledged_and_resolved(
    dashboard: Dashboard, opened: Opener, screen: Mapping[str, Any]
) -> None:
    page = opened("/", screen)
    mark(page)
    found = declare(dashboard.app, f"live-{screen['color_scheme']}", f"live {screen['color_scheme']}", Facts())
    page.get_by_role("link", name=f"{found.severity}: {found.title}").click()
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator("p[role=status]")).to_contain_text("Incident acknowledged")
    assert dashboard.app.incident_service.records.get(found.id).acknowledged_by == "ada"
    page.get_by_text("Resolve…").click()
    page.get_by_label("Resolution", exact=True).fill("it was a test")
    page.get_by_label("Resolve although an alert still fires or a duty is open").check()
    page.get_by_role("button", name="Resolve", exact=True).click()
    expect(page.locator("h1 .badge").last).to_have_text("resolved")


@SCREENS
def test_an_approval_is_given_and_the_run_goes_on(
    dashboard: Dashboard, opened: Opener, screen: Mapping[str, Any]
) -> None:
    run = dashboard.begin_run(options={"approve": ["executor"]})
    page = opened(f"/runs/{run.id}", screen)
    expect(page.get_by_role("heading", name="may executor start?")).to_be_visible()
    page.get_by_label("Reason").first.fill("looks right")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("p[role=status]")).to_contain_text("Approved. Work continues")
    expect(page.locator("h1 .badge").first).to_have_text("running")
    assert dashboard.app.approvals.list_open(run.id) == ()
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("h1 .badge").first).to_have_text("cancelled")


def test_what_somebody_types_survives_an_update(dashboard: Dashboard, opened: Opener) -> None:
    found = declare(dashboard.app, "typed", "a trouble", Facts())
    page = opened(f"/incidents/{found.id}")
    mark(page)
    page.get_by_text("Add a note…").click()
    page.get_by_label("Text").first.fill("half a thou")
    dashboard.post(f"/incidents/{found.id}/note", text="somebody else was quicker")
    expect(page.locator("ol.timeline")).to_contain_text("somebody else was quicker")
    expect(page.get_by_label("Text").first).to_have_value("half a thou")
    expect(page.get_by_label("Text").first).to_be_focused()
    assert has_not_moved(page)


def test_everything_works_without_a_script(dashboard: Dashboard, opened: Opener) -> None:
    found = declare(dashboard.app, "plain", "a plain trouble", Facts())
    page = opened("/incidents", java_script_enabled=False)
    expect(page.locator("#stream")).to_have_text("reload to update")
    page.locator(f"#card-{found.id}").get_by_role("button", name="Acknowledge").click()
    expect(page.locator("p[role=status]")).to_contain_text("Incident acknowledged")
    page.get_by_text("Add a note…").click()
    page.get_by_label("Text").first.fill("by hand")
    page.get_by_role("button", name="Add note").click()
    expect(page.locator("ol.timeline")).to_contain_text("by hand")


def test_the_keyboard_is_enough(dashboard: Dashboard, opened: Opener) -> None:
    found = declare(dashboard.app, "keys", "a trouble for the keyboard", Facts())
    page = opened(f"/incidents/{found.id}")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to what to do now")).to_be_focused()
    button = page.get_by_role("button", name="Acknowledge")
    for _ in range(12):
        if button.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("p[role=status]")).to_contain_text("Incident acknowledged")


def test_the_page_says_when_it_is_not_live_any_more(dashboard: Dashboard, opened: Opener) -> None:
    page = opened("/runs")
    expect(page.locator("#stream")).to_have_text("live")
    page.route("**/stream*", lambda route: route.fulfill(status=503))
    page.evaluate("document.getElementById('stream')._htmx.sse.reader.cancel()")
    expect(page.locator("#stream")).to_have_text("reconnecting")
    page.unroute("**/stream*")
    expect(page.locator("#stream")).to_have_text("live", timeout=patient(3) * 1000)


def test_the_whole_page_follows_its_badges_its_title_and_its_time(dashboard: Dashboard, opened: Opener) -> None:
    page = opened("/incidents")
    mark(page)
    badge = page.locator("header .count").first
    before, as_of = int(badge.text_content() or ""), page.locator("footer time").get_attribute("datetime")
    declare(dashboard.app, "whole", "a trouble for the frame", Facts())
    expect(badge).to_have_text(str(before + 1))
    expect(page).to_have_title(re.compile(rf"^\({before + 1}\) Incidents"))
    assert page.locator("footer time").get_attribute("datetime") != as_of
    assert has_not_moved(page)


def test_times_are_local_with_utc_on_hover_and_a_switch(dashboard: Dashboard, opened: Opener) -> None:
    found = declare(dashboard.app, "local", "a trouble somewhere", Facts())
    page = opened(f"/incidents/{found.id}", timezone_id="Asia/Tokyo")
    time = page.locator("ol.timeline time").last
    here = found.detected_at.astimezone(ZoneInfo("Asia/Tokyo"))
    expect(time).to_have_text(re.compile(f"{here:%H:%M:%S}$"))
    expect(time).to_have_attribute("title", f"{found.detected_at:%Y-%m-%d %H:%M:%S} UTC")
    expect(page.locator("footer")).to_contain_text("Asia/Tokyo")
    page.get_by_role("button", name="Show UTC").click()
    expect(time).to_have_text(f"{found.detected_at:%Y-%m-%d %H:%M:%S} UTC")
    page.reload()
    expect(time).to_have_text(f"{found.detected_at:%Y-%m-%d %H:%M:%S} UTC")


@SCREENS
def test_anything_is_found_with_the_keyboard(dashboard: Dashboard, opened: Opener, screen: Mapping[str, Any]) -> None:
    found = declare(dashboard.app, f"find-{screen['color_scheme']}", f"lost {screen['color_scheme']} marbles", Facts())
    page = opened("/runs", screen)
    live, palette = page.locator("#stream"), page.locator("#palette")
    expect(live).to_have_text("live")  # the scripts are there
    page.keyboard.press("Control+k")
    expect(palette).to_be_visible()
    page.keyboard.type(f"{screen['color_scheme']} marbles")
    expect(page.locator("#palette-results a")).to_have_count(1)
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/incidents/{found.id}$"))
    expect(live).to_have_text("live")
    page.keyboard.press("/")
    expect(palette).to_be_visible()
    page.keyboard.type("playbooks")
    expect(page.locator("#palette-results a").first).to_have_text("Playbooks")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Playbooks")


def test_a_command_is_copied_and_news_does_not_take_the_answer_away(dashboard: Dashboard, opened: Opener) -> None:
    found = declare(dashboard.app, "copied", "a trouble to type", Facts())
    page = opened(f"/incidents/{found.id}", permissions=["clipboard-read", "clipboard-write"])
    # The answer stays until the test is over, however busy the machine is.
    page.evaluate("() => { const real = setTimeout; window.setTimeout = (f, ms) => ms === 1500 ? 0 : real(f, ms); }")
    command = page.locator(".command", has_text=f"incidents ack {found.id}")
    command.get_by_role("button").click()
    expect(command.get_by_role("button")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"orchestrator incidents ack {found.id}"
    dashboard.app.incident_service.execute(found.id, person("ben"), AddNote("looking into it"))
    expect(page.locator("main")).to_contain_text("looking into it")
    expect(command.get_by_role("button")).to_contain_text("Copied")


def test_a_telephone_shows_five_entries_cards_and_buttons_for_thumbs(
    dashboard: Dashboard, opened: Opener, incidents: dict[str, Incident]
) -> None:
    page = opened("/alerts", PHONE)
    assert page.locator("header nav li:visible").count() == 5
    summary = page.locator("header .more > summary")
    expect(summary).to_contain_text("Alerts")
    summary.click()
    expect(page.locator("header .panel").get_by_role("link", name="Providers")).to_be_visible()
    assert violations(page) == []
    page.goto(f"/incidents/{incidents['worst'].id}")
    for button in page.locator("main button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 32, button.text_content()
    assert (
        page.evaluate(
            "fetch('/static/manifest.webmanifest').then((answer) => answer.json()).then((one) => one.display)"
        )
        == "standalone"
    )

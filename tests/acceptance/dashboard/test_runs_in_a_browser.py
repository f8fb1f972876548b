"""Runs in a real browser: a failed call is read, a change is reviewed and applied, and a run is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from orchestration.events.runs import ArtifactWritten
from orchestration.storage.runs import Run
from tests.integration.agents.rooms import ScriptedModel, calls, configure, says
from tests.support.browser import SCREENS, Opener, has_not_moved, mark, violations
from tests.support.dashboard import Dashboard, a_dashboard
from tests.support.patience import patient
from tests.support.repositories import make_repository

APP = "def total(prices):\n    return sum(prices)\n\n\ndef mean(prices):\n    return total(prices) / len(prices)\n"
BETTER = APP.replace(
    "    return total(prices) / len(prices)", '    return total(prices) / len(prices) if prices else "<b>0</b>"'
)
REVIEW = {
    "verdict": "approved",
    "summary": "It does what was asked.",
    "findings": [{"severity": "note", "message": "A number would be better.", "file": "app.py", "line": 6}],
}


def script(body: dict[str, Any]) -> Any:
    """An executor that changes a file, and a reviewer; what is asked with the word `xyzzy` is refused."""
    said = str(body["messages"])
    if "xyzzy" in said:
        return 400
    if "Role: reviewer" in said:
        return says(REVIEW)
    if any(message["role"] == "tool" for message in body["messages"]):
        return says({"summary": "changed it", "done": True})
    return calls(("write_file", {"path": "app.py", "content": BETTER}))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_repository(tmp_path_factory.mktemp("repository") / "shop")
    (root / "app.py").write_text(APP)
    return root


@pytest.fixture(scope="module")
def dashboard(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    agents = [
        {"id": "executor", "role": "executor", "tools": ["write_file", "read_file"]},
        {"id": "reviewer", "role": "reviewer", "tools": []},
    ]
    with ScriptedModel(script) as model:
        file = configure(tmp_path_factory.mktemp("project"), model.url, agents)
        with a_dashboard(file) as one:
            yield one
            assert one.faults == []


@pytest.fixture
def opened(opener: Opener, dashboard: Dashboard) -> Opener:
    return partial(opener, dashboard.url)


def ended(dashboard: Dashboard, repository: Path, goal: str, *statuses: str) -> Run:
    run: Run = dashboard.call(lambda: dashboard.app.launcher.start(goal, repository))
    dashboard.wait_for(run, *statuses)
    return dashboard.app.runs.get(run.id)


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


@SCREENS
def test_a_failed_model_call_is_read(
    dashboard: Dashboard, opened: Opener, repository: Path, screen: Mapping[str, Any]
) -> None:
    run = ended(dashboard, repository, "say xyzzy", "failed")
    page = opened(f"/runs/{run.id}", screen)
    expect(page.locator("h1")).to_contain_text("say xyzzy")
    mark(page)
    page.locator("details.call summary").filter(has_text="bad request").first.click()
    spoken = page.locator("details.call .spoken").first
    expect(spoken).to_contain_text("out of order")
    expect(spoken).to_contain_text("status 400")
    expect(spoken.locator("details.message", has_text="user").first).to_contain_text("say xyzzy")
    assert violations(page) == []
    assert fits(page)
    # What somebody has opened stays open when news of the run refreshes the page.
    dashboard.app.bus.publish(ArtifactWritten("extra.md", "0" * 64), run_id=run.id, agent="executor")
    expect(page.locator("ol.timeline")).to_contain_text("wrote extra.md")
    expect(spoken).to_contain_text("out of order")
    assert has_not_moved(page)


@SCREENS
def test_a_change_is_reviewed_and_applied(
    dashboard: Dashboard, opened: Opener, repository: Path, screen: Mapping[str, Any]
) -> None:
    (repository / "app.py").write_text(APP)
    run = ended(dashboard, repository, f"an empty list has a mean, {screen['color_scheme']}", "succeeded")
    page = opened(f"/runs/{run.id}", screen)
    expect(page.locator("table.diff")).to_contain_text('"<b>0</b>"')
    expect(page.locator("tr.comment")).to_contain_text("A number would be better.")
    expect(page.locator(".verdict")).to_contain_text("It does what was asked.")
    assert violations(page) == []
    page.get_by_role("link", name="side by side").click()
    expect(page.locator("table.diff.split .removed").first).to_be_visible()
    assert violations(page) == []
    assert fits(page)
    page.get_by_text("Apply the changes…").click()
    page.get_by_role("button", name="Apply", exact=True).click()
    expect(page.locator("p[role=status]")).to_contain_text("The changes are in the workspace.")
    expect(page.locator("section", has_text="Changes").first).to_contain_text("Applied to")
    assert (repository / "app.py").read_text() == BETTER


@SCREENS
def test_a_run_is_started_steered_and_compared_with_its_fork(
    dashboard: Dashboard, opened: Opener, repository: Path, screen: Mapping[str, Any]
) -> None:
    (repository / "app.py").write_text(APP)
    page = opened("/runs", screen)
    page.get_by_role("link", name="New run").click()
    page.get_by_label("Goal").fill("mend the mean")
    page.get_by_label("Workspace").fill(str(repository))
    page.get_by_label("Dollars").fill("0.5")
    expect(page.locator("#command")).to_contain_text(
        f"orchestrator run --workspace {repository} --usd 0.5 'mend the mean'"
    )
    assert violations(page) == []
    assert fits(page)
    page.get_by_label("Minutes").fill("soon")
    expect(page.locator("#command")).to_contain_text("expected a number from 1")
    page.get_by_label("Minutes").fill("5")
    page.get_by_label("Ask before these agents start").fill("reviewer")
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator(".ask")).to_contain_text("the agent reviewer starts: it reads", timeout=patient(30) * 1000)
    expect(page.locator(".ask")).to_contain_text("mend the mean")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("h1 .badge").first).to_have_text("succeeded", timeout=patient(30) * 1000)
    expect(page.locator("dl.figures")).to_contain_text("Took")
    page.get_by_text("Fork from here…").last.click()
    page.get_by_role("button", name="Fork the run").click()
    expect(page.locator("p[role=status]")).to_contain_text("Run forked")
    # The approval is among what it shares, so nobody is asked again.
    expect(page.locator("h1 .badge").first).to_have_text("succeeded", timeout=patient(30) * 1000)
    page.get_by_role("link", name="compare").click()
    expect(page.get_by_role("heading", name="A run and its fork")).to_be_visible()
    expect(page.locator("#files")).to_contain_text("app.py")
    assert violations(page) == []
    assert fits(page)

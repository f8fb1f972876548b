"""A drill is under way in the process behind the page, and somebody on call acts on it in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Page, expect

from orchestration.clock import SystemClock
from orchestration.drills import catalogue
from orchestration.drills.environment import DrillEnvironment, drill_environment
from orchestration.drills.project import laid_over
from tests.support.browser import PHONE, WIDE, Opener, has_not_moved, mark
from tests.support.first_user import first_user_signed_in
from tests.support.patience import patient

# An edit breaks an agent; to go back to the last good configuration takes a person's word.
(DRILL,) = catalogue.find(["configuration-breaks-agent"])
SHORTLY = {"response": {"stabilitySeconds": 2}}


@contextmanager
def ready(folder: Path) -> Iterator[tuple[DrillEnvironment, BlockingPortal]]:
    """The drill's project, served by a real control process with a real worker, up to the fault."""
    setting = replace(DRILL.setting, configuration=laid_over(DRILL.setting.configuration, SHORTLY))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(drill_environment(folder, setting, SystemClock())) as environment,
    ):
        portal.call(environment.serve)
        assert DRILL.prepare is not None
        portal.call(DRILL.prepare, environment)
        yield environment, portal


def see_question(page: Page) -> None:
    """It comes to the page, not the page to it."""
    title = re.compile("Put the last version with which these agents succeeded in force")
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    assert has_not_moved(page)


def test_an_incident_is_acknowledged_and_an_approval_given_while_a_drill_runs(opener: Opener, tmp_path: Path) -> None:
    """Acknowledged on a telephone, approved at a desk, and both pages follow."""
    with ready(tmp_path) as (environment, portal):
        phone = first_user_signed_in(opener, environment.configuration_file, environment.control.output, PHONE)
        mark(phone)
        portal.start_task_soon(DRILL.inject, environment)
        phone.get_by_role("link", name=re.compile("P2: .*own-code")).first.click(timeout=patient(30) * 1000)
        expect(phone.locator("h1 .badge.label")).to_have_text("drill")
        desk = opener(environment.address, phone.url, WIDE, storage_state=phone.context.storage_state())
        mark(desk)
        phone.get_by_role("button", name="Acknowledge").click()
        expect(phone.locator("p[role=status]")).to_contain_text("Incident acknowledged")
        mark(phone)
        see_question(desk)
        see_question(phone)
        desk.get_by_label("Reason").first.fill("the edit was mine")
        desk.get_by_role("button", name="Approve", exact=True).click()
        expect(desk.locator("p[role=status]")).to_contain_text("Approved. Work continues")
        mark(desk)
        for page in (phone, desk):
            expect(page.locator("h1 .badge").nth(1)).to_have_text("mitigated", timeout=patient(30) * 1000)
            assert has_not_moved(page)
        # The pinned version is a workaround: the person who has mended the file says so.
        duty = phone.locator("section[aria-labelledby=open] li", has_text="mend the configuration file")
        duty.get_by_text("Done…").click()
        duty.get_by_label("What shows that it is done").fill("the edit is taken back")
        duty.get_by_role("button", name="Mark as done").click()
        expect(phone.locator("p[role=status]")).to_contain_text("Duty marked as done")
        for page in (phone, desk):
            expect(page.locator("h1 .badge").nth(1)).to_have_text("resolved", timeout=patient(30) * 1000)
            expect(page.locator("ol.timeline")).to_contain_text("acknowledged by user ada")
        phone.close()
        desk.goto("/audit")
        for act in ("acknowledge", "approve"):
            row = desk.locator("tr", has_text=re.compile(f"POST /incidents/.*/{act}"))
            expect(row).to_contain_text("ada")
        desk.goto("/figures")
        incidents = desk.locator(".figure", has=desk.get_by_text("Incidents", exact=True))
        expect(incidents.locator("dd")).to_have_text(re.compile("^0 in the last"))
        desk.close()

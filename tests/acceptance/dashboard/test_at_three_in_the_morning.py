"""Somebody on call is woken by a mail, and mends a provider from a telephone: the whole product, a real mail, a real
browser."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.support.browser import PHONE, Opener, violations
from tests.support.first_user import first_user_signed_in
from tests.support.patience import patient
from tests.support.project import provider_at, wait_until
from tests.support.rehearsal import a_provider
from tests.support.watched import PROBED_SOON, Watched, a_watched_project

CAREFUL = {"enabled": True, "actions": {"provider.route": "ask"}}


def link_in_the_mail(project: Watched) -> str:
    """The address of the incident in the mail that asks for an approval."""
    wait_until(lambda: project.mails("APPROVAL NEEDED"), "for the mail")
    text = project.mails("APPROVAL NEEDED")[0].get_content()
    assert "Likely: " in text
    found = re.search(r"Incident: \S+ (http\S+)", text)
    assert found is not None, text
    return found[1]


def is_in_sight(one: Locator, page: Page) -> bool:
    """Whether all of it is on the screen, without scrolling."""
    box = one.bounding_box()
    assert box is not None
    height = page.viewport_size["height"] if page.viewport_size else 0
    return page.evaluate("scrollY") == 0 and box["y"] >= 0 and box["y"] + box["height"] <= height


def test_from_the_mail_to_a_mended_provider_in_two_taps(opener: Opener, tmp_path: Path) -> None:
    with a_provider() as first, a_provider() as second:
        providers = {
            "first": provider_at(first.url, breaker=PROBED_SOON),
            "second": provider_at(second.url, breaker=PROBED_SOON),
        }
        with a_watched_project(tmp_path / "p", providers, automation=CAREFUL) as project:
            serving = project.serve()
            page = first_user_signed_in(opener, project.configuration_file, serving.output, PHONE)
            expect(page.locator("#stream")).to_have_text("live")
            first.kill()
            address = link_in_the_mail(project)
            # The first tap.
            page.goto(address)
            for fact in ("Since", "Why P2", "Impact", "Likely", "Tried"):
                expect(page.locator(".brief dt", has_text=fact)).to_be_visible()
            approve = page.get_by_role("button", name="Approve and take it")
            assert is_in_sight(page.locator("h1"), page)
            assert is_in_sight(approve, page)
            assert violations(page) == []
            # The second tap: the provider is routed around, and the incident is hers.
            approve.click()
            expect(page.locator("p[role=status]")).to_contain_text("Approved and acknowledged")
            expect(page.locator("h1 .badge").nth(1)).to_have_text("mitigated", timeout=patient(30) * 1000)
            expect(page.locator(".brief")).to_contain_text("Send all work to the best provider that answers: helped")
            expect(page.locator(".brief")).to_contain_text("user ada")
            assert project.call_json("providers", "list")
            routed = page.locator(".options li", has_text="calls go to")
            expect(routed.get_by_role("button", name="Undo it", exact=True)).to_be_visible()
            first.start()
            expect(page.locator("h1 .badge").nth(1)).to_have_text("resolved", timeout=patient(30) * 1000)
            page.close()

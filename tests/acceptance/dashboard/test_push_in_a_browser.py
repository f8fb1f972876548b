"""The page for push messages in a real browser: what it says where nothing can be subscribed, and what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
from playwright.sync_api import Browser, Playwright, expect

from orchestration.domain.message_verb import MessageVerb
from orchestration.notifications.channels.channel import ChannelMessage
from orchestration.notifications.channels.web_push import payload
from orchestration.notifications.message_links import MessageLink
from tests.support.browser import CHROMIUM, Opener, chromium
from tests.support.dashboard import Dashboard, a_dashboard
from tests.support.notices import NOON, a_notice
from tests.support.patience import until
from tests.support.project import ProjectFolder


@pytest.fixture(scope="module")
def dashboard(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    project = ProjectFolder(tmp_path_factory.mktemp("project"), {})
    people = [{"id": "ada", "level": 1, "channels": [{"channel": "push", "address": "ada"}, {"channel": "log"}]}]
    channels = {"push": {"type": "web-push", "sender": "ops@example.org"}}
    project.configure({**project.settings, "response": {"channels": channels, "contacts": people}})
    with a_dashboard(project.configuration_file) as one:
        yield one
        assert one.faults == []


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The whole browser: its shell has no push messages."""
    with chromium(playwright, CHROMIUM) as one:
        yield one


@pytest.fixture
def opened(opener: Opener, dashboard: Dashboard) -> Opener:
    return partial(opener, dashboard.url)


def test_a_browser_without_its_push_service_says_so_and_subscribes_nothing(opened: Opener) -> None:
    page = opened("/on-call", permissions=["notifications"])
    form = page.locator("#push")
    # The service worker is registered under the page's own policy; without network Chromium cannot subscribe.
    page.get_by_role("button", name="Notify me on this device").click()
    expect(form.get_by_role("status")).to_contain_text("othing was subscribed")
    expect(page.get_by_text("None is subscribed.")).to_be_visible()
    assert page.evaluate("navigator.serviceWorker.getRegistration('/static/').then(one => one.scope)").endswith(
        "/static/"
    )
    expect(form.get_by_role("button")).to_be_enabled()


def test_a_browser_that_has_refused_notifications_says_what_to_do(opened: Opener) -> None:
    page = opened("/on-call")
    page.add_init_script("Object.defineProperty(Notification, 'permission', {get: () => 'denied'})")
    page.reload()
    expect(page.locator("#push").get_by_role("status")).to_contain_text("Allow them in the browser's settings")
    expect(page.locator("#push").get_by_role("button")).to_be_disabled()


def test_a_message_that_is_pushed_is_shown_with_its_button(dashboard: Dashboard, opened: Opener) -> None:
    page = opened("/on-call", permissions=["notifications"])
    page.evaluate("navigator.serviceWorker.register('/static/push-worker.js', {scope: '/static/'})")
    worker = "navigator.serviceWorker.getRegistration('/static/')"
    until(lambda: page.evaluate(f"{worker}.then(one => one?.active?.state)") == "activated", 20, "it is not active")
    registrations: list[str] = []
    session = page.context.new_cdp_session(page)
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(one["registrationId"] for one in event["registrations"]),
    )
    session.send("ServiceWorker.enable")
    until(lambda: page.evaluate("1") and registrations, 20, "the browser does not name its workers")
    link = "https://ops.example.org/answer/orclink_x"
    notice = replace(a_notice(), url=f"{dashboard.url}/incidents/inc-01")
    links = (MessageLink(MessageVerb.ACKNOWLEDGE, link, NOON),)
    message = ChannelMessage("k", "ada", "ada", "[INCIDENT] down", "details", notice, NOON, links=links)
    what = {"origin": dashboard.url, "registrationId": registrations[0], "data": payload(message).decode()}
    # As the browser does it when its push service has delivered a message.
    session.send("ServiceWorker.deliverPushMessage", what)
    shown = f"{worker}.then(one => one.getNotifications())"
    until(lambda: page.evaluate(f"{shown}.then(all => all.length)") == 1, 20, "nothing is shown")
    parts = "[one.title, one.body, one.tag, one.data, one.actions.map(each => each.title)]"
    assert page.evaluate(f"{shown}.then(([one]) => {parts})") == [
        "[INCIDENT] down",
        "details",
        "inc-01",
        {"url": notice.url, "acknowledge": link},
        ["Acknowledge"],
    ]


# As a push service does it now and then. Browsers let only their own events wait, so the test keeps the promise.
_RENEWED = """fresh => {
    const event = new Event("pushsubscriptionchange");
    event.oldSubscription = { endpoint: "https://push.example.com/1" };
    event.newSubscription = { endpoint: "https://push.example.com/2", getKey: () => new Uint8Array(16) };
    self.fetch = async (path, options) => {
        self.asked = [path, options.method, JSON.parse(options.body)];
        return new Response("{}", { status: fresh });
    };
    event.waitUntil = (work) => { self.work = work; };
    self.dispatchEvent(event);
    return self.work.then(() => self.registration.getNotifications())
        .then((all) => [self.asked, all.map((one) => [one.title, one.data.url])]);
}"""


def test_a_subscription_that_is_replaced_is_renewed_and_a_device_that_nobody_knows_says_so(opened: Opener) -> None:
    page = opened("/on-call", permissions=["notifications"])
    with page.context.expect_event("serviceworker") as begun:
        page.evaluate("navigator.serviceWorker.register('/static/push-worker.js', {scope: '/static/'})")
    worker = begun.value
    until(lambda: worker.evaluate("self.registration.active?.state") == "activated", 20, "it is not active")
    asked, shown = worker.evaluate(_RENEWED, 201)
    assert (asked[:2], shown) == (["/api/v1/push/devices", "POST"], [])
    assert asked[2] == {
        "endpoint": "https://push.example.com/2",
        "p256dh": "A" * 22,
        "auth": "A" * 22,
        "replaces": "https://push.example.com/1",
    }
    _, shown = worker.evaluate(_RENEWED, 401)
    assert shown == [["This device gets no more pages", "/on-call"]]

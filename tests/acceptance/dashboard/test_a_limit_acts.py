"""A slider is moved, and a provider that is asked without a pause has fewer calls in flight: two, none, all again."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
from playwright.sync_api import Page, expect

from orchestration.app import Application
from orchestration.config.overrides import LimitProvider
from orchestration.providers.wire import GatewayCall
from tests.support.browser import SCREENS, Opener, has_not_moved, mark
from tests.support.dashboard import a_dashboard
from tests.support.patience import Stopwatch
from tests.support.project import ProjectFolder, provider_at, wait_until

CALLERS = 6
_ANSWER_SECONDS = 0.1
_ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class Busy:
    """A provider that takes its time, and counts the calls that are in its hands."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._lock = threading.Lock()

    def count(self, change: int) -> None:
        with self._lock:
            self.in_flight += change

    def most_within(self, seconds: float) -> int:
        """The most calls at once that are seen in so many seconds."""
        watch, most = Stopwatch(), 0
        while watch.seconds < seconds:
            most = max(most, self.in_flight)
            time.sleep(0.005)
        return most


@contextmanager
def busy_provider() -> Iterator[tuple[Busy, str]]:
    """Serve it; yields it and its address."""
    busy = Busy()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": "rehearsal-1", "object": "model"}]})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            busy.count(+1)
            time.sleep(_ANSWER_SECONDS)
            busy.count(-1)
            self._send(_ANSWER)

        def _send(self, data: Any) -> None:
            body = json.dumps(data).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(BrokenPipeError):  # a probe is sent twice, and one answer is enough
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield busy, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def ask_without_end(app: Application) -> None:
    """So many callers, each of which asks again as soon as it has been answered."""

    async def ask() -> None:
        body = {"messages": [{"role": "user", "content": "Is it up?"}]}
        while True:
            await app.gateway.complete(body, GatewayCall(agent="crowd"))

    async with anyio.create_task_group() as group:
        for _ in range(CALLERS):
            group.start_soon(ask)


def move(page: Page, to: int) -> None:
    """Move the slider by its keys."""
    section = page.locator("#provider-busy")
    slider = section.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    for _ in range(to):
        slider.press("ArrowRight")
    expect(section.locator(".slider output")).to_have_text(str(to))


def limit(page: Page, to: int) -> None:
    """Move the slider, and set the limit."""
    move(page, to)
    section = page.locator("#provider-busy")
    section.get_by_label("Reason").first.fill("it is too much for it")
    section.get_by_role("button", name="Set limit").click()
    expect(page.locator("p[role=status]")).to_contain_text("Limit set")


@SCREENS
def test_a_limit_that_is_changed_is_seen_to_act_at_the_provider_and_on_the_page(
    opener: Opener, tmp_path: Path, screen: Mapping[str, Any]
) -> None:
    with busy_provider() as (busy, url):
        provider = provider_at(url, concurrency=CALLERS, auth="none", streaming=False)
        project = ProjectFolder(tmp_path / "project", {"busy": provider})
        with a_dashboard(project.configuration_file) as dashboard:
            asking = dashboard.portal.start_task_soon(ask_without_end, dashboard.app)
            wait_until(lambda: busy.in_flight == CALLERS, "for all callers to be served")
            page = opener(dashboard.url, "/providers", screen)
            busy_one = page.locator("#provider-busy")
            in_use = busy_one.locator(".figure", has_text="Concurrent calls").locator("dd")
            expect(in_use).to_contain_text(f"{CALLERS} of {CALLERS}")

            limit(page, 2)
            wait_until(lambda: busy.most_within(0.5) == 2, "for the calls to become fewer")
            expect(in_use).to_contain_text("2 of 2")

            limit(page, 0)
            expect(busy_one.locator("h2 .badge").first).to_have_text("paused")
            wait_until(lambda: busy.most_within(0.3) == 0, "for the calls to end")

            end_now = busy_one.get_by_role("button", name="End now")
            for left in (1, 0):
                end_now.first.click()
                expect(end_now).to_have_count(left)
                expect(page.locator("p[role=status]")).to_contain_text("Override ended")
            mark(page)
            wait_until(lambda: busy.in_flight == CALLERS, "for all callers to be served again")
            expect(in_use).to_contain_text(f"{CALLERS} of {CALLERS}")
            assert has_not_moved(page)
            asking.cancel()
            page.close()


def test_what_somebody_is_filling_in_is_left_alone_when_the_page_is_brought_up_to_date(
    opener: Opener, tmp_path: Path
) -> None:
    """Somebody else sets a limit meanwhile: the page shows theirs, and the form keeps what is to be sent."""
    with busy_provider() as (_, url):
        provider = provider_at(url, concurrency=CALLERS, auth="none", streaming=False)
        project = ProjectFolder(tmp_path / "project", {"busy": provider})
        with a_dashboard(project.configuration_file) as dashboard:
            page = opener(dashboard.url, "/providers")
            section = page.locator("#provider-busy")
            mark(page)
            move(page, 2)
            section.get_by_label("Reason").first.fill("half a reason")

            change = LimitProvider(target="busy", concurrency=4)
            dashboard.app.store.add_override(change, reason="theirs", actor="grace", seconds=600)

            expect(section.locator("form.override")).to_contain_text("by grace: theirs")
            expect(section.locator(".figure", has_text="Concurrent calls").locator("dd")).to_contain_text("of 4")
            expect(section.locator(".slider output")).to_have_text("2")
            expect(section.get_by_role("slider")).to_have_value("2")
            expect(section.get_by_label("Reason").first).to_have_value("half a reason")
            assert has_not_moved(page)
            section.get_by_role("button", name="Set limit").click()
            expect(page.locator("p[role=status]")).to_contain_text("Limit set")
            expect(section.locator("form.override").last).to_contain_text("to 2 by ada: half a reason")
            page.close()

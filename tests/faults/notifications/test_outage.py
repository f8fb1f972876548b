"""Six hours in which receivers refuse, hang, answer 429, greylist, and take messages without saying so."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from orchestration.clock import FakeClock
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.sender import OutboxSender
from tests.integration.notifications.conftest import SenderBench
from tests.support.database import migrated
from tests.support.notices import NOON, a_notice, a_response
from tests.support.receivers import Mailbox, mail_server

HOURS = 6
MARK = re.compile(r"notice-\d+")
AGAIN = "Sent again, since no answer confirmed that it had arrived"
# The paths of the receivers, by the names of their channels.
CHANNELS = {
    "hook": {"type": "webhook"},
    "slack": {"type": "slack"},
    "bot": {"type": "slack-bot", "tokenEnv": "BOT"},
    "teams": {"type": "teams"},
    "pager": {"type": "pagerduty", "routingKeyEnv": "PAGER"},
}


@dataclass
class Arrivals:
    """What each recipient got, in the order of its arrival: the notice's mark, and whether it says that it is a
    repetition."""

    by_recipient: defaultdict[str, list[tuple[str, bool]]] = field(default_factory=lambda: defaultdict(list))
    lost_answers: set[tuple[str, str]] = field(default_factory=set)

    def add(self, recipient: str, text: str, *, answered: bool) -> None:
        (mark,) = set(MARK.findall(text))
        self.by_recipient[recipient].append((mark, AGAIN in text))
        if not answered:
            self.lost_answers.add((recipient, mark))


class Weather:
    """Which fault comes next, drawn from a seed while the outage lasts."""

    def __init__(self, seed: int, clock: FakeClock) -> None:
        self._random = random.Random(seed)
        self._clock = clock
        self._lock = threading.Lock()

    @property
    def is_bad(self) -> bool:
        return self._clock.now() < NOON + timedelta(hours=HOURS)

    def draw(self, *faults: str) -> str:
        with self._lock:
            return self._random.choice(faults) if self.is_bad else "accept"

    def named_time(self) -> str:
        """A Retry-After, in seconds or as a date."""
        with self._lock:
            wait = self._random.choice((1, 30, 600, 90_000))
            at = (self._clock.now() + timedelta(seconds=wait)).astimezone(UTC)
            return self._random.choice((str(wait), format_datetime(at, usegmt=True)))


@contextmanager
def chat_servers(weather: Weather, arrivals: Arrivals) -> Iterator[str]:
    """All receivers that take HTTP, one for each first part of the path."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            recipient = self.path.split("/")[1]
            fault = weather.draw("refuse", "refuse", "limit", "limit", "hang", "cut", "cut", "drop", "accept")
            # An update only changes the message that is there.
            if fault in ("accept", "cut") and not self.path.endswith("chat.update"):
                arrivals.add(recipient, text, answered=fault == "accept")
            if fault in ("cut", "drop", "hang"):
                if fault == "hang":
                    time.sleep(0.6)
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(fault)

        def _answer(self, fault: str) -> None:
            slack_bot = self.path.startswith("/bot")
            body = b'{"ok": true, "ts": "1.5", "channel": "C1"}' if fault == "accept" else b'{"ok": false}'
            limited = fault == "limit"
            # Slack's own API answers 200 to most of what it refuses.
            if slack_bot and fault == "refuse":
                body = b'{"ok": false, "error": "service_unavailable"}'
            self.send_response(200 if fault == "accept" or (slack_bot and not limited) else 429 if limited else 503)
            if limited:
                self.send_header("retry-after", weather.named_time())
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class MoodyMailbox(Mailbox):
    """A mail server that greylists, gives up, and takes mails without saying so."""

    def __init__(self, weather: Weather, arrivals: Arrivals) -> None:
        super().__init__()
        self._weather, self._arrivals = weather, arrivals

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's names)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._weather.draw("greylist", "accept") == "greylist":
            return "451 4.7.1 greylisted, try again later"
        return await super().handle_RCPT(server, session, envelope, address, options)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        fault = self._weather.draw("busy", "cut", "drop", "accept")
        if fault == "busy":
            return "421 4.3.2 too busy"
        if fault != "drop":
            assert isinstance(envelope.content, bytes)
            self._arrivals.add("mail", envelope.content.decode(), answered=fault == "accept")
        if fault in ("cut", "drop"):
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        return "250 taken"


async def pass_a_minute(sender: OutboxSender, clock: FakeClock) -> None:
    """Send what is due, for which channels with a rate wait by the clock; then go on to the next minute."""
    end = clock.monotonic() + 60
    sent = anyio.Event()

    async def send() -> None:
        await sender.send_due()
        sent.set()

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        while not sent.is_set():
            await anyio.sleep(0.005)
            await clock.advance(0.1)
    await clock.advance(max(0.0, end - clock.monotonic()))


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_the_order_is_kept_and_what_may_be_doubled_says_so(seed: int, tmp_path: Path) -> None:
    clock, arrivals = FakeClock(NOON), Arrivals()
    weather = Weather(seed, clock)
    database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    with (
        chat_servers(weather, arrivals) as url,
        mail_server(MoodyMailbox(weather, arrivals)) as (_, port),
    ):
        channels = {name: {**kind, "url": f"{url}/{name}", "timeout": 0.5} for name, kind in CHANNELS.items()}
        mail = {"type": "email", "host": "127.0.0.1", "port": port, "tls": "none", "sender": "us@example.org"}
        settings = a_response({"ada": (*channels, "mail")}, **channels, mail={**mail, "timeout": 0.5})
        bench = SenderBench(database, clock, settings, credentials={"BOT": "xoxb-1", "PAGER": "R0123456789"})
        sender = bench.sender()
        put = 0
        # Half an hour after the outage everything has to be there: an hour's Retry-After is the longest that is kept.
        for minute in range((HOURS + 2) * 60):
            if minute % 30 == 0 and weather.is_bad:
                kind = NoticeKind.UPDATE if put else NoticeKind.INITIAL
                bench.put(a_notice(kind, impact=f"notice-{put:02}", details=f"notice-{put:02}"), f"step-{put:02}")
                put += 1
            await pass_a_minute(sender, clock)
        states = {key: state for key, state in bench.states().items() if ":ada:" in key}
        await bench.channels.__aexit__(None, None, None)
    database.close()
    assert set(states.values()) == {"sent"}, states
    marks = [f"notice-{number:02}" for number in range(put)]
    assert set(arrivals.by_recipient) == {*CHANNELS, "mail"}
    for recipient, got in arrivals.by_recipient.items():
        seen = list(dict.fromkeys(mark for mark, _ in got))
        assert seen == marks, recipient
        for number, (mark, again) in enumerate(got):
            before = [other for other, _ in got[:number]]
            if mark in before:
                assert (recipient, mark) in arrivals.lost_answers
                assert again or recipient == "pager", (recipient, mark)
    assert any(len(got) > put for got in arrivals.by_recipient.values()), "no answer was lost: the test shows nothing"

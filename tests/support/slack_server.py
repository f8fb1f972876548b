"""A server of the shape of Slack's Web API, as far as messages are concerned: it keeps channels, and checks what Slack
checks (https://docs.slack.dev/reference/methods/chat.postMessage)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class SlackMessage:
    """A posted message, as people see it."""

    ts: str
    channel: str
    content: dict[str, Any]
    thread: str = ""
    edits: int = 0


@dataclass
class SlackServer:
    """The workspace. `errors` are answered one after the other instead of doing what was asked."""

    token: str = "xoxb-1"
    messages: list[SlackMessage] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    limits: int = 0
    calls: list[str] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def roots(self) -> list[SlackMessage]:
        """The messages that are no answers in a thread."""
        return [each for each in self.messages if not each.thread]

    def thread(self, ts: str) -> list[SlackMessage]:
        """The answers in a thread."""
        return [each for each in self.messages if each.thread == ts]

    def answer(self, method: str, authorization: str, data: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(method)
        if authorization != f"Bearer {self.token}":
            return {"ok": False, "error": "invalid_auth"}
        if self.errors:
            return self.errors.pop(0)
        if not data["channel"].startswith(("C", "D", "U")):
            return {"ok": False, "error": "channel_not_found"}
        return self.post(data) if method == "chat.postMessage" else self.update(data)

    def post(self, data: dict[str, Any]) -> dict[str, Any]:
        # A message to a person is posted in their direct messages, which have an id of their own.
        channel = data["channel"].replace("U", "D", 1)
        ts = f"1700000000.{len(self.messages):06}"
        if (thread := data.get("thread_ts", "")) and not any(each.ts == thread for each in self.messages):
            return {"ok": False, "error": "thread_not_found"}
        self.messages.append(SlackMessage(ts, channel, data, thread))
        return {"ok": True, "channel": channel, "ts": ts, "message": data}

    def update(self, data: dict[str, Any]) -> dict[str, Any]:
        found = [each for each in self.messages if (each.channel, each.ts) == (data["channel"], data["ts"])]
        if not found:
            return {"ok": False, "error": "message_not_found"}
        found[0].content, found[0].edits = data, found[0].edits + 1
        return {"ok": True, "channel": data["channel"], "ts": data["ts"]}


@contextmanager
def slack_server() -> Iterator[SlackServer]:
    """A running server; `limits` requests are answered with 429 first."""
    slack = SlackServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with slack.lock:
                limited = slack.limits > 0
                slack.limits -= limited
                method = self.path.removeprefix("/api/")
                answer = {} if limited else slack.answer(method, self.headers.get("authorization", ""), data)
            body = json.dumps(answer).encode()
            self.send_response(429 if limited else 200)
            self.send_header("content-length", str(len(body)))
            self.send_header("retry-after", "1")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        slack.url = f"http://127.0.0.1:{server.server_port}/api"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield slack
        finally:
            server.shutdown()
            thread.join()

"""A server in front of a provider that asks for a key, and tells the key to everybody, as careless servers do."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.patience import patient


class Gatekeeper:
    """Lets through who brings `key`; with a wrong one, the answer is a 401 that repeats it.

    `echo` answers every question itself, with the key that came.
    """

    def __init__(self, behind: str, key: str, *, echo: bool = False) -> None:
        self.behind = behind
        self.key = key
        self.echo = echo
        self.keys_seen: list[str] = []
        self.url = ""

    def answer(self, path: str, key: str, body: bytes | None) -> tuple[int, str, bytes]:
        """Status, content type and body for a request."""
        self.keys_seen.append(key)
        if self.echo and path.endswith("/chat/completions"):
            return 200, "application/json", json.dumps(_saying(f"Your key is {key}. Keep it safe.")).encode()
        if key != self.key:
            error = {"message": f"Incorrect API key provided: {key}.", "type": "invalid_request_error"}
            return 401, "application/json", json.dumps({"error": error}).encode()
        request = urllib.request.Request(self.behind + path, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=patient(30)) as answer:
            return answer.status, answer.headers["content-type"], answer.read()


def _saying(text: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "rehearsal-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


@contextmanager
def a_gatekeeper(behind: str, key: str, *, echo: bool = False) -> Iterator[Gatekeeper]:
    """A running gatekeeper."""
    keeper = Gatekeeper(behind, key, echo=echo)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self, body: bytes | None) -> None:
            key = self.headers.get("authorization", "").removeprefix("Bearer ")
            status, kind, answer = keeper.answer(self.path, key, body)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            self._handle(None)

        def do_POST(self) -> None:
            self._handle(self.rfile.read(int(self.headers["content-length"])))

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        keeper.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield keeper
        finally:
            server.shutdown()
            thread.join()

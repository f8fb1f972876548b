"""A model's server as a process of its own, as people run them: one request at a time, or several in threads.

`python -m tests.support.slow_server PORT_FILE {single|threads} {burn|sleep} SECONDS TOKENS COMMAND` reads the prompt
for so many seconds, then streams so many tokens, one in a tenth of a second. With a command, which is a shell's, it
asks for that first.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

from tests.support.patience import until


@dataclass(frozen=True)
class SlowServer:
    """The running process and its address."""

    process: subprocess.Popen[bytes]
    url: str


@contextlib.contextmanager
def slow_server(
    folder: Path, how: str, work: str, seconds: float, tokens: int = 1, command: str = ""
) -> Iterator[SlowServer]:
    """Run one for as long as the block lasts."""
    port = folder / f"{how}-{work}.port"
    program = [sys.executable, "-m", __name__, str(port), how, work, str(seconds), str(tokens), command]
    with subprocess.Popen(program, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: port.is_file() and bool(port.read_text()), 20)
            yield SlowServer(process, f"http://127.0.0.1:{port.read_text()}")
        finally:
            process.kill()


def _handler(work: str, seconds: float, tokens: int, command: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._begin("application/json", b'{"data": [], "models": []}')

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            begun = time.monotonic()
            while (left := seconds - (time.monotonic() - begun)) > 0:
                if work == "sleep":
                    time.sleep(left)
            self._begin("text/event-stream")
            wants_tool = command and not any(message["role"] == "tool" for message in asked["messages"])
            if wants_tool:
                arguments = json.dumps({"command": ["sh", "-c", command]})
                function = {"name": "run_command", "arguments": arguments}
                self._send({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}, None)
            else:
                for number in range(tokens):
                    self._send({"content": f"word{number} "}, None)
                    time.sleep(0.1)
            self._send({}, "tool_calls" if wants_tool else "stop")
            self.wfile.write(b"data: [DONE]\n\n")

        def _begin(self, kind: str, body: bytes = b"") -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def _send(self, delta: dict[str, object], finish: str | None) -> None:
            chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.wfile.flush()

    return Handler


def _serve(port_file: str, how: str, work: str, seconds: str, tokens: str, command: str) -> None:
    kind = ThreadingHTTPServer if how == "threads" else HTTPServer
    server = kind(("127.0.0.1", 0), _handler(work, float(seconds), int(tokens), command))
    Path(port_file).write_text(str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    _serve(*sys.argv[1:])

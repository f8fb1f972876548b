"""The whole application in a temporary folder, on models that follow a script, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from orchestration.app import Application, application
from orchestration.events import Event
from orchestration.storage.runs import Run
from tests.support.patience import until_async

Script = Callable[[dict[str, Any]], dict[str, Any] | int]


def says(content: Any) -> dict[str, Any]:
    """An answer in words, or in JSON."""
    return {"content": content if isinstance(content, str) else json.dumps(content)}


def calls(*named: tuple[str, Any]) -> dict[str, Any]:
    """An answer that asks for tools."""
    return {
        "content": None,
        "tool_calls": [
            {
                "id": f"c{number}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
                },
            }
            for number, (name, arguments) in enumerate(named)
        ],
    }


def refuses(message: str) -> dict[str, Any]:
    """A request that is refused with 400."""
    return {"refused": {"message": message, "type": "invalid_request_error"}}


# Whatever the files are: a change that there is counts more.
DONE = says({"summary": "did it", "done": True, "nothing_to_change": True})


def looks(body: dict[str, Any]) -> dict[str, Any]:
    """An executor that has a look, or writes something, and is done: a report of one that has done neither would not
    count."""
    begun = any(message["role"] in ("tool", "assistant") for message in body["messages"])
    offered = {tool["function"]["name"] for tool in body.get("tools", ())}
    first = {"list_files": ("list_files", {}), "write_file": ("write_file", {"path": "done.txt", "content": "x\n"})}
    name = next((name for name in first if name in offered), None)
    return DONE if begun or name is None else calls(first[name])


class ScriptedModel:
    """A provider of its own that gives what a function says; a number is a status without an answer."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                model.asked.append(body)
                model.headers.append({name.lower(): value for name, value in self.headers.items()})
                answer = model.script(body)
                if answer is DONE:
                    answer = looks(body)
                if isinstance(answer, int):
                    self._send(answer, {"error": {"message": "out of order", "type": "server_error"}})
                    return
                if "refused" in answer:
                    self._send(400, {"error": answer["refused"]})
                    return
                finish = "tool_calls" if answer.get("tool_calls") else "stop"
                choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **answer}}
                usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
                self._send(200, {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})

            def _send(self, status: int, data: Any) -> None:
                content = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Rooms:
    """A project with one executor, and whatever else a test asks for."""

    def __init__(self, root: Path, app: Application) -> None:
        self.root = root
        self.app = app
        self.work = root / "work"
        self.events: list[Event] = []
        app.bus.subscribe(self.events.append)

    async def run(self, **values: Any) -> Run:
        """Start a run and wait for its end."""
        run = await self.start(**values)
        await self.app.engine.result(run.id)
        return await self.app.get_run(run.id)

    async def start(self, agent: str | None = "executor", goal: str = "mend it", **values: Any) -> Run:
        return await self.app.launcher.start(goal, self.work, agent=agent, **values)

    async def until(self, condition: Callable[[], Any], seconds: float = 15) -> Any:
        return await until_async(condition, seconds)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def failing(self) -> dict[str, Any]:
        """Why the last agent failed."""
        found: dict[str, Any] = self.of("agent.finished")[-1].data["failing"]
        return found


TOOLS = ["read_file", "write_file", "replace_in_file", "list_files", "search_files", "run_command"]


def configure(root: Path, url: str | None, agents: list[dict[str, Any]] | None = None, **runtime: Any) -> Path:
    """Write the configuration of a project; returns the file."""
    provider = {"type": "rehearsal"} if url is None else {"type": "openai", "baseUrl": url, "streaming": False}
    executor = {"id": "executor", "tools": TOOLS, "commands": ["sleep", "python3 -m unittest", "sh -c"]}
    file = root / "config" / "agents.config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    timeouts = {"connect": 2, "firstToken": 20, "nextToken": 5, "call": 30}
    breaker = {"failures": 2, "probeAfter": 0.2, "probeAtMost": 0.3}
    settings = {
        "runtime": {
            "defaultProvider": "own",
            "own": {"defaultModel": "m", "timeouts": timeouts, "breaker": breaker, **provider},
            **runtime,
        },
        "models": {"own": ["m"]},
        "agents": agents or [executor],
    }
    file.write_text(json.dumps(settings))
    (root / "work").mkdir(exist_ok=True)
    return file


@asynccontextmanager
async def rooms(
    root: Path, script: Script, agents: list[dict[str, Any]] | None = None, **runtime: Any
) -> AsyncIterator[tuple[Rooms, ScriptedModel]]:
    """A running application on a scripted model."""
    with ScriptedModel(script) as model:
        file = configure(root, model.url, agents, **runtime)
        async with application(str(file)) as app:
            yield Rooms(root, app), model

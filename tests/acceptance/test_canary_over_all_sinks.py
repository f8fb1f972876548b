"""Secrets through every entrance of a working system; then everything that it wrote, sent or showed is searched.

Known values come from `.env`, the others look like keys of vendors. Each is searched in all its everyday spellings.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from benchmarks.slips.wire import Body, ModelServer, Reply, ToolCall
from orchestration.security.value_spellings import spellings
from tests.support.console import ConsoleProject, wait_for_line
from tests.support.patience import patient, until
from tests.support.receivers import Answer, HttpReceiver, Mailbox, http_receiver, mail_server
from tests.support.secret_corpus import bare_tokens, made

_LOOK_SECONDS = 0.05
_VARIABLES = (
    "MODEL_KEY",
    "INTAKE_TOKEN",
    "HOOK_URL",
    "HOOK_SECRET",
    "BEAT_TOKEN",
    "DEAD_MAN_URL",
    "OTHER_PASSWORD",
    "APP_KEY",
)
_ENTRANCES = (
    "goal", "goal known", "file", "file known", "file name", "command output", "command argument", "model answer",
    "model answer known", "tool argument", "written file", "alert label", "alert annotation", "alert link", "alert key",
    "alert refused", "heartbeat", "webhook answer", "webhook answer known", "mail answer", "provider error",
    "incident title", "incident impact", "incident note", "incident note known", "silence comment", "silence matcher",
    "isolation reason", "user name", "user agent", "query", "path", "bad json", "token name", "token guessed",
    "override reason", "declared by console", "gateway prompt", "gateway model", "heartbeat known",
)  # fmt: skip
_SHORTEST = 8


class Canaries:
    """The secrets, by the entrance through which each goes."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        kinds = {one.kind: one.secret for one in bare_tokens(rng)}
        shaped = iter([secret for secret in kinds.values() if len(secret) >= 24][: len(_ENTRANCES)])
        self.variables = {name: made("{a12}-{w14}", rng) for name in _VARIABLES}
        known = iter(self.variables.values())
        self.by_entrance = {
            one: self.variables["APP_KEY"] if one.endswith(" known") else next(shaped) for one in _ENTRANCES
        }
        assert next(known)

    def __getitem__(self, entrance: str) -> str:
        return self.by_entrance[entrance]

    def forms(self) -> Mapping[bytes, str]:
        """Every spelling as it would stand in a file, and what it is of."""
        named = {**{f"the variable {name}": value for name, value in self.variables.items()}, **self.by_entrance}
        found: dict[bytes, str] = {}
        for name, value in named.items():
            for form in spellings(value):
                if len(form) >= _SHORTEST:
                    found.setdefault(form.encode("utf-8", "replace"), name)
        return found


class System:
    """The project, its surroundings, and what they got."""

    def __init__(self, root: Path, canaries: Canaries, stack: ExitStack) -> None:
        self.canaries = canaries
        self.project = ConsoleProject(root)
        self.model = ModelServer(self.answer)
        stack.callback(self.model.close)
        self.mailbox: Mailbox
        self.mailbox, self.mail_port = stack.enter_context(mail_server())
        self.hook: HttpReceiver = stack.enter_context(http_receiver())
        self.pings: HttpReceiver = stack.enter_context(http_receiver())
        self.arguments: set[str] = set()
        self.environments: set[str] = set()
        self.printed = ""
        self._configure()

    def answer(self, body: Body) -> Reply:
        """A model that reads, runs and writes what holds a secret, and repeats it."""
        one, tools = self.canaries, sum(message["role"] == "tool" for message in body["messages"])
        if not body.get("tools"):
            return Reply(f"The key is {one['model answer']}, and yours {one['model answer known']}.")
        command = [
            "python3",
            "-c",
            f"import os; print(open('keys.txt').read(), dict(os.environ)); print({one['command output']!r})",
        ]
        calls = [
            ("read_file", {"path": "notes.txt"}),
            ("list_files", {"path": "."}),
            ("run_command", {"command": command}),
            ("run_command", {"command": ["python3", "-c", "import time; time.sleep(1)", one["command argument"]]}),
            ("read_file", {"path": f"no-such-{one['tool argument']}.txt"}),
            ("write_file", {"path": "result.md", "content": f"# key {one['written file']}\n"}),
        ]
        if tools < len(calls):
            name, arguments = calls[tools]
            return Reply(f"with {one['model answer']}", (ToolCall(name, json.dumps(arguments), f"call_{tools}"),))
        return Reply(f"Done. The key is {one['model answer']}, and yours {one['model answer known']}.")

    def _configure(self) -> None:
        one, project = self.canaries, self.project
        values = dict(one.variables)
        values["HOOK_URL"] = f"{self.hook.url}/hooks/{one.variables['HOOK_URL']}"
        values["DEAD_MAN_URL"] = f"{self.pings.url}/ping/{one.variables['DEAD_MAN_URL']}"
        env = project.root / ".env"
        env.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        env.chmod(0o600)
        work = project.workspace
        (work / "notes.txt").write_text(f"token: {one['file']}\npassword = {one['file known']}\n")
        (work / "keys.txt").write_text(f"{one['file']} {one['file known']}\n")
        (work / f"{one['file name']}.txt").write_text("a file whose name holds a key\n")
        provider = {"enabled": True, "baseUrl": self.model.url, "defaultModel": "scripted", "apiKeyEnv": "MODEL_KEY"}
        mail = {"type": "email", "host": "127.0.0.1", "port": self.mail_port, "tls": "none", "sender": "o@example.org"}
        hook = {"type": "webhook", "urlEnv": "HOOK_URL", "secretEnv": "HOOK_SECRET"}
        project.document["runtime"] = {
            "defaultProvider": "openai", "openai": provider,
            "logDirectory": "logs", "artifactsDirectory": "artifacts", "stateDirectory": "var",
        }  # fmt: skip
        project.document["models"] = {"openai": ["scripted"]}
        tools = ["read_file", "list_files", "write_file", "run_command"]
        project.document["agents"] = [
            {"id": "scribe", "role": "worker", "tools": tools, "commands": ["python3"], "outputs": ["note.md"]}
        ]
        project.document["workflow"] = []
        project.document["alerting"] = {
            "intake": {"tokenEnv": "INTAKE_TOKEN"},
            "heartbeats": {"nightly": {"period": 3600, "tokenEnv": "BEAT_TOKEN"}},
        }
        project.document["response"] = {
            "deadManUrlEnv": "DEAD_MAN_URL",
            "channels": {"mail": mail, "hook": hook},
            "contacts": [
                {"id": "ada", "level": 1, "channels": [{"channel": "mail", "address": "ada@example.org"}]},
                {"id": "ben", "level": 1, "channels": [{"channel": "hook"}]},
            ],
        }
        project.write()

    @contextmanager
    def watching(self, process: psutil.Process) -> Iterator[None]:
        """Note arguments and environments of all that is started below a process."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_LOOK_SECONDS):
                self._look(process)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _look(self, process: psutil.Process) -> None:
        for child in process.children(recursive=True):
            try:
                self.arguments.add(" ".join(child.cmdline()))
                if "sleep(1)" in " ".join(child.cmdline()):
                    self.environments.add(repr(child.environ()))
            except psutil.Error:
                continue


@pytest.mark.timeout(300)
def test_no_secret_leaves_by_any_way(tmp_path: Path) -> None:
    seed = int(os.environ.get("ORCHESTRATOR_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    canaries = Canaries(seed)
    assert len(set(canaries.by_entrance.values()) | set(canaries.variables.values())) >= 40
    with ExitStack() as stack:
        system = System(tmp_path / "project", canaries, stack)
        started = stack.enter_context(system.project.started("serve", "--workers", "1", "--port", "0"))
        url = next(line for line in wait_for_line(started, "Ctrl-C") if "dashboard and API" in line).split()[-1]
        token = system.project.call("tokens", "create", "test", "--role", "admin").out.strip()
        client = stack.enter_context(
            httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=patient(30))
        )
        shown = {f"answer {name}": text for name, text in feed(system, client, psutil.Process(started.pid))}
        shown |= {f"GET {path}": text for path, text in read_everything(client)}
        shown["backup"] = system.project.call("backups", "make").out
        shown["digest"] = system.project.call("maintenance", "run", "digest").out
        for command in (("incidents", "list"), ("runs", "list", "--json"), ("status",), ("doctor",), ("audit", "list")):
            shown[f"console {command}"] = "".join(vars(system.project.call(*command))[key] for key in ("out", "err"))
        started.send_signal(signal.SIGTERM)
        shown["console of serve"] = started.communicate(timeout=patient(40))[0]
        assert started.returncode == 0
    assert system.environments, "the command has run"
    assert sum("[redacted:" in text for text in shown.values()) > 10, "what was let in is shown at all"
    found = [
        f"{name} in {place}"
        for place, data in [*((place, text.encode()) for place, text in shown.items()), *kept(system)]
        for name in leaks(data, canaries)
    ]
    assert found == [], f"seed {seed}:\n" + "\n".join(sorted(set(found)))


def feed(system: System, client: httpx2.Client, serve: psutil.Process) -> Iterator[tuple[str, str]]:
    """Let every secret in, and wait until all has been worked off; yields what was answered."""
    with system.watching(serve):
        yield from _worked_off(system, client)


def _worked_off(system: System, client: httpx2.Client) -> Iterator[tuple[str, str]]:
    one, project = system.canaries, system.project
    system.hook.answers = [Answer(500, f"wrong key {one['webhook answer']}, have {one['webhook answer known']}")]
    system.mailbox.replies = [f"451 try later with {one['mail answer']}"]
    for name, answer in requests(client, one, project):
        yield name, answer.text + str(answer.headers)
    declared = project.call("incidents", "declare", f"console {one['declared by console']}", "--severity", "P1")
    yield "declare", declared.out + declared.err

    def is_over() -> bool:
        runs = client.get("/api/v1/runs").json()["items"]
        return [run["status"] for run in runs] == ["succeeded"]

    until(is_over, seconds=90)
    # Only now: agents have no tools while the system is isolated.
    for method, reason in (("POST", "isolation reason"), ("DELETE", "override reason")):
        answer = client.request(method, "/api/v1/isolation", json={"reason": one[reason]})
        yield f"{method} isolation", answer.text + str(answer.headers)
    until(lambda: len(system.mailbox.mails) >= 2 and len(system.hook.received) >= 3, seconds=60)


def requests(client: httpx2.Client, one: Canaries, project: ConsoleProject) -> Iterator[tuple[str, httpx2.Response]]:
    goal = f"Copy notes.txt; sign in with {one['goal']} or {one['goal known']}"
    run = {"goal": goal, "workspace": str(project.workspace), "agent": "scribe"}
    yield "run", client.post("/api/v1/runs", json=run)
    bearer = {"Authorization": f"Bearer {one.variables['INTAKE_TOKEN']}"}
    beat = {"Authorization": f"Bearer {one.variables['BEAT_TOKEN']}"}
    alert = {
        "status": "firing",
        "labels": {"alertname": "Leak", "severity": "critical", "token": one["alert label"]},
        "annotations": {"summary": f"key {one['alert annotation']}"},
        "generatorURL": f"http://prometheus.example/graph?key={one['alert link']}",
        "startsAt": "2026-11-01T00:00:00Z",
    }
    body = {"version": "4", "groupKey": f"{{}}:{one['alert key']}", "alerts": [alert], "status": "firing"}
    answer = client.post("/api/v1/intake/alertmanager", json=body, headers=bearer)
    assert answer.status_code == 200, answer.text
    yield "alert", answer
    yield "refused", client.post("/api/v1/intake/webhook", json={"nonsense": one["alert refused"]}, headers=bearer)
    text = f"job failed: {one['heartbeat']} {one['heartbeat known']}"
    yield "heartbeat", client.post("/heartbeat/nightly/fail", content=text, headers=beat)
    incident = client.post(
        "/api/v1/incidents",
        json={"title": f"shop {one['incident title']}", "impact": one["incident impact"], "severity": "P1"},
    )
    assert incident.is_success, incident.text
    yield "incident", incident
    note = {"text": f"tried {one['incident note']} and {one['incident note known']}"}
    yield "note", client.post(f"/api/v1/incidents/{incident.json()['id']}/notes", json=note)
    silence = {"matchers": [f'token="{one["silence matcher"]}"'], "seconds": 60, "comment": one["silence comment"]}
    yield "silence", client.post("/api/v1/silences", json=silence)
    yield "sign-in", client.post("/sign-in", data={"name": one["user name"], "password": one["user name"]})
    yield "agent", client.get("/api/v1/nothing", headers={"User-Agent": one["user agent"]})
    yield "query", client.get("/api/v1/runs", params={"cursor": one["query"], "status": one["query"]})
    # That an answer repeats to a client what it has just sent tells nobody anything.
    client.post(f"/api/v1/incidents/{one['path']}/acknowledge")
    bad = f'{{"goal": "{one["bad json"]}'
    yield "bad json", client.post("/api/v1/runs", content=bad, headers={"Content-Type": "application/json"})
    yield "token", client.post("/api/v1/tokens", json={"name": one["token name"][:64], "role": "viewer"})
    yield "guess", client.get("/api/v1/me", headers={"Authorization": f"Bearer {one['token guessed']}"})
    chat = {"model": "scripted", "messages": [{"role": "user", "content": f"use {one['gateway prompt']}"}]}
    # What a client asks for itself comes back to it; that answer is no sink.
    client.post("/v1/chat/completions", json=chat)
    client.post("/v1/chat/completions", json={**chat, "model": f"x-{one['gateway model']}"})


def read_everything(client: httpx2.Client) -> Iterator[tuple[str, str]]:
    """Every address that can be read, of the API and of the pages, also those of single records."""
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    todo = [f"/api/v1{path}" for path in paths if "{" not in path and "events" not in path]
    todo += ["/", "/runs", "/incidents", "/alerts", "/on-call", "/providers", "/playbooks", "/drills", "/maintenance"]
    todo += ["/resources", "/figures", "/configuration", "/isolation", "/audit", "/metrics", "/healthz", "/readyz"]
    for kind in ("runs", "incidents"):
        for record in client.get(f"/api/v1/{kind}").json()["items"]:
            todo += [f"/{kind}/{record['id']}", f"/api/v1/{kind}/{record['id']}"]
            todo += [f"/api/v1/{kind}/{record['id']}/{part}" for part in ("events", "report", "timeline", "trace")]
    for path in todo:
        answer = client.get(path)
        yield path, answer.text + str(answer.headers)


def kept(system: System) -> Iterator[tuple[str, bytes]]:
    """Every file of the project that is not the user's own, every row, and every message that was received."""
    root = system.project.root
    own = (root / ".env", system.project.workspace, root / "var" / "shadow", root / "config")
    for path in root.rglob("*"):
        if not path.is_file() or any(path.is_relative_to(one) for one in own):
            continue
        name, data = str(path.relative_to(root)), path.read_bytes()
        yield f"file name {name}", name.encode()
        yield name, data
        if data.startswith(b"\x1f\x8b"):
            yield f"{name}, unpacked", gzip.decompress(data)
        if data.startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(path)) as connection:
                yield f"{name}, as text", "\n".join(connection.iterdump()).encode("utf-8", "replace")
    for mail in system.mailbox.mails:
        yield "mail", mail.as_bytes() + mail.get_content().encode()
    for request in system.hook.received:
        # The address and the signature are what the receiver is to know.
        yield "webhook", request.body + str({**request.headers}).encode()
    yield "process arguments", "\n".join(system.arguments).encode()
    yield "environment of commands", "\n".join(system.environments).encode()


def leaks(data: bytes, canaries: Canaries) -> set[str]:
    """Whose spellings are in there, also where a line was broken in the middle of one."""
    joined = re.sub(rb"[\r\n]+", b"", data)
    return {name for form, name in canaries.forms().items() if form in data or form in joined}

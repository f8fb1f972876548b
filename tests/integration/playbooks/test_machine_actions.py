"""Actions on the machine: cleaning up, workers, stuck processes, Ollama; with real files and real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from orchestration.agents import sandbox
from orchestration.domain.run_status import RunStatus
from orchestration.errors import UsageError
from orchestration.monitoring.collectors.processes import agents_commands, family
from orchestration.playbooks.actions import ActionError, parse
from orchestration.playbooks.model import Mode
from orchestration.storage.runs import Run
from tests.integration.playbooks.test_provider_actions import a_closed_port
from tests.support.patience import until_async
from tests.support.response import Fleet, Ward, a_ward, a_worker

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
OLLAMA = f"""#!{sys.executable}
import http.server, json, os, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        tags = {{"models": [{{"name": "m", "model": "m"}}]}}
        answers = {{"/api/version": {{"version": "0.12.0"}}, "/api/tags": tags}}
        answer = json.dumps(answers.get(self.path, {{"models": []}})).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

if sys.argv[1:] != ["serve"]:
    sys.exit(f"unknown arguments {{sys.argv[1:]}}")
print("serving", flush=True)
host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


def aged(path: Path, days: float) -> Path:
    """A file or a folder of so many days ago."""
    when = time.time() - days * 86_400
    for one in (*path.rglob("*"), path):
        os.utime(one, (when, when))
    return path


def a_run(ward: Ward, name: str, status: RunStatus, days: float) -> Path:
    """A run's record and its artifact, so old."""
    ward.app.runs.add(Run(name, "mend it", str(ward.root / "work"), ward.app.clock.now(), status))
    ward.app.artifacts.write(name, "plan.md", "0123456789", "planner")
    return aged(ward.app.artifacts.folder / name, days)


async def test_only_rotated_logs_of_our_own_that_are_old_are_deleted(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        folder = ward.app.log_folder
        names = ("orchestrator.log.20261101T000000.000001Z", "orchestrator.jsonl.20261101T000000.000001Z.gz")
        for name in (*names, "orchestrator.log.20261101T000000.000002Z", "orchestrator.log.notes", "mine.log"):
            (folder / name).write_text("0123456789")
        for name in (*names, "orchestrator.log.notes", "mine.log"):
            aged(folder / name, 8)
        kept = sorted(path.name for path in folder.iterdir() if path.name not in names)
        assert await ward.preview("cleanup.logs", older_than_days=7) == "delete 2 of our own, 20 bytes in all"
        assert len(list(folder.iterdir())) == len(kept) + 2
        done = await ward.run("cleanup.logs", older_than_days=7)
        assert done.findings == {"freed_bytes": 20, "removed": 2}
        assert sorted(path.name for path in folder.iterdir()) == kept
        assert (await ward.run("cleanup.logs", older_than_days=7)).findings["removed"] == 0


async def test_only_artifacts_of_runs_that_ended_long_ago_are_deleted(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        old = a_run(ward, "run-old", RunStatus.SUCCEEDED, 8)
        kept = [a_run(ward, "run-new", RunStatus.SUCCEEDED, 1), a_run(ward, "run-at-work", RunStatus.STOPPED, 9)]
        touched = a_run(ward, "run-touched", RunStatus.FAILED, 9)
        (touched / "plan.md").write_text("a person writes into it still")
        foreign = ward.app.artifacts.folder / "holidays"
        foreign.mkdir()
        (foreign / "photo.jpg").write_text("mine")
        aged(foreign, 99)
        link = ward.app.artifacts.folder / "run-link"
        link.symlink_to(foreign)
        done = await ward.run("cleanup.artifacts", older_than_days=7)
        assert (done.findings, done.evidence) == ({"freed_bytes": 10, "removed": 1}, {"names": ["run-old"]})
        assert not old.exists()
        assert all(one.exists() for one in (*kept, touched, foreign / "photo.jpg", link))


def test_an_age_of_nothing_is_no_age() -> None:
    from orchestration.playbooks.actions.cleanup import CleanLogs

    with pytest.raises(UsageError, match="older_than_days: Input should be greater than 0"):
        parse(CleanLogs, {"older_than_days": 0})


async def test_workers_are_counted_against_how_many_there_should_be(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        ward.use(fleet=Fleet(a_worker("1"), a_worker("2", healthy=False), wanted=3))
        found = await ward.run("worker.list")
        assert found.findings == {"alive": 1, "missing": 2, "unhealthy": ["2"]}
        assert found.summary == "1 of 3 workers are well, not: 2"


async def test_a_worker_is_replaced_by_its_supervisor(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        fleet = Fleet(a_worker("1", healthy=False))
        ward.use(fleet=fleet)
        assert "replace 1; their runs go on" in await ward.preview("worker.replace", workers=["1"])
        assert fleet.replaced == []
        done = await ward.run("worker.replace", workers=["1"])
        assert ([name for name, _ in fleet.replaced], await ward.undo("worker.replace", done)) == (
            ["1"],
            "the new workers stay",
        )


@contextmanager
def a_process(program: str, *, parent: bool = True) -> Iterator[int]:
    """A process of ours, or one whose parent is not us; it is at work."""
    command = [sys.executable, "-c", program]
    if not parent:
        launcher = f"import subprocess; print(subprocess.Popen({command!r}, start_new_session=True, stdout=2).pid)"
        number = int(subprocess.check_output([sys.executable, "-c", launcher], stderr=subprocess.DEVNULL))
        try:
            yield number
        finally:
            os.kill(number, signal.SIGKILL)
        return
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


async def test_a_command_of_an_agent_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward, anyio.create_task_group() as group:
        said: list[str] = []
        ended: list[sandbox.CommandResult] = []

        async def work() -> None:
            command, limits = (sys.executable, "-c", STUBBORN), sandbox.SandboxLimits()
            ended.append(await sandbox.run(command, tmp_path, limits, on_output=said.append))

        group.start_soon(work)
        await until_async(lambda: said)
        (number,) = agents_commands(family())
        assert f"kill {number} (" in await ward.preview("process.kill", processes=[str(number)])
        assert psutil.pid_exists(number)
        done = await ward.run("process.kill", processes=[str(number)])
        assert done.findings == {"killed": [str(number)]}
        assert not psutil.pid_exists(number)
        assert (await ward.run("process.kill", processes=[str(number)])).summary == "they are gone already"
    assert ended[0].exit_code == -signal.SIGKILL


async def test_a_process_that_is_no_command_of_an_agent_is_left_alone(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        started = a_process(STUBBORN)
        with a_process(STUBBORN, parent=False) as foreign, a_process(STUBBORN) as worker, started as ollama:
            ward.use(fleet=Fleet(a_worker("1", pid=worker)))
            for number in (foreign, worker, ollama, os.getpid(), 1):
                with pytest.raises(ActionError, match="none of these processes is a command of an agent"):
                    await ward.run("process.kill", processes=[str(number)])
            assert all(psutil.pid_exists(number) for number in (foreign, worker, ollama))


def test_a_process_is_a_number() -> None:
    from orchestration.playbooks.actions.workers import KillProcess

    for text in ("-1", "0", "all", "1; rm"):
        with pytest.raises(UsageError, match="String should match pattern"):
            parse(KillProcess, {"processes": [text]})


def install_ollama(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = OLLAMA) -> None:
    """A program called `ollama` on the PATH."""
    folder.mkdir()
    program = folder / "ollama"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def stopped_ollama(**more: object) -> dict[str, object]:
    return {"ollama": {"host": a_closed_port(), "defaultModel": "m", **more}}


async def test_ollama_is_started_and_stopped_again_when_that_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_ollama(tmp_path / "bin", monkeypatch)
    async with a_ward(tmp_path / "project", stopped_ollama(allowStart=True)) as ward:
        assert (await ward.decide("provider.start-ollama", {})).mode is Mode.AUTO
        assert await ward.preview("provider.start-ollama") == f"start `{tmp_path}/bin/ollama serve` for ollama"
        started = await ward.run("provider.start-ollama")
        number = started.findings["pid"]
        assert (await ward.run("provider.probe")).findings["up"] == ["ollama"]
        assert "serving" in (ward.app.log_folder / "ollama.log").read_text()
        assert (await ward.run("provider.start-ollama")).undo == started.undo
        other = await ward.run("provider.start-ollama", key="k-2")
        assert (other.summary, other.undo) == ("Ollama answers already", {})
        assert await ward.undo("provider.start-ollama", other) == "nothing had been started"
        assert await ward.undo("provider.start-ollama", started) == "the Ollama that was started is stopped"
        await ward.until(lambda: not psutil.pid_exists(number))
        assert (await ward.run("provider.probe")).findings["down"] == ["ollama"]
        assert await ward.undo("provider.start-ollama", started) == "it has ended by itself"


async def test_ollama_is_not_started_without_being_asked_unless_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_ollama(tmp_path / "bin", monkeypatch)
    async with a_ward(tmp_path / "project", stopped_ollama()) as ward:
        assert (await ward.decide("provider.start-ollama", {})).mode is Mode.ASK
    elsewhere = {"ollama": {"host": "http://192.0.2.7:11434", "defaultModel": "m", "allowStart": True}}
    async with a_ward(tmp_path / "project", elsewhere) as ward:
        assert (await ward.decide("provider.start-ollama", {})).guard == "empty-target"


async def test_an_ollama_that_is_missing_or_ends_at_once_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_ward(tmp_path / "project", stopped_ollama(allowStart=True)) as ward:
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        with pytest.raises(ActionError, match="Ollama is not installed on this machine"):
            await ward.run("provider.start-ollama")
        install_ollama(tmp_path / "bin", monkeypatch, "#!/bin/sh\necho no room\nexit 3\n")
        with pytest.raises(ActionError, match="Ollama ended right after its start"):
            await ward.run("provider.start-ollama")
        assert "no room" in (ward.app.log_folder / "ollama.log").read_text()

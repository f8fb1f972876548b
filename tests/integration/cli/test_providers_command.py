"""`orchestrator providers`, as a process on a project of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from orchestration.clock import SystemClock
from orchestration.providers.failures import NoRouteError
from orchestration.storage.database import Database
from tests.support.gateway import Desk, configuration, provider
from tests.support.vendor import Vendor, as_json, refused, vendor

SECRET = "k-very-secret-123456"
Run = Callable[..., Any]


@pytest.fixture
async def server() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, server: Vendor) -> Path:
    runtime = {
        "defaultProvider": "main",
        "fallbackProviders": ["spare"],
        "main": provider(server.url, apiKeyEnv="MAIN_KEY", concurrency=3),
        "spare": provider("http://127.0.0.1:9", apiKeyEnv="SPARE_KEY", concurrency=0),
        "off": provider(server.url, enabled=False),
        "rehearsal": {"defaultModel": "rehearsal"},
    }
    (tmp_path / "config").mkdir()
    path = tmp_path / "config" / "agents.config.json"
    path.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))
    (tmp_path / ".env").write_text(f"MAIN_KEY={SECRET}\n")
    return path


@pytest.fixture
def run(project: Path) -> Run:
    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_KEY")}
        command = [sys.executable, "-m", "orchestration", "--config", str(project), "providers", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)

    async def in_thread(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await to_thread.run_sync(lambda: start(*arguments))

    return in_thread


async def learn(project: Path, server: Vendor) -> None:
    """Let a process that is gone by now have learnt that the default provider's model is missing."""
    database = Database(f"sqlite:///{project.parent.parent / 'var' / 'orchestrator.db'}")
    database.migrate()
    settings = {"main": provider(server.url, apiKeyEnv="MAIN_KEY", concurrency=3)}
    desk = Desk(configuration(settings), database, SystemClock(), {"MAIN_KEY": SECRET})
    async with desk.gateway.running():
        with pytest.raises(NoRouteError):
            await desk.ask()
    database.close()


async def test_list_tells_what_is_known_without_calling_anyone(run: Run, project: Path, server: Vendor) -> None:
    server.answer = lambda asked: refused(404, "no such model")
    await learn(project, server)
    server.asked.clear()
    done = await run("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line["provider"]: line for line in json.loads(done.stdout)}
    main = lines["main"]
    assert (main["state"], main["reason"], main["last_failure"]) == ("open", "model_missing", "no such model")
    assert (main["order"], main["limit"], main["key"], main["key_present"]) == (1, 3, "MAIN_KEY", True)
    assert main["usable_at"].endswith("Z")
    spare = lines["spare"]
    assert (spare["state"], spare["order"], spare["limit"], spare["key_present"]) == ("unknown", 2, 0, False)
    assert (lines["off"]["enabled"], lines["off"]["order"], lines["off"]["key"]) == (False, None, None)
    assert lines["rehearsal"]["rehearsal"]
    assert server.asked == []
    assert SECRET not in done.stdout


async def test_list_is_a_table_for_people(run: Run, project: Path, server: Vendor) -> None:
    server.answer = lambda asked: refused(401, f"wrong key {SECRET}")
    await learn(project, server)
    done = await run("list")
    assert done.returncode == 0
    rows = {line.split()[1] if line[0].isdigit() else line.split()[0]: line for line in done.stdout.splitlines()}
    assert "MAIN_KEY set" in rows["main"]
    assert "authentication" in rows["main"]
    assert "SPARE_KEY missing" in rows["spare"]
    assert "paused" in rows["spare"]
    assert "disabled" in rows["off"]
    assert "no real model answers" in rows["rehearsal"]
    assert SECRET not in done.stdout


async def test_probe_asks_and_its_success_closes_the_route_for_all(run: Run, project: Path, server: Vendor) -> None:
    server.answer = lambda asked: refused(404)
    await learn(project, server)
    failed = await run("probe", "main", "--deep", "--json")
    assert failed.returncode == 1
    (result,) = json.loads(failed.stdout)
    assert (result["provider"], result["ok"], result["outcome"]) == ("main", False, "model_missing")
    server.answer = Vendor().answer
    done = await run("probe", "main", "--deep")
    assert done.returncode == 0
    assert "ok" in done.stdout
    assert json.loads((await run("list", "--json")).stdout)[0]["state"] == "closed"


async def test_probe_asks_all_that_are_enabled_and_fails_for_one(run: Run, server: Vendor) -> None:
    done = await run("probe", "--json")
    assert done.returncode == 1
    outcomes = {one["provider"]: one["outcome"] for one in json.loads(done.stdout)}
    assert outcomes == {"main": "ok", "spare": "authentication", "rehearsal": "ok"}
    assert len(server.probes) == 1
    server.probe = lambda asked: as_json({}, 500)
    assert (await run("probe", "main")).returncode == 1


async def test_probe_of_an_unknown_provider_names_those_that_there_are(run: Run) -> None:
    done = await run("probe", "nowhere")
    assert done.returncode == 2
    assert "expected a provider of the configuration (main, spare, off, rehearsal), got 'nowhere'" in done.stderr
    assert "Traceback" not in done.stderr

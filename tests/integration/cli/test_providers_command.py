"""`orchestrator providers`, as a process on a project of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio import to_thread
from click.testing import CliRunner

from orchestration.cli import cli
from orchestration.clock import SystemClock
from orchestration.errors import OrchestratorError
from orchestration.providers.dialects.dialect import Dialect, ToolForm
from orchestration.providers.dialects.learned import LearnedDialect
from orchestration.providers.failures import NoRouteError
from orchestration.security.redaction import Redactor
from orchestration.storage.route_states import RouteStates, learned_of
from tests.support.database import migrated
from tests.support.gateway import Desk, configuration, provider, until
from tests.support.patience import patient
from tests.support.vendor import Vendor, as_json, refused, vendor

SECRET = "k-very-secret-123456"
Run = Callable[..., Awaitable["Done"]]


@pytest.fixture
async def server() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, server: Vendor) -> Path:
    runtime = {
        "defaultProvider": "main",
        "fallbackProviders": ["spare"],
        "main": provider(server.url, apiKeyEnv="MAIN_KEY", concurrency=3, breaker={"probeAfter": 60}),
        "spare": provider("http://127.0.0.1:9", apiKeyEnv="SPARE_KEY", concurrency=0),
        "off": provider(server.url, enabled=False),
        "rehearsal": {"defaultModel": "rehearsal"},
    }
    (tmp_path / "config").mkdir()
    path = tmp_path / "config" / "agents.config.json"
    path.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))
    (tmp_path / ".env").write_text(f"MAIN_KEY={SECRET}\n")
    return path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    output: str


@pytest.fixture
def run(project: Path) -> Run:
    """The command in this process, in a thread beside the server's loop."""

    def start(*arguments: str) -> Done:
        command = ["--config", str(project), "providers", *arguments]
        result = CliRunner().invoke(cli, command, standalone_mode=False)
        if isinstance(result.exception, OrchestratorError):
            return Done(result.exception.exit_code, str(result.exception))
        assert result.exception is None, result.exception
        return Done(result.return_value or 0, result.stdout)

    async def in_thread(*arguments: str) -> Done:
        return await to_thread.run_sync(lambda: start(*arguments))

    return in_thread


async def learn(project: Path, server: Vendor) -> None:
    """Let a process that is gone by now have learnt that the default provider's model is missing."""
    database = migrated(f"sqlite:///{project.parent.parent / 'var' / 'orchestrator.db'}")
    redactor = Redactor()
    redactor.remember(frozenset({SECRET}))
    settings = {"main": provider(server.url, apiKeyEnv="MAIN_KEY", concurrency=3, breaker={"probeAfter": 60})}
    desk = Desk(configuration(settings), database, SystemClock(), {"MAIN_KEY": SECRET}, redact=redactor.text)
    async with desk.gateway.running():
        with pytest.raises(NoRouteError):
            await desk.ask()
    database.close()


async def test_list_tells_what_is_known_without_calling_anyone(run: Run, project: Path, server: Vendor) -> None:
    server.answer = lambda asked: refused(404, "no such model")
    await learn(project, server)
    server.asked.clear()
    done = await run("list", "--json")
    assert done.code == 0
    lines = {line["provider"]: line for line in json.loads(done.output)}
    main = lines["main"]
    assert (main["state"], main["reason"], main["last_failure"]) == ("open", "model_missing", "no such model")
    assert (main["order"], main["limit"], main["key"], main["key_present"]) == (1, 3, "MAIN_KEY", True)
    assert main["usable_at"].endswith("Z")
    spare = lines["spare"]
    assert (spare["state"], spare["order"], spare["limit"], spare["key_present"]) == ("unknown", 2, 0, False)
    assert (lines["off"]["enabled"], lines["off"]["order"], lines["off"]["key"]) == (False, None, None)
    assert lines["rehearsal"]["rehearsal"]
    assert server.asked == []
    assert SECRET not in done.output


async def test_list_is_a_table_for_people(run: Run, project: Path, server: Vendor) -> None:
    server.answer = lambda asked: refused(401, f"wrong key {SECRET}")
    await learn(project, server)
    done = await run("list")
    assert done.code == 0
    rows = {line.split()[1] if line[0].isdigit() else line.split()[0]: line for line in done.output.splitlines()}
    assert "MAIN_KEY set" in rows["main"]
    assert "authentication" in rows["main"]
    assert "SPARE_KEY missing" in rows["spare"]
    assert "paused" in rows["spare"]
    assert "disabled" in rows["off"]
    assert "no real model answers" in rows["rehearsal"]
    assert SECRET not in done.output


async def test_probe_asks_and_its_success_closes_the_route_for_all(run: Run, project: Path, server: Vendor) -> None:
    server.answer = lambda asked: refused(404)
    await learn(project, server)
    failed = await run("probe", "main", "--deep", "--json")
    assert failed.code == 1
    (result,) = json.loads(failed.output)
    assert (result["provider"], result["ok"], result["outcome"]) == ("main", False, "model_missing")
    server.answer = Vendor().answer
    done = await run("probe", "main", "--deep")
    assert done.code == 0
    assert "ok" in done.output
    assert json.loads((await run("list", "--json")).output)[0]["state"] == "closed"


async def test_probe_asks_all_that_are_enabled_and_fails_for_one(run: Run, server: Vendor) -> None:
    done = await run("probe", "--json")
    assert done.code == 1
    outcomes = {one["provider"]: one["outcome"] for one in json.loads(done.output)}
    assert outcomes == {"main": "ok", "spare": "authentication", "rehearsal": "ok"}
    assert len(server.probes) == 1
    server.probe = lambda asked: as_json({}, 500)
    assert (await run("probe", "main")).code == 1


async def test_probe_of_an_unknown_provider_names_those_that_there_are(run: Run) -> None:
    done = await run("probe", "nowhere")
    assert done.code == 2
    assert "There is no provider 'nowhere'. Configured providers: main, spare, off, rehearsal." in done.output


async def test_the_command_runs_as_a_process_and_leaves_no_traceback(project: Path) -> None:
    command = [sys.executable, "-m", "orchestration", "--config", str(project), "providers", "probe", "nowhere"]
    done = await to_thread.run_sync(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=patient(60), check=False)
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("orchestrator: There is no provider")


async def test_what_was_learned_of_a_model_is_listed_and_forgotten(run: Run, project: Path, server: Vendor) -> None:
    assert "Nothing was learned" in (await run("learned")).output
    database = migrated(f"sqlite:///{project.parent.parent / 'var' / 'orchestrator.db'}")
    settings = {"main": provider(server.url, apiKeyEnv="MAIN_KEY", concurrency=3)}
    desk = Desk(configuration(settings), database, SystemClock(), {"MAIN_KEY": SECRET})
    desk.teach("main", LearnedDialect(Dialect(tools=ToolForm.TEXT), 8192, desk.clock.now().timestamp()))
    async with desk.gateway.running():
        await until(lambda: bool(learned_of(RouteStates(database).load().get(("main", "m"), ({}, None))[0])))
        [known] = json.loads((await run("learned", "--json")).output)
        assert (known["provider"], known["model"], known["window"]) == ("main", "m", 8192)
        assert known["facts"] == ["tools in words", "context of 8,192 tokens by a refusal"]
        assert "tools in words" in (await run("learned")).output
        assert (await run("forget", "nobody")).code == 2
        assert "learned of the models of main" in (await run("forget", "main")).output
        # The process that still knew it has forgotten it, and does not bring it back.
        await until(lambda: desk.knows("main").is_empty)
        await desk.gateway._sync.exchange()  # type: ignore[union-attr]
        assert "Nothing was learned" in (await run("learned")).output
    database.close()

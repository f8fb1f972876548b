"""Where a drill runs: a project of its own, its providers, and the real control process with real workers."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import psutil

from orchestration.clock import Clock
from orchestration.drills import control_group
from orchestration.drills.postgres_server import PostgresServer
from orchestration.drills.processes import PROGRAMS, DrillError, DrillProcess, kill_all_of, process_environment
from orchestration.drills.project import DATABASE_VARIABLE, configuration, laid_over
from orchestration.drills.rehearsal_process import RehearsalProcess
from orchestration.drills.setup import DrillSetting
from orchestration.rehearsal import samples
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.runs import Runs
from orchestration.workflows.processes import control_processes

_POLL_SECONDS = 0.1
# A cold start imports everything and runs all migrations, which takes its time where other load competes.
_START_SECONDS = 90.0
_COMMAND_SECONDS = 60.0

T = TypeVar("T")


class DrillEnvironment:
    """The project of a drill while it runs. Faults reach it through these methods alone."""

    def __init__(self, folder: Path, setting: DrillSetting, clock: Clock, server: PostgresServer | None = None) -> None:
        self.folder = folder
        self.setting = setting
        self.clock = clock
        self.workspace = folder / "work"
        self.configuration_file = folder / "config" / "agents.config.json"
        self.database_file = folder / "var" / "orchestrator.db"
        self.providers = {name: RehearsalProcess(name, folder, setting.latency_ms, clock) for name in setting.providers}
        self.runs: list[str] = []
        self.kept: dict[str, Any] = {}
        self.injected_at: datetime | None = None
        self.repaired_at: datetime | None = None
        self._server = server
        self._group: control_group.ControlGroup | None = None
        self._control: DrillProcess | None = None
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        """The drill's own database."""
        if self._database is None:
            self._database = Database(self.setting.database_url or f"sqlite:///{self.database_file}")
        return self._database

    @property
    def control(self) -> DrillProcess:
        """The control process. Raises DrillError if it was not started."""
        if self._control is None:
            raise DrillError("the control process was not started; call `serve` first")
        return self._control

    @property
    def server(self) -> PostgresServer:
        """The drill's own database server. Raises DrillError if it has none."""
        if self._server is None:
            raise DrillError("expected a database server of the drill's own, got none; its setting has to ask for one")
        return self._server

    @property
    def address(self) -> str:
        """The URL of the control process's dashboard and API. Raises DrillError."""
        lines = (line.partition("API: ") for line in self.control.output.splitlines())
        found = next((address for said, _, address in lines if said.startswith("dashboard")), "")
        if not found:
            raise DrillError("expected the address of the dashboard, got none")
        return found.strip()

    def mark_injected(self, at: datetime | None = None) -> None:
        """Mark the injection of the fault, now or at a known time; all times count from there. Needed only where
        preparing the fault takes a while: otherwise it is the call of the drill's `inject`."""
        self.injected_at = at or self.clock.now()

    def mark_repaired(self) -> None:
        """Mark that the cause is gone now, by the hand of whoever can mend it: before, nothing may be resolved."""
        self.repaired_at = self.clock.now()

    async def inject_by_run(self, goal: str, *, agent: str | None = None, checks: Sequence[str] = ()) -> None:
        """Start a run which is itself the fault; it counts as injected when the run is created."""
        run = await self.run(goal, agent=agent, checks=checks)
        made = await self.database.call(lambda: Runs(self.database).get(run))
        self.mark_injected(made.created_at)

    @property
    def primary(self) -> RehearsalProcess:
        """The provider that calls go to first."""
        return next(iter(self.providers.values()))

    async def prepare(self) -> None:
        """Create the project and start its providers."""
        self.configuration_file.parent.mkdir(parents=True)
        (self.folder / "logs").mkdir()
        self.sample = samples.copy_to(self.workspace)
        async with anyio.create_task_group() as control_group:
            for provider in self.providers.values():
                control_group.start_soon(provider.start)
        self.write_configuration(configuration(self.setting, {one.name: one.url for one in self.providers.values()}))
        programs = {f"{PROGRAMS}/{name}": text for name, text in self.setting.programs.items()}
        for name, text in {**self.setting.files, **programs}.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if name in programs:
                path.chmod(0o700)
        self._write_environment()

    def _write_environment(self) -> None:
        """The file may hold a password, so nobody else may read it."""
        values = dict(self.setting.environment)
        if self.setting.database_url is not None:
            values[DATABASE_VARIABLE] = self.setting.database_url
        file = self.folder / ".env"
        file.touch(mode=0o600)
        file.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")

    def write_configuration(self, document: Mapping[str, Any]) -> None:
        """Replace the configuration file atomically: the system must never read half of it."""
        new = self.configuration_file.with_suffix(".new")
        new.write_text(json.dumps(document, indent=2), encoding="utf-8")
        new.replace(self.configuration_file)

    def edit_agent(self, name: str, **settings: Any) -> None:
        """Edit an agent in the file, as a person does."""
        document = self.read_configuration()
        edited = [laid_over(one, settings) if one["id"] == name else one for one in document["agents"]]
        self.write_configuration({**document, "agents": edited})

    def read_configuration(self) -> dict[str, Any]:
        """The file as it is."""
        document: dict[str, Any] = json.loads(self.configuration_file.read_text(encoding="utf-8"))
        return document

    async def serve(self) -> None:
        """Start the control process, and wait until its workers are ready. Raises DrillError."""
        # A log for each start, because `wait_for_output` searches a log from its beginning.
        printed = self.folder / f"serve.{self.clock.now():%H%M%S%f}.log"
        self._control = self._command(printed, "serve", "--drill", "--port", "0", variables=self.setting.variables)
        # One that takes the place of another, too, has no more than the share.
        if self._group is not None:
            self._group.add(self._control.pid)
        await self._control.wait_for_output("serving ", _START_SECONDS)
        # The line above is printed before the workers are ready, and a fault must not strike while they start.
        await self.until(self._all_at_work, "all workers to work", _START_SECONDS)

    def confine(self, *, memory_mb: int | None = None, cpus: float | None = None) -> None:
        """Limit the control process, with all that it has started and will start, to a share of the machine. Raises
        DrillError if that is impossible."""
        self._group = control_group.make(memory_mb, cpus)
        control = psutil.Process(self.control.pid)
        # Only what a member starts later joins the group by itself; workers that run already have to be moved.
        for process in (control, *control.children(recursive=True)):
            self._group.add(process.pid)

    async def start_neighbour(self, *words: str) -> DrillProcess:
        """Start a program of somebody else in the same share of the machine; see `orchestration.drills.neighbour`."""
        printed = self.folder / f"neighbour.{self.clock.now():%H%M%S%f}.log"
        child = DrillProcess(("orchestration.drills.neighbour", *words), self.folder, printed, self.clock)
        await child.wait_for_output("at work", _START_SECONDS)
        if self._group is not None:
            self._group.add(child.pid)
        return child

    async def run(
        self,
        goal: str,
        *,
        agent: str | None = None,
        priority: str = "normal",
        workspace: Path | None = None,
        approve: str | None = None,
        checks: Sequence[str] = (),
    ) -> str:
        """Leave a goal to the workers; returns the run's identifier. Raises DrillError."""
        printed = self.folder / f"run.{len(self.runs)}.json"
        alone = () if agent is None else ("--agent", agent)
        asked = () if approve is None else ("--approve", approve)
        options = (
            "--queue",
            "--json",
            "--workspace",
            str(workspace or self.workspace),
            "--priority",
            priority,
            *alone,
            *asked,
            *(part for check in checks for part in ("--check", check)),
        )
        child = self._command(printed, "run", *options, goal)
        if await child.wait(_COMMAND_SECONDS):
            raise DrillError(f"expected a run, got: {child.output[-500:]}")
        found: str = json.loads(child.output)["id"]
        self.runs.append(found)
        return found

    async def command(self, *arguments: str, code: int = 0) -> str:
        """Give a command of the console; returns what it printed. Raises DrillError when it ends with another code."""
        # Not named after the arguments: a question is long, and may hold a slash.
        printed = self.folder / f"{arguments[0]}.{self.clock.now():%H%M%S%f}.log"
        child = self._command(printed, *arguments)
        if (ended := await child.wait(_COMMAND_SECONDS)) != code:
            raise DrillError(f"expected `{' '.join(arguments)}` to end with {code}, got {ended}: {child.output[-500:]}")
        return child.output

    async def git(self, *arguments: str) -> None:
        """Give a command of git in the workspace, as a person does. Raises DrillError."""
        identity = ("-c", "user.name=Drill", "-c", "user.email=drill@localhost", "-c", "commit.gpgSign=false")
        # The reflog is what tells when a commit was checked out, and a user may have switched it off.
        words = ("git", *identity, "-c", "core.logAllRefUpdates=true", *arguments)
        ended = await anyio.run_process(words, cwd=self.workspace, env=process_environment(self.folder), check=False)
        if ended.returncode:
            raise DrillError(f"expected `git {arguments[0]}` to end with 0, got: {ended.stderr.decode()[-500:]}")

    def close_database(self) -> None:
        """Close the database; it is opened again when it is needed. A fault that replaces the file needs that."""
        if self._database is not None:
            self._database.close()

    async def until(self, condition: Callable[[], Awaitable[T]], what: str, seconds: float = 60.0) -> T:
        """Poll until the condition returns something true, and return that. Raises DrillError."""
        end = self.clock.monotonic() + seconds
        while not (found := await condition()):
            if self.clock.monotonic() > end:
                raise DrillError(f"waited {seconds:g} s in vain for {what}")
            await self.clock.sleep(_POLL_SECONDS)
        return found

    async def calls(self) -> list[dict[str, Any]]:
        """All model calls so far, of all providers."""
        return [call for provider in self.providers.values() for call in await provider.calls()]

    async def wait_for_calls(self, count: int) -> None:
        """Wait for so many model calls. Raises DrillError."""

        async def enough() -> bool:
            return len(await self.calls()) >= count

        await self.until(enough, f"{count} model calls")

    async def wait_for_file(self, name: str) -> None:
        """Wait until the workspace holds a file. Raises DrillError."""

        async def is_there() -> bool:
            return (self.workspace / name).exists()

        await self.until(is_there, f"the file {name}")

    async def wait_for_runs(self) -> None:
        """Wait until every run has ended. Raises DrillError."""

        def ended() -> bool:
            return all(Runs(self.database).get(name).status.ended for name in self.runs)

        async def all_ended() -> bool:
            return await self.database.call(ended)

        await self.until(all_ended, "the end of the runs")

    async def worker_pids(self) -> list[int]:
        """The process numbers of the workers that are ready."""
        controls = await self.database.call(lambda: control_processes(Leases(self.database)))
        return [one["pid"] for control in controls for one in control["workers"] if one["state"] == "works"]

    async def stop(self) -> None:
        """Stop everything that was started."""
        # The control process goes first: it would respond to the providers as they vanish.
        try:
            if self._control is not None:
                await self._control.stop()
        finally:
            for provider in self.providers.values():
                provider.close()
            # Before the group is removed, because the kernel keeps one that is not empty.
            await anyio.to_thread.run_sync(kill_all_of, self.folder)
            if self._group is not None:
                await self._group.remove()
            self.close_database()

    async def _all_at_work(self) -> bool:
        return len(await self.worker_pids()) >= self.setting.workers

    def _command(self, printed: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> DrillProcess:
        words = ("orchestration", "--config", str(self.configuration_file), *arguments)
        # Relative to the project's folder, in which its processes run.
        path = os.pathsep.join((process_environment()["PYTHONPATH"], *self.setting.sites))
        return DrillProcess(words, self.folder, printed, self.clock, {"PYTHONPATH": path, **(variables or {})})


@contextlib.asynccontextmanager
async def drill_environment(
    folder: Path, setting: DrillSetting, clock: Clock, server: PostgresServer | None = None
) -> AsyncIterator[DrillEnvironment]:
    """An environment whose processes are certainly stopped at the end."""
    environment = DrillEnvironment(folder, setting, clock, server)
    try:
        await environment.prepare()
        yield environment
    finally:
        with anyio.CancelScope(shield=True):
            await environment.stop()

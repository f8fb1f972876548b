"""A project: what it declares, and the runs that it starts."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict, Unpack

from orchestration.declarations.budget import Budget
from orchestration.declarations.child import refuse_in_child
from orchestration.declarations.provider import Provider
from orchestration.declarations.tool import ToolFunction
from orchestration.domain.run_spec import RunSpec
from orchestration.sdk import configuration_file
from orchestration.sdk.backend import Backend, Question
from orchestration.sdk.configuration_file import AnyAgent, Declaration
from orchestration.sdk.embedded import EmbeddedBackend
from orchestration.sdk.remote import RemoteBackend
from orchestration.sdk.results import RunResult
from orchestration.sdk.run_handle import RunHandle

if TYPE_CHECKING:
    from orchestration.client import EventRecord, IncidentRecord
    from orchestration.clock import Clock

# As long as somebody waits at a prompt; a program that waits for a night says so.
_PATIENCE_SECONDS = 60.0


class RunOptions(TypedDict, total=False):
    """How a run is started. `agent` runs one agent alone; `checks` are commands that must succeed at its end, `approve`
    the agents before which a person is asked; `seconds`, `tokens` and `usd` bound it. In a git repository it works in a
    worktree, or `in_place`. `patience` is how many seconds it may wait for a provider.

    With a `key` there is one such run: asked for again, it is found, whatever has become of it. Without one, a run of
    the same goal, workspace and agent that has lost its process is continued, and otherwise a new one is started.
    """

    agent: str | None
    provider: str | None
    model: str | None
    priority: str
    checks: Sequence[str | Sequence[str]]
    approve: Sequence[str]
    seconds: float | None
    tokens: int | None
    usd: float | None
    in_place: bool | None
    key: str | None
    patience: float


class Project:
    """Agents and their runs, in a folder that `orchestrator run`, `serve` and the rest work in, too.

    With agents, tools, providers or settings, the project is what the code declares, and its configuration file is
    written by it; without, it is what the file in the folder says. Used without `async with`, it is open for the length
    of each call.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] = ".",
        *,
        agents: Sequence[AnyAgent] = (),
        tools: Sequence[ToolFunction[..., Any]] = (),
        providers: Sequence[Provider] = (),
        workflow: Sequence[tuple[str, str]] = (),
        budget: Budget = Budget(),  # noqa: B008 (immutable)
        settings: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`providers` are used in this order, the rehearsal model if there is none; `workflow` are pairs of agents, of
        which the first comes before the second; `budget` is that of each run; `settings` are further keys of the
        configuration, in its own words; `clock` is the machine's unless a test gives another."""
        self.folder = Path(folder).absolute()
        declared = Declaration(
            name=self.folder.name or "agents",
            agents=agents,
            tools=tools,
            providers=providers,
            workflow=workflow,
            budget=budget,
            settings=settings or {},
        )
        self._declaration: Declaration | None = declared or None
        self._backend: Backend = EmbeddedBackend(self.folder / configuration_file.FILE, clock)
        self._depth = 0

    @classmethod
    def connect(cls, url: str, token: str | None = None) -> Self:
        """The project of a server, `orchestrator serve`, with a token that was made there."""
        project = cls()
        project._backend = RemoteBackend(url, token)
        return project

    def save(self) -> Path | None:
        """Write the configuration that the code declares, for `orchestrator serve` and others; opening the project does
        so, too. Returns the file; None where the code declares nothing. Raises UsageError where a person's file is."""
        return configuration_file.write(self.folder, self._declaration) if self._declaration else None

    async def __aenter__(self) -> Self:
        if self._depth == 0:
            refuse_in_child()
            self.save()
            await self._backend.open()
        self._depth += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            await self._backend.close()

    async def start(
        self, goal: str, workspace: str | os.PathLike[str] = ".", **options: Unpack[RunOptions]
    ) -> RunHandle:
        """Start a run, and return at once; the project has to stay open while it is at work. Raises UsageError if it
        cannot be started."""
        chosen: dict[str, Any] = dict(options)
        patience = float(chosen.pop("patience", _PATIENCE_SECONDS))
        chosen["checks"] = [_words(check) for check in chosen.get("checks", ())]
        key = chosen.pop("key", None)
        spec = RunSpec(goal, _absolute(workspace), **chosen)
        return RunHandle(self._backend, await self._backend.start(spec, key), patience)

    async def run(
        self,
        goal: str,
        workspace: str | os.PathLike[str] = ".",
        *,
        on_event: Callable[[EventRecord], object] | None = None,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Run the agents on a goal, and return how that came out; `on_event` gets each event as it comes. If this
        process is killed, the same call in the next one goes on from the last checkpoint."""
        async with self:
            handle = await self.start(goal, workspace, **options)
            if on_event is not None:
                async for event in handle.events():
                    on_event(event)
            return await handle.result()

    async def stream(
        self, goal: str, workspace: str | os.PathLike[str] = ".", **options: Unpack[RunOptions]
    ) -> AsyncGenerator[EventRecord, None]:
        """Run the agents on a goal, and yield what happens, until the run has ended."""
        async with self:
            handle = await self.start(goal, workspace, **options)
            async with contextlib.aclosing(handle.events()) as events:
                async for event in events:
                    yield event

    async def get(self, run: str = "latest", *, patience: float = _PATIENCE_SECONDS) -> RunHandle:
        """A run, by its identifier, a unique end of one, or `latest`. Raises NotFoundError."""
        return RunHandle(self._backend, await self._backend.run(run), patience)

    async def runs(self, *status: str) -> Sequence[RunHandle]:
        """The newest runs, of these statuses or of all."""
        return [RunHandle(self._backend, run, _PATIENCE_SECONDS) for run in await self._backend.runs(status)]

    async def questions(self) -> Sequence[Question]:
        """What runs and incidents ask a person."""
        return await self._backend.questions(None)

    async def approve(self, question: Question | str, reason: str = "") -> None:
        """Say yes. Raises ConflictError if there is an answer already."""
        await self._backend.answer(_id(question), approved=True, reason=reason)

    async def deny(self, question: Question | str, reason: str = "") -> None:
        """Say no. Raises ConflictError if there is an answer already."""
        await self._backend.answer(_id(question), approved=False, reason=reason)

    async def incidents(self) -> Sequence[IncidentRecord]:
        """The newest incidents."""
        return await self._backend.incidents()


def _id(question: Question | str) -> str:
    return question if isinstance(question, str) else question.id


def _absolute(workspace: str | os.PathLike[str]) -> Path:
    return Path(workspace).absolute()


def _words(check: str | Sequence[str]) -> Sequence[str]:
    return shlex.split(check) if isinstance(check, str) else list(check)

"""A project on a server, reached through its API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

import anyio.to_thread

from orchestration.domain.run_spec import RunSpec
from orchestration.errors import ConflictError
from orchestration.sdk.backend import Question

if TYPE_CHECKING:
    from orchestration.client import Client, EventRecord, IncidentRecord, RunRecord
    from orchestration.runs.commands.base import RunCommand

T = TypeVar("T")


class RemoteBackend:
    """The same calls by the client of the API. The server itself continues runs whose worker has died."""

    # A server lets a client ask only so often.
    poll_seconds: ClassVar[float] = 1.0

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._token = token
        self._opened: Client | None = None

    async def open(self) -> None:
        """Make a client. Raises UsageError for what is no address of a server."""
        from orchestration.client import Client

        self._opened = Client(self._url, self._token)

    async def close(self) -> None:
        """Close its connections. Runs go on at the server."""
        if self._opened is not None:
            await _in_thread(self._opened.close)
            self._opened = None

    @property
    def _client(self) -> Client:
        if self._opened is None:
            raise ConflictError("The connection is closed. Use it inside `async with Project.connect(…) as project:`.")
        return self._opened

    async def start(self, spec: RunSpec, key: str | None) -> RunRecord:
        return await _in_thread(
            partial(
                self._client.start_run,
                spec.goal,
                str(spec.workspace),
                key=key,
                agent=spec.agent,
                provider=spec.provider,
                priority=spec.priority,
                in_place=spec.in_place,
                **spec.options(),
            )
        )

    async def run(self, run: str) -> RunRecord:
        return await _in_thread(self._client.run, run)

    async def runs(self, status: Sequence[str]) -> Sequence[RunRecord]:
        return (await _in_thread(partial(self._client.runs, status=status))).items

    async def carry_on(self, run: str) -> None:
        """Nothing: the server does it."""

    async def give_up(self, run: str) -> None:
        """Nothing: a worker goes on with the run when its provider is back."""

    async def events(self, run: str, after: int) -> Sequence[EventRecord]:
        return await _in_thread(partial(self._client.run_events, run, after=after))

    async def documents(self, run: str) -> Mapping[str, str]:
        return await _in_thread(self._read_documents, run)

    def _read_documents(self, run: str) -> dict[str, str]:
        names = [str(one["name"]) for one in self._client.artifacts(run)]
        return {name: self._client.artifact(run, name).decode("utf-8", "replace") for name in names}

    async def execute(self, run: str, command: RunCommand) -> RunRecord:
        return await _in_thread(self._client.execute_on_run, run, command)

    async def questions(self, subject: str | None) -> Sequence[Question]:
        found = await _in_thread(self._client.approvals, subject)
        return [Question(str(one["id"]), str(one["subject"]), str(one["question"])) for one in found]

    async def answer(self, question: str, *, approved: bool, reason: str) -> None:
        await _in_thread(self._client.decide, question, "approved" if approved else "denied", reason)

    async def incidents(self) -> Sequence[IncidentRecord]:
        return (await _in_thread(self._client.incidents)).items


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    return await anyio.to_thread.run_sync(partial(function, *arguments))

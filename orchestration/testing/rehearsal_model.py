"""A model that replies as a test wants, and fails as it wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from orchestration.clock import Clock
from orchestration.declarations.provider import Provider
from orchestration.errors import UsageError
from orchestration.rehearsal import MODEL, RehearsalServer
from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest, RehearsalToolCall
from orchestration.rehearsal.fault_registry import FaultMatch, FaultOrder

Reply = str | RehearsalToolCall | Sequence[RehearsalToolCall]
"""A text, a call of a tool, or several calls at once."""

Replies = Sequence[Reply] | Callable[[RehearsalRequest], Reply]


def call(tool: str, **arguments: Any) -> RehearsalToolCall:
    """A reply that calls a tool."""
    return RehearsalToolCall(tool, arguments)


class RehearsalModel:
    """A model server on loopback, inside `async with`. It gives `replies` in order, one for each turn of a
    conversation, and the last of them for ever; a function gets the conversation and returns the reply. Without
    replies it plays its own scenes.

    A conversation that is repeated, as after a crash, gets the same replies again.
    """

    def __init__(self, replies: Replies | None = None, *, clock: Clock | None = None) -> None:
        if replies is not None and not callable(replies) and not replies:
            raise UsageError("A model without replies cannot answer. Give it at least one, or None for its scenes.")
        self._replies = replies
        self._server = RehearsalServer(latency=0, clock=clock, answer=None if replies is None else self._answer)

    @property
    def url(self) -> str:
        """Its address, `http://127.0.0.1:…`."""
        return self._server.url

    @property
    def provider(self) -> Provider:
        """The provider that it is, for a project."""
        return Provider("rehearsal", "rehearsal", MODEL, f"{self.url}/v1")

    @property
    def calls(self) -> Sequence[Mapping[str, Any]]:
        """The model calls so far, oldest first: `role`, `model`, `fingerprint`, `fault` and so on."""
        return self._server.call_log.calls()

    def fail(
        self,
        fault: str,
        number: float | None = None,
        *,
        count: int | None = None,
        seconds: float | None = None,
        role: str | None = None,
    ) -> None:
        """Let requests fail: so many, for so long, or until `recover`; those of all agents, or of a role. The faults
        and their numbers: docs/reference/rehearsal-provider.md. Raises UsageError for any other."""
        match = None if role is None else FaultMatch(role=role)
        self._server.faults.add(FaultOrder(fault=fault, number=number, count=count, seconds=seconds, match=match))

    def recover(self) -> None:
        """End all faults."""
        self._server.faults.clear()

    def close_port(self, seconds: float) -> None:
        """Be unreachable for that long."""
        self._server.refuse(seconds)

    def _answer(self, conversation: RehearsalRequest) -> RehearsalReply:
        replies = self._replies
        if replies is None or callable(replies):
            chosen: Reply = "" if replies is None else replies(conversation)
        else:
            chosen = replies[min(conversation.turn, len(replies) - 1)]
        if isinstance(chosen, str):
            return RehearsalReply(chosen)
        return RehearsalReply(calls=(chosen,) if isinstance(chosen, RehearsalToolCall) else tuple(chosen))

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()

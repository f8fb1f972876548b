"""One try on one route, with its time limits: connecting, first token, next token, whole call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from orchestration.clock import Clock
from orchestration.providers.assembly import Assembly, fault_of, usage_of
from orchestration.providers.endpoint import Answer, CallFailed
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.limits import headroom
from orchestration.providers.route import RouteRecord
from orchestration.providers.wire import ChatBody, Completion, Progress, ProgressCallback, Usage

_PROGRESS_SECONDS = 0.25

# Takes each chunk of a stream; while it does, no time limit of the provider's runs.
HandOn = Callable[[Mapping[str, Any]], Awaitable[None]]


class Attempt:
    """A try. `first_token_seconds` is set as soon as there is a token, so that a caller knows what was handed on."""

    def __init__(
        self,
        record: RouteRecord,
        clock: Clock,
        *,
        seconds: float | None = None,
        progress: ProgressCallback | None = None,
        hand_on: HandOn | None = None,
    ) -> None:
        self._record = record
        self._clock = clock
        self._limits = record.provider.settings.timeouts
        self._call_seconds = self._limits.call if seconds is None else min(self._limits.call, seconds)
        self._progress = progress
        self._hand_on = hand_on
        self._said = float("-inf")
        self._started = clock.monotonic()
        self._rehearsal = record.provider.rehearsal
        self.first_token_seconds: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock.monotonic() - self._started

    async def complete(self, body: ChatBody) -> Completion:
        """The whole answer. Raises CallFailed."""
        end = asyncio.get_running_loop().time() + self._call_seconds
        try:
            async with asyncio.timeout_at(self._limit_from_now(end, self._limits.first_token)) as timer:
                model = self._record.route.model
                async with self._record.provider.endpoint.chat(model, body, self._clock.now()) as answer:
                    self._rehearsal = self._rehearsal or "x-rehearsal" in answer.headers
                    self._record.provider.headroom = headroom(answer.headers) or self._record.provider.headroom
                    if answer.chunks is None:
                        return self._from_body(answer, body)
                    return await self._from_chunks(answer, body, timer, end)
        except TimeoutError as error:
            raise CallFailed(Failure(FailureKind.TIMEOUT, self._what_timed_out(end))) from error

    async def _from_chunks(self, answer: Answer, body: ChatBody, timer: asyncio.Timeout, end: float) -> Completion:
        assembly = Assembly()
        async for chunk in answer.chunks or _nothing():
            if assembly.add(chunk):
                self._note_token(assembly.tokens)
            if self._hand_on is not None:
                timer.reschedule(None)
                await self._hand_on(chunk)
            if self.first_token_seconds is not None:
                timer.reschedule(self._limit_from_now(end, self._limits.next_token))
        return self._completion(assembly.message(), assembly.finish_reason, assembly.usage(body))

    def _from_body(self, answer: Answer, body: ChatBody) -> Completion:
        data = answer.body or {}
        choice = data["choices"][0]
        message = {"role": "assistant", **choice["message"]}
        self._note_token(1)
        return self._completion(message, choice.get("finish_reason"), usage_of(data.get("usage"), body, message))

    def _completion(self, message: Mapping[str, Any], finish_reason: str | None, usage: Usage) -> Completion:
        if (failure := fault_of(message, finish_reason)) is not None:
            raise CallFailed(failure)
        return Completion(
            message=message,
            finish_reason=finish_reason or "",
            usage=usage,
            route=self._record.route,
            first_token_seconds=self.first_token_seconds,
            seconds=self.seconds,
            rehearsal=self._rehearsal,
        )

    def _note_token(self, tokens: int) -> None:
        now = self._clock.monotonic()
        if self.first_token_seconds is None:
            self.first_token_seconds = now - self._started
        if self._progress is not None and now - self._said >= _PROGRESS_SECONDS:
            self._said = now
            self._progress(Progress(self._record.route, tokens, now - self._started))

    def _limit_from_now(self, end: float, seconds: float) -> float:
        return min(end, asyncio.get_running_loop().time() + seconds)

    def _what_timed_out(self, end: float) -> str:
        if asyncio.get_running_loop().time() >= end:
            return f"no end within {self._call_seconds:g} s"
        if self.first_token_seconds is None:
            return f"no first token within {self._limits.first_token:g} s"
        return f"no next token within {self._limits.next_token:g} s"


async def _nothing() -> Any:
    return
    yield

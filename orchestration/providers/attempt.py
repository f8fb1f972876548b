"""One attempt on one route, with its time limits: connecting, first token, next token, whole call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

import anyio

from orchestration.clock import Clock
from orchestration.domain.work_phase import WorkPhase
from orchestration.providers.dialects.context_window import estimated_tokens
from orchestration.providers.dialects.prompt_size import asked_in, estimate_tokens
from orchestration.providers.dialects.surrogates import HalfCharacters, sound_value
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.route import RouteRecord
from orchestration.providers.stream_assembly import (
    OF_ANSWER,
    OF_CHOICE,
    StreamAssembly,
    as_chunk,
    fault_of,
    other_fields,
    usage_of,
)
from orchestration.providers.token_bucket import headroom
from orchestration.providers.wire import (
    CallProgress,
    ChatBody,
    Completion,
    ModelApi,
    NativeRequest,
    ProgressCallback,
    TokenUsage,
)

P = ParamSpec("P")
T = TypeVar("T")

# Tokens can come by the hundred per second; a heartbeat for each would cost more than it tells.
_PROGRESS_SECONDS = 0.25

# Receives each chunk of a stream. Time limits do not run meanwhile: a slow consumer is not the provider's fault.
ChunkCallback = Callable[[Mapping[str, Any]], Awaitable[None]]


class RouteAttempt:
    """One attempt. `first_token_seconds` is set as soon as there is a token."""

    def __init__(
        self,
        record: RouteRecord,
        clock: Clock,
        *,
        seconds: float | None = None,
        progress: ProgressCallback | None = None,
        on_chunk: ChunkCallback | None = None,
        on_start: Callable[[], None] | None = None,
        claim: Callable[[], bool] | None = None,
        api: ModelApi = ModelApi.CHAT,
        native: NativeRequest | None = None,
        begun: bool = False,
    ) -> None:
        """`begun` means that the answer is the rest of another, which may have been complete."""
        self._record = record
        self._clock = clock
        self._limits = record.provider.settings.timeouts
        self._call_seconds = self._limits.call if seconds is None else min(self._limits.call, seconds)
        # Without streaming the first token arrives together with the last.
        self._first_seconds = self._limits.first_token if record.provider.settings.streaming else self._call_seconds
        self._progress = progress
        self._on_chunk, self._on_start = on_chunk, on_start
        self._claim, self._api, self._native, self._begun = claim, api, native, begun
        self._halves = HalfCharacters()
        self._assembly: StreamAssembly | None = None
        self._said, self._end = float("-inf"), float("inf")
        self._started = clock.monotonic()
        self._rehearsal = record.provider.rehearsal
        self._timer: asyncio.Timeout | None = None
        # When the provider last sent something, in seconds of the event loop; None while we do not wait for it.
        self.last_activity: float | None = None
        self.first_token_seconds: float | None = None

    @property
    def idle_seconds(self) -> float:
        """How long the provider has sent nothing although we wait for it; 0 before the request, and while the consumer
        processes a chunk."""
        return 0.0 if self.last_activity is None else asyncio.get_running_loop().time() - self.last_activity

    @property
    def has_delivered(self) -> bool:
        """Whether a token has been delivered, so that no other route can take over."""
        return self._on_chunk is not None and self.first_token_seconds is not None

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return self._clock.monotonic() - self._started

    def spent(self, body: ChatBody) -> TokenUsage:
        """About how many tokens the provider has used for an attempt without a complete answer."""
        answered = 0 if self._assembly is None else self._assembly.written_tokens
        return TokenUsage(estimate_tokens(asked_in(body)), answered, estimated=True)

    async def complete(self, body: ChatBody) -> Completion:
        """The whole answer. Raises CallFailed."""
        self.last_activity = asyncio.get_running_loop().time()
        self._report_prompt(body)
        end = self._end = self.last_activity + self._call_seconds
        try:
            async with asyncio.timeout_at(self._limit_from_now(end, self._first_seconds)) as timer:
                self._timer = timer
                model, provider = self._record.route.model, self._record.provider
                embeds = self._api is ModelApi.EMBEDDINGS
                send = provider.endpoint.embeddings if embeds else provider.endpoint.chat
                asked = body if embeds else provider.endpoint.adapted(body, self._native)
                async with send(model, asked, self._clock.wall()) as answer:
                    self._rehearsal = self._rehearsal or "x-rehearsal" in answer.headers
                    provider.headroom = headroom(answer.headers) or provider.headroom
                    if embeds:
                        return await self._from_vectors(answer.body or {}, body)
                    if answer.chunks is None:
                        return await self._from_body(answer.body or {}, body, timer)
                    return await self._from_chunks(answer.chunks, body, timer, end)
        except TimeoutError as error:
            # A TimeoutError from inside, not from our limit: a bug, and not the provider's failure.
            if not timer.expired():
                raise
            raise CallFailed(Failure(FailureKind.TIMEOUT, self._timeout_message(end))) from error

    def allow_more(self) -> None:
        """Let the limit for the next token begin anew: the server is known to be at work on it. The limit of the whole
        call stays."""
        # None while the consumer works on a chunk.
        if self._timer is not None and not self._timer.expired() and self._timer.when() is not None:
            seconds = self._first_seconds if self.first_token_seconds is None else self._limits.next_token
            self._timer.reschedule(self._limit_from_now(self._end, seconds))

    async def _from_chunks(
        self, chunks: AsyncIterator[Mapping[str, Any]], body: ChatBody, timer: asyncio.Timeout, end: float
    ) -> Completion:
        """Assemble a stream. Chunks are held back until there is a token: until one has been delivered, another route
        can still take over without the consumer noticing."""
        assembly = self._assembly = StreamAssembly()
        held: list[Mapping[str, Any]] = []
        async for chunk in chunks:
            self.last_activity = asyncio.get_running_loop().time()
            if _read(assembly.add, chunk):
                await self._record_token()
                self._report_tokens(assembly)
            held.append(chunk)
            if self.first_token_seconds is not None:
                held = await self._deliver(held, timer)
                timer.reschedule(self._limit_from_now(end, self._limits.next_token))
        usage = _read(assembly.usage, body)
        # Checked before the rest is delivered: as long as no token is out, another route can still take over.
        completion = self._completion(_read(assembly.message), assembly.finish_reason, usage)
        await self._deliver(held, timer)
        return replace(
            completion,
            reported_usage=assembly.reported_usage,
            choice_extra=assembly.choice_extra,
            extra=assembly.extra,
        )

    async def _from_body(self, data: Mapping[str, Any], body: ChatBody, timer: asyncio.Timeout) -> Completion:
        choice = data["choices"][0]
        message = sound_value({"role": "assistant", **choice["message"]})
        usage = _read(usage_of, data.get("usage"), body, message)
        completion = self._completion(message, choice.get("finish_reason"), usage)
        await self._record_token()
        self._report(WorkPhase.ANSWERING, usage.completion_tokens, str(message.get("content") or ""))
        if self._on_chunk is not None:
            await self._deliver([_read(as_chunk, data)], timer)
        return replace(
            completion,
            first_token_seconds=self.first_token_seconds,
            reported_usage=data.get("usage"),
            choice_extra=other_fields(choice, OF_CHOICE),
            extra=other_fields(data, OF_ANSWER),
        )

    async def _from_vectors(self, data: Mapping[str, Any], body: ChatBody) -> Completion:
        await self._record_token()
        usage = _read(usage_of, data.get("usage"), body, {})
        return Completion(
            message={},
            finish_reason="stop",
            usage=replace(usage, completion_tokens=0),
            route=self._record.route,
            seconds=self.seconds,
            rehearsal=self._rehearsal,
            reported_usage=data.get("usage"),
            extra=data,
        )

    async def _deliver(self, chunks: list[Mapping[str, Any]], timer: asyncio.Timeout) -> list[Mapping[str, Any]]:
        """Deliver chunks to the consumer; returns those that are left, which are none."""
        if self._on_chunk is not None:
            timer.reschedule(None)
            self.last_activity = None
            if self._on_start is not None:
                self._on_start()
                self._on_start = None
            for chunk in chunks:
                await self._on_chunk(self._halves.whole(chunk))
            self.last_activity = asyncio.get_running_loop().time()
        return []

    def _completion(self, message: Mapping[str, Any], finish_reason: str | None, usage: TokenUsage) -> Completion:
        if (failure := fault_of(message, finish_reason, begun=self._begun)) is not None:
            raise CallFailed(failure)
        return Completion(
            message=message,
            finish_reason=finish_reason or ("tool_calls" if message.get("tool_calls") else "stop"),
            usage=usage,
            route=self._record.route,
            first_token_seconds=self.first_token_seconds,
            seconds=self.seconds,
            rehearsal=self._rehearsal,
        )

    async def _record_token(self) -> None:
        if self.first_token_seconds is not None:
            return
        if self._claim is not None and not self._claim():
            # Another attempt has won. This one is being ended, and must not deliver anything meanwhile.
            await anyio.sleep_forever()
        self.first_token_seconds = self._clock.monotonic() - self._started

    def _report_prompt(self, body: ChatBody) -> None:
        if self._progress is not None:
            tokens = estimated_tokens(body, self._record.bytes_per_token)
            self._progress(CallProgress(WorkPhase.READING, str(self._record.route), prompt_tokens=tokens))

    def _report_tokens(self, assembly: StreamAssembly) -> None:
        now = self._clock.monotonic()
        if self._progress is not None and now - self._said >= _PROGRESS_SECONDS:
            self._said = now
            phase = WorkPhase.THINKING if assembly.thinks else WorkPhase.ANSWERING
            self._report(phase, assembly.tokens, assembly.take_news())

    def _report(self, phase: WorkPhase, tokens: int, text: str) -> None:
        if self._progress is not None:
            self._progress(CallProgress(phase, str(self._record.route), tokens, text=text))

    def _limit_from_now(self, end: float, seconds: float) -> float:
        return min(end, asyncio.get_running_loop().time() + seconds)

    def _timeout_message(self, end: float) -> str:
        if asyncio.get_running_loop().time() >= end:
            return f"no end within {self._call_seconds:g} s"
        if self.first_token_seconds is None:
            return f"no first token within {self._first_seconds:g} s"
        return f"no next token within {self._limits.next_token:g} s"


def _read(function: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """Apply a function to an answer. Raises CallFailed if the answer has an unexpected shape.

    Compatible servers omit fields or send null for them; a KeyError in our code must become a failure of the route.
    """
    try:
        return function(*arguments, **more)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        message = f"the answer has not the shape of one: {type(error).__name__}: {error}"
        raise CallFailed(Failure(FailureKind.MALFORMED, message, 200)) from error

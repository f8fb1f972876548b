"""Liveness of a provider during a call: is it thinking, or gone?

A model may think for minutes before its first token, so the time limits of a call are generous, and a provider that
hangs would block its callers for as long. But a provider that is thinking still answers a cheap probe. So while a call
has been idle for a moment, the provider is probed, at growing intervals. If neither the call nor several probes hear
anything, the call is abandoned (`call_silence.py` says when) and the next route is tried.

Some servers process one request at a time and answer no probe while they work. So silence counts only if the provider
is known to answer probes during calls: because of its kind, or because it has done so before. And a model that computes
on this machine may take the processors that would answer; so a server whose process uses them is never silent, and the
limits for its next token begin anew.
"""

from __future__ import annotations

import asyncio

import anyio
import anyio.to_thread

from orchestration.clock import Clock
from orchestration.providers.attempt import RouteAttempt
from orchestration.providers.call_silence import CallSilence
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.probe_timeout import sleep_while_running
from orchestration.providers.route import ProviderState, RouteRecord
from orchestration.providers.server_process import ServerProcess
from orchestration.providers.wire import ChatBody, Completion

# On this machine a probe costs nothing, and half a second without a token is already unusual in the middle of a stream.
_IDLE_SECONDS = 0.5
# A vendor counts every request against the rate limit, and several idle seconds are usual there: probe later.
_IDLE_REMOTE_SECONDS = 5.0
# By then the call has reached the server, so an answer to a probe proves that the server can do both at once, if the
# call goes on for as long after it: else the server may have answered behind the end of the call.
_PROOF_SECONDS = 0.1
# A loading model is silent for a minute: growing pauses keep that to a handful of probes.
_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 15.0
_POLL_SECONDS = 0.05
# With many calls to one provider, the result of a probe serves all of them for this long.
_FRESH_SECONDS = 1.0


async def complete(record: RouteRecord, attempt: RouteAttempt, body: ChatBody, clock: Clock) -> Completion:
    """Complete an attempt while watching the provider. Raises CallFailed, and what the attempt's `on_chunk` raises."""
    gone: list[Failure] = []
    watching: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        gone.append(await _CallWatch(record, attempt, clock).until_gone())
        timer.reschedule(loop.time())

    # Most calls end before that, and a task for each would cost more than the timer.
    later = loop.call_later(_PROOF_SECONDS, lambda: watching.append(loop.create_task(watch())))
    try:
        async with asyncio.timeout(None) as timer:
            return await attempt.complete(body)
    except TimeoutError:
        if not gone:
            raise
        raise CallFailed(gone[0]) from None
    finally:
        later.cancel()
        for task in watching:
            await _ended(task)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a watch and wait until it has released its probe's connection."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


class _CallWatch:
    """Watches the provider of one call."""

    def __init__(self, record: RouteRecord, attempt: RouteAttempt, clock: Clock) -> None:
        self._record = record
        self._attempt = attempt
        self._clock = clock
        self._provider = record.provider
        settings = self._provider.endpoint.settings
        self._local = settings.is_local
        self._server = ServerProcess(settings.effective_base_url or "") if self._local else None
        # The watch begins that long after the call.
        self._started = self._alive_at = asyncio.get_running_loop().time() - _PROOF_SECONDS
        self._pause = _PAUSE_SECONDS
        self._heard = attempt.last_activity
        self._probed_at = float("-inf")
        self._silent_probes = 0
        self._first_limit = 0.0

    async def until_gone(self) -> Failure:
        """Return the failure once the call is to be given up."""
        while True:
            if self._provider.answers_during_calls or not self._local:
                await _until_idle(self._attempt, _IDLE_SECONDS if self._local else _IDLE_REMOTE_SECONDS)
            self._listen()
            limit = self._limit()
            self._probed_at, outcome = await _probe(self._record, self._attempt, self._clock, self._probed_at, limit)
            silence = self._judge(outcome, await self._works())
            if silence.is_final and outcome is not None:
                idle, probes = self._attempt.idle_seconds, silence.probes
                message = f"nothing was heard for {idle:.1f} s, and of {probes} probes neither: {outcome.message}"
                return Failure(FailureKind.UNREACHABLE, message, confirmed=True)
            if silence.probes:
                await anyio.sleep(max(_POLL_SECONDS, silence.pause))
                continue
            if outcome is None and not self._provider.answers_during_calls:
                await anyio.sleep(_PROOF_SECONDS)
                self._provider.answers_during_calls = True
            await anyio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def _limit(self) -> float:
        """How long the next probe may take: the second as long as the first, then each twice as long."""
        if not self._silent_probes:
            self._first_limit = self._provider.endpoint.probe_timeout.seconds
        return float(self._first_limit * 2 ** max(0, self._silent_probes - 1))

    def _listen(self) -> bool:
        """Whether the call has received anything since the last time."""
        heard, self._heard = self._heard, self._attempt.last_activity
        if self._heard == heard:
            return False
        self._alive_at = max(self._alive_at, self._heard or asyncio.get_running_loop().time())
        self._silent_probes, self._pause = 0, _PAUSE_SECONDS
        return True

    async def _works(self) -> bool | None:
        """Whether the server's process has been at work since the last probe; None where nobody can know."""
        if self._server is None:
            return None
        now = asyncio.get_running_loop().time()
        # Abandoned when the call ends, which must not wait for it.
        works = await anyio.to_thread.run_sync(self._server.works, now, abandon_on_cancel=True)
        if works:
            self._attempt.allow_more()
        return works

    def _judge(self, outcome: Failure | None, works: bool | None) -> CallSilence:
        """The silence of the call after a probe and its outcome."""
        now = asyncio.get_running_loop().time()
        # Anything but silence is a sign of life: who refuses is there.
        unanswered = outcome is not None and outcome.kind is FailureKind.TIMEOUT
        if self._listen():
            return CallSilence(self._alive_at - self._started, now - self._alive_at, 0)
        if works or not unanswered or not self._provider.answers_during_calls:
            self._alive_at, self._silent_probes = now, 0
        else:
            self._silent_probes += 1
        return CallSilence(self._alive_at - self._started, now - self._alive_at, self._silent_probes, works)


async def _until_idle(attempt: RouteAttempt, seconds: float) -> None:
    while (quiet := attempt.idle_seconds) < seconds:  # noqa: ASYNC110 (tokens come far too often to wake somebody for each)
        await anyio.sleep(max(seconds - quiet, _POLL_SECONDS))


async def _probe(
    record: RouteRecord, attempt: RouteAttempt, clock: Clock, after: float, limit: float
) -> tuple[float, Failure | None]:
    """Probe during the call, or use a probe that another call has sent since `after` while this one was idle: one at a
    time is enough for all. Returns when it ended, and the failure if the provider did not answer.

    A refused connection says nothing about the call: a server that is shutting down accepts no new connections but
    finishes the requests in progress.
    """
    provider, now = record.provider, asyncio.get_running_loop().time
    async with provider.probing:
        at, outcome = provider.last_parallel_probe
        if (
            at > after
            and now() - at < _FRESH_SECONDS
            and (attempt.last_activity is None or attempt.last_activity <= at)
        ):
            return at, outcome
        outcome = await _probed(provider, clock, limit)
        provider.last_parallel_probe = now(), outcome
        return provider.last_parallel_probe


async def _probed(provider: ProviderState, clock: Clock, limit: float) -> Failure | None:
    """Probe for so many seconds at most."""
    found: list[Failure | None] = []

    async def ask() -> None:
        try:
            await provider.endpoint.probe(clock.wall())
            found.append(None)
        except CallFailed as error:
            found.append(error.failure)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        # The endpoint's own limit ends first, unless earlier silences have made it longer.
        await sleep_while_running(limit + _POLL_SECONDS)
        group.cancel_scope.cancel()
    return found[0] if found else Failure(FailureKind.TIMEOUT, f"no answer to a probe within {limit:g} s")

"""Liveness of a provider during a call: is it thinking, or gone?

A model may think for minutes before its first token, so the time limits of a call are generous, and a provider that
hangs would block its callers for as long. But a provider that is thinking still answers a cheap probe. So while a call
has been idle for a moment, the provider is probed, at growing intervals. If neither the call nor the probe hears
anything, the call is abandoned and the next route is tried.

Some servers process one request at a time and answer no probe while they work. So silence counts only if the provider
is known to answer probes during calls: because of its kind, or because it has done so before.
"""

from __future__ import annotations

import asyncio

import anyio

from orchestration.clock import Clock
from orchestration.providers.attempt import RouteAttempt
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.route import RouteRecord
from orchestration.providers.wire import ChatBody, Completion

# On this machine a probe costs nothing, and half a second without a token is already unusual in the middle of a stream.
_IDLE_SECONDS = 0.5
# A vendor counts every request against the rate limit, and several idle seconds are usual there: probe later.
_IDLE_REMOTE_SECONDS = 5.0
# By then the call has reached the server, so an answer to a probe proves that the server can do both at once.
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
        gone.append(await _until_gone(record, attempt, clock))
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


async def _until_gone(record: RouteRecord, attempt: RouteAttempt, clock: Clock) -> Failure:
    """Return the failure once it is certain that the provider is gone."""
    provider, pause = record.provider, _PAUSE_SECONDS
    local = provider.endpoint.settings.is_local
    while True:
        if provider.answers_during_calls or not local:
            await _until_idle(attempt, _IDLE_SECONDS if local else _IDLE_REMOTE_SECONDS)
        heard = attempt.last_activity
        outcome = await _probe(record, attempt, clock)
        if outcome is None:
            provider.answers_during_calls = True
        if attempt.last_activity != heard:
            pause = _PAUSE_SECONDS
        elif provider.answers_during_calls and outcome is not None and outcome.kind is FailureKind.TIMEOUT:
            message = f"nothing was heard for {attempt.idle_seconds:.1f} s, and of a probe neither: {outcome.message}"
            return Failure(FailureKind.UNREACHABLE, message, confirmed=True)
        await anyio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _until_idle(attempt: RouteAttempt, seconds: float) -> None:
    while (quiet := attempt.idle_seconds) < seconds:  # noqa: ASYNC110 (tokens come far too often to wake somebody for each)
        await anyio.sleep(max(seconds - quiet, _POLL_SECONDS))


async def _probe(record: RouteRecord, attempt: RouteAttempt, clock: Clock) -> Failure | None:
    """Probe during the call; None if the provider answered.

    A probe for another call that ended while this one was idle counts, too: one probe at a time is enough for all. A
    refused connection says nothing about the call: a server that is shutting down accepts no new connections but
    finishes the requests in progress.
    """
    provider, now = record.provider, asyncio.get_running_loop().time
    async with provider.probing:
        at, outcome = provider.last_parallel_probe
        if now() - at < _FRESH_SECONDS and (attempt.last_activity is None or attempt.last_activity <= at):
            return outcome
        outcome = None
        try:
            await provider.endpoint.probe(clock.now())
        except CallFailed as error:
            outcome = error.failure
        provider.last_parallel_probe = now(), outcome
        return outcome

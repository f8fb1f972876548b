"""Following runs on a terminal, or line by line without one, until they end or cannot continue.

What is shown is read from the database, so it does not matter which process carries a run out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import anyio
import anyio.to_thread

from orchestration.app import Application
from orchestration.app.found_providers import unused_providers
from orchestration.cli.isolate import echo_isolation
from orchestration.cli.live_board import live_board
from orchestration.cli.live_view import LiveView
from orchestration.cli.long_waits import LongWaits
from orchestration.cli.output import echo
from orchestration.cli.render import outcome_text
from orchestration.clock import Clock
from orchestration.config.isolation import Isolation, isolation_of
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.events.runs import RunCancelled, RunFinished
from orchestration.storage.runs import Run
from orchestration.storage.timeline import Timeline

# Short enough that a line seems to appear at once.
_POLL_SECONDS = 0.2
# Asking who works on a run reads the engine's tree of workflows and the leases, which costs more than reading the
# run.
_WORKERS_CHECK_SECONDS = 1.0
# While a run moves from a stopped worker to the next, no process works on it for a moment.
_HANDOVER_SECONDS = 8.0
# The timeline is written in batches, so the last event of a run can arrive after its status has changed.
_LAST_EVENT_SECONDS = 2.0
_LAST_EVENTS = frozenset({RunFinished.kind, RunCancelled.kind})
# A long run is read in parts of this size, the rest with the next poll, so that memory stays bounded.
_MAX_EVENTS = 10_000


class RunFollower:
    """Shows the events of runs as they arrive: those since a time are printed, earlier ones only update the view."""

    def __init__(
        self,
        timeline: Timeline,
        run_ids: Sequence[str],
        since: datetime,
        isolation: Callable[[], Isolation | None],
        clock: Clock,
        *,
        quiet: bool,
    ) -> None:
        self.board = LiveView()
        self._clock = clock
        # None where the board shows what takes long.
        self._waits: LongWaits | None = LongWaits()
        self._isolation = isolation
        self._timeline = timeline
        self._after = dict.fromkeys(run_ids, 0)
        self._since = since
        self._quiet = quiet
        self._print: Callable[[str], None] = echo
        self._ended: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether the last event of each run has been read."""
        return len(self._ended) == len(self._after)

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Show the live view on the terminal, inside the block."""
        if self._quiet or not sys.stdout.isatty():
            yield
            return
        with live_board(self.board, self._clock.now) as print_above:
            self._print, self._waits = print_above, None
            try:
                yield
            finally:
                self._print = echo

    def poll(self) -> None:
        """Read new events, and print a line for each that is meant for people."""
        self._show_isolation()
        for run_id, after in self._after.items():
            for sequence, event in self._timeline.list(run_id, after=after, limit=_MAX_EVENTS):
                self._after[run_id] = sequence
                # A resumed run already has the last event of an earlier attempt on its timeline; only one of this
                # attempt ends it.
                if event.kind in _LAST_EVENTS and event.at >= self._since:
                    self._ended.add(run_id)
                line = self.board.update(event)
                if line and not self._quiet and event.at >= self._since:
                    self._print(f"{event.at:%H:%M:%S} {line}")
            for heartbeat in self._timeline.list_heartbeats(run_id):
                self.board.beat(heartbeat)
        if self._waits is not None and not self._quiet:
            now = self._clock.now()
            for line in self._waits.lines(self.board.at_work(now), now):
                self._print(f"{now:%H:%M:%S} {line}")

    def _show_isolation(self) -> None:
        found = self._isolation()
        sentence = "" if found is None else found.sentence
        if sentence and sentence != self.board.isolation and not self._quiet:
            echo_isolation(found, self._print)
        self.board.isolation = sentence


class FollowLimit:
    """Decides when to stop following unfinished runs; `why` is the reason, once there is one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waited = 0.0
        self._unattended = 0.0
        self.why = ""

    def used_up(self, open_: Sequence[Run], *, unattended: bool) -> bool:
        """Whether all runs have waited too long for a provider, or for a worker that is gone."""
        # An approval is left out: a person may take hours, and the run is right to wait.
        stuck = all(run.status is RunStatus.WAITING and run.hold is not RunHold.APPROVAL for run in open_)
        self._waited = self._waited + _POLL_SECONDS if stuck else 0.0
        # Any sign of a worker starts the count anew, so that only an uninterrupted absence ends the following.
        self._unattended = self._unattended + _POLL_SECONDS if unattended else 0.0
        if self._unattended > _HANDOVER_SECONDS:
            self.why = "no worker takes it any more"
        return self._waited > self._seconds or bool(self.why)


async def follow(
    application: Application, runs: Sequence[Run], *, patience: float, quiet: bool = False
) -> tuple[Run, ...]:
    """Show the runs until each has ended, or until those that have not have all waited longer than `patience` seconds
    for a provider. Those of this process are then stopped, to be resumed later; others are left to their worker. An
    interruption does the same. Returns the runs as they then are."""
    run_ids = [run.id for run in runs]
    for run_id in run_ids:
        if not quiet and await application.placement.is_elsewhere(run_id):
            echo(f"{run_id}: a worker of `orchestrator serve` works on it; Ctrl-C only stops following")
    isolation = partial(isolation_of, application.store)
    follower = RunFollower(
        application.timeline, run_ids, application.opened_at, isolation, application.clock, quiet=quiet
    )
    try:
        with follower.showing():
            await _until_no_further(application, run_ids, follower, FollowLimit(patience))
    except (anyio.get_cancelled_exc_class(), BrokenPipeError) as error:
        reader_gone = isinstance(error, BrokenPipeError)
        because = "nobody reads its output any more" if reader_gone else "it was interrupted"
        # The task is cancelled already; without the shield the first await would stop the stopping.
        with anyio.CancelScope(shield=True):
            for run in await _stop_own(application, run_ids, because):
                # On standard error: after a broken pipe nobody reads standard output.
                echo(outcome_text(run, ()), err=True)
        raise
    return tuple([await application.get_run(run_id) for run_id in run_ids])


async def _until_no_further(
    application: Application, run_ids: Sequence[str], follower: RunFollower, patience: FollowLimit
) -> None:
    checked_at, unattended = float("-inf"), False
    while True:
        open_ = [run for run in [await application.get_run(run_id) for run_id in run_ids] if not run.status.ended]
        # In a thread: a slow read must not hold up the run itself, which works on this event loop.
        await anyio.to_thread.run_sync(follower.poll)
        if not open_:
            await _read_last_events(application, follower)
            return
        if (now := application.clock.monotonic()) - checked_at > _WORKERS_CHECK_SECONDS:
            checked_at, unattended = now, await _unattended(application, open_)
        if patience.used_up(open_, unattended=unattended):
            await _stop_own(application, run_ids, patience.why)
            return
        await application.clock.sleep(_POLL_SECONDS)


async def _read_last_events(application: Application, follower: RunFollower) -> None:
    deadline = application.clock.monotonic() + _LAST_EVENT_SECONDS
    while not follower.complete and application.clock.monotonic() < deadline:
        await application.clock.sleep(_POLL_SECONDS / 2)
        await anyio.to_thread.run_sync(follower.poll)


async def _unattended(application: Application, open_: Sequence[Run]) -> bool:
    """Whether no live process works on any of the runs, or could."""
    return not any([await application.placement.is_attended(run.id) for run in open_])


async def _stop_own(application: Application, run_ids: Sequence[str], because: str) -> list[Run]:
    """Stop the unfinished runs of this process; returns all unfinished ones."""
    for run_id in run_ids:
        run = await application.get_run(run_id)
        # A run of another process is not ours to stop; Ctrl-C only ends the following.
        if not run.status.ended and not await application.placement.is_elsewhere(run_id):
            await application.launcher.stop([run_id], because or None)
    return [run for run in [await application.get_run(run_id) for run_id in run_ids] if not run.status.ended]


def conclude(application: Application, runs: Sequence[Run], *, quiet: bool) -> int:
    """Print the outcomes of the runs; returns the exit code."""
    if not quiet:
        for run in runs:
            echo(outcome_text(run, application.artifacts_of(run)))
        if any(run.status is RunStatus.STOPPED and run.hold is RunHold.NO_PROVIDER for run in runs):
            for found, advice in unused_providers(application.configuration, application.store.credentials):
                echo(f"{found.name} {advice}")
    return 0 if all(run.status is RunStatus.SUCCEEDED for run in runs) else 1

"""Following runs on a terminal, or line by line where there is none, until they end or can go no further."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import anyio
import click

from orchestration.app import Application
from orchestration.cli.board import Board
from orchestration.cli.render import live_board, outcome_text
from orchestration.events import Event
from orchestration.storage.runs import Run, RunStatus

_LOOK_SECONDS = 0.2


class Follower:
    """Shows the events of some runs as they come."""

    def __init__(self, run_ids: Sequence[str], *, quiet: bool) -> None:
        self.board = Board()
        self.run_ids = frozenset(run_ids)
        self._quiet = quiet
        self._print: Callable[[str], None] = click.echo

    @contextmanager
    def showing(self, application: Application) -> Iterator[None]:
        """Show events for as long as the block lasts."""
        unsubscribe = application.bus.subscribe(self.take)
        try:
            if self._quiet or not sys.stdout.isatty():
                yield
            else:
                with live_board(self.board) as print_above:
                    self._print = print_above
                    yield
        finally:
            self._print = click.echo
            unsubscribe()

    def take(self, event: Event) -> None:
        """Note an event, and print its line if it has one."""
        if event.run_id not in self.run_ids and event.run_id is not None:
            return
        line = self.board.take(event)
        if line and not self._quiet:
            self._print(f"{event.at:%H:%M:%S} {line}")


async def follow(
    application: Application, runs: Sequence[Run], *, patience: float, quiet: bool = False
) -> tuple[Run, ...]:
    """Show the runs until each has ended, or until those that have not have all waited longer than `patience` seconds
    for a provider; those are stopped, and can be resumed. Returns the runs as they then are."""
    follower = Follower([run.id for run in runs], quiet=quiet)
    with follower.showing(application):
        waited = 0.0
        while True:
            now = [await application.get_run(run.id) for run in runs]
            open_ = [run for run in now if not run.status.ended]
            if not open_:
                break
            stuck = all(run.status is RunStatus.WAITING and "approval" not in run.reason for run in open_)
            waited = waited + _LOOK_SECONDS if stuck else 0.0
            if waited > patience:
                await application.stop_runs(open_)
                break
            await anyio.sleep(_LOOK_SECONDS)
    return tuple([await application.get_run(run.id) for run in runs])


def conclude(application: Application, runs: Sequence[Run], *, quiet: bool) -> int:
    """Say how the runs came out; returns the exit code."""
    if not quiet:
        for run in runs:
            click.echo(outcome_text(run, application.artifacts_of(run)))
    return 0 if all(run.status is RunStatus.SUCCEEDED for run in runs) else 1

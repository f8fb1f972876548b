"""The live view of followed runs, drawn at the bottom of a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestration.cli.live_view import AgentProgress, LiveView
from orchestration.cli.output import visible
from orchestration.cli.render import console, first_line, table
from orchestration.runs.activity_text import activity_seconds, activity_text, lost_seconds, tail_lines
from orchestration.runs.plan_progress import StepState
from orchestration.storage.timeline import HeartbeatRow

# From which width of the terminal on there is room for a column, and how wide it is; two share what is left.
_COLUMNS = {"AGENT": 0, "NOW": 0, "FOR": 0, "WORKS ON": 70, "TOKENS": 50, "CALLS": 80, "COST": 90, "PROVIDER": 150}
_WIDTHS = {"AGENT": 13, "FOR": 9, "TOKENS": 9, "CALLS": 7, "COST": 9, "PROVIDER": 26}
_BAR_WIDTH = 20
# Lines of the terminal that stay free for what is printed above the board.
_ABOVE = 6


@contextmanager
def live_board(board: LiveView, now: Callable[[], datetime]) -> Iterator[Callable[[str], None]]:
    """Keep the board at the bottom of the terminal; yields a function that prints a line above it."""
    output = console()

    # A function instead of a renderable: rich calls it at each refresh, so the board is always of the present, and
    # `transient` leaves only the printed lines behind (https://rich.readthedocs.io/en/stable/live.html).
    def draw() -> Group:
        return _board(board, output, now())

    board_on_screen = Live(get_renderable=draw, console=output, refresh_per_second=4, transient=True)
    # Drawn before its thread begins: only then rich knows what to overwrite. What the thread and a printed line draw
    # at the same time would stand side by side.
    board_on_screen.start(refresh=True)
    try:
        # Through the same console, which prints above the board; any other output would tear it apart.
        yield lambda line: output.print(Text(visible(line)))
    finally:
        board_on_screen.stop()


def _board(board: LiveView, output: Console, now: datetime) -> Group:
    """The agents at work, one a line, with what is heard or printed: what there is no room for is left out, what
    matters least first."""
    width = output.width
    working = [line for line in board.agents.values() if line.state == "running"]
    names = [name for name, least in _COLUMNS.items() if width >= least]
    lines = [*working, *(_other(beat) for beat in board.at_work(now) if beat.agent_run_id in board.others)]
    rows = [[cell for name, cell in _cells(line, width, now).items() if name in names] for line in lines]
    parts: list[RenderableType] = [Text(visible(board.isolation), style="bold red")] if board.isolation else []
    if rows:
        parts.append(table(names, rows))
    room = max(0, output.height - _ABOVE - len(rows))
    parts += [_tail(line.beat, width) for line in lines if line.beat is not None and line.beat.tail.strip()][:room]
    if board.plan.steps:
        parts.append(_plan(board, width))
    return Group(*parts, _total(board, len(working), now))


def _other(beat: HeartbeatRow) -> AgentProgress:
    return AgentProgress(beat.agent, "", beat.activity, beat=beat)


def _total(board: LiveView, working: int, now: datetime) -> Text:
    money = f" · ${board.usd:.4f}" if board.usd else ""
    took = "" if board.began is None else f" · {_span((now - board.began).total_seconds())}"
    label = " · rehearsal: no real model answers" if board.rehearsal else ""
    total = Text(f"{working} at work · {board.tokens} tokens{money}{label}{took}", style="dim", overflow="ellipsis")
    total.no_wrap = True
    return total


def _plan(board: LiveView, width: int) -> Table:
    """The bar of the run: the steps of its plan that are done, and which are under way."""
    steps = board.plan.steps.values()
    running = ", ".join(step.title for step in steps if step.state is StepState.RUNNING)
    text = f"{board.plan.done} of {len(steps)} steps done" + (f": {running}" if running else "")
    line = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=len(steps), completed=board.plan.done, width=min(_BAR_WIDTH, width // 3))
    line.add_row(
        bar, Text(visible(first_line(text, max(10, width - _BAR_WIDTH - 2))), no_wrap=True, overflow="ellipsis")
    )
    return line


def _tail(beat: HeartbeatRow, width: int) -> Text:
    """The last line that was heard or printed: of a line that is too long its end, where it grows."""
    name = f"{first_line(beat.agent, 12)} │ "
    line = visible("".join(tail_lines(beat, 1)).expandtabs(2).strip())
    room = max(10, width - len(name) - 1)
    return Text(name + (line if len(line) <= room else "…" + line[1 - room :]), "dim", no_wrap=True, overflow="crop")


def _cells(line: AgentProgress, width: int, now: datetime) -> dict[str, str]:
    left = width - sum(taken for name, taken in _WIDTHS.items() if width >= _COLUMNS[name])
    now_room = max(10, (left * 3 // 5 if width >= _COLUMNS["WORKS ON"] else left) - 2)
    beat = line.beat
    lost = None if beat is None else lost_seconds(beat, now)
    words = line.activity if beat is None else activity_text(beat)
    return {
        "AGENT": first_line(line.agent, 12),
        "NOW": first_line(f"no sign of its process for {_span(lost)}" if lost else words, now_room),
        "FOR": "" if beat is None else _span(activity_seconds(beat, now)),
        "WORKS ON": first_line(line.title, max(10, left - now_room - 4)),
        "TOKENS": f"{line.tokens + line.coming}",
        "CALLS": f"{line.calls}",
        "COST": f"${line.usd:.4f}" if line.usd else "",
        "PROVIDER": first_line(line.provider, 25),
    }


def _span(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"

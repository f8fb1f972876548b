"""Slow models and slow tools, as people see them: nothing is silent for more than two seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from tests.support.console import ConsoleProject
from tests.support.patience import patient
from tests.support.slow_server import slow_server

# A prompt that is read for 4 s without a token, and a tool that prints nothing for 5 s.
READS, TOKENS, WORKS = 4.0, 15, "echo first line; sleep 5; echo second line"
LONGEST = 2.0
# Where the terminal's cursor moves, a frame ends; colours are within it.
COLOURS, MOVES = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"(?:\r?\x1b\[[0-9;?]*[A-Zhl])+")
RUN = ("agents", "run", "writer", "Say something about the weather.", "--workspace", "work")


@contextmanager
def slow(project: ConsoleProject, reads: float, command: str) -> Iterator[ConsoleProject]:
    """A project whose model reads its prompt for so long, and asks for this command first."""
    with slow_server(project.root, "threads", "sleep", reads, TOKENS, command) as server:
        project.document["runtime"] |= {
            "slow": {"type": "openai", "baseUrl": f"{server.url}/v1", "defaultModel": "m"},
            "defaultProvider": "slow",
            "fallbackProviders": [],
        }
        writer = {"id": "writer", "name": "Writer", "role": "worker", "tools": ["run_command"], "commands": ["sh"]}
        project.document["agents"] = [*project.document["agents"], writer]
        project.write()
        yield project


def test_on_a_terminal_something_changes_at_least_every_two_seconds(project: ConsoleProject) -> None:
    seen: list[tuple[float, str]] = []

    def note(data: bytes) -> None:
        for frame in MOVES.split(COLOURS.sub("", data.decode("utf-8", "replace"))):
            if "at work" in frame and (not seen or seen[-1][1] != frame):
                seen.append((time.monotonic(), frame))

    with slow(project, READS, WORKS):
        code, shown = project.on_a_terminal(*RUN, width=140, seen=note)
    assert code == 0, shown
    boards = [frame for _, frame in seen if "1 at work" in frame]
    silences = [later - earlier for (earlier, _), (later, _) in pairwise(seen)]
    assert max(silences) <= patient(LONGEST), silences
    assert any(re.search(r"slow/m reads about [\d,]+ tokens of prompt", board) for board in boards)
    assert any("uses run_command: sh -c echo first line" in board for board in boards)
    assert any("writer │ first line" in board for board in boards)
    assert any(re.search(r"slow/m answers: \d+ tokens", board) and "│ word0 word1" in board for board in boards)
    assert seen[-1][0] - seen[0][0] > 2 * READS + 5


def test_a_pipe_gets_a_line_for_what_takes_long(project: ConsoleProject) -> None:
    with slow(project, 0.0, "echo begun; sleep 11"):
        done = project.call(*RUN)
    assert done.code == 0, done
    lines = [line for line in done.out.splitlines() if " for 1" in line]
    assert len(lines) == 1, done.out
    assert lines[0].endswith("writer: uses run_command: sh -c echo begun; sleep 11, for 10 s | begun")

"""Whatever happens to a run, in whatever order: after a failure it works with what is in force when it is resumed,
after a crash with what its attempt began with."""

from __future__ import annotations

import queue
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestration.app import project
from tests.integration.agents.rooms import DONE, ScriptedModel, calls, configure
from tests.support import prefork
from tests.support.patience import patient

SCRIPT = Path(__file__).with_name("attempt_process.py")
REFUSED = 400
OPERATIONS = ("go on", "edit", "fail", "kill", "roll back", "fork")
LENGTH = 9
MOST_KILLS = 3


class Story:
    """A run, the process that works on it, and a model that waits to be told what to answer.

    The agent's model is the mark of a configuration: each request shows which one the agent works with.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        self.model = ScriptedModel(self._answer)
        self.versions: list[str] = []
        self.looks = 0
        self.in_force = self.works_with = ""
        self.run = ""
        self.edit()
        self.process = self._process()
        self.kills = 0
        self.told: list[str] = []

    def _answer(self, body: dict[str, Any]) -> Any:
        self.asked.put(body)
        return self.answers.get()

    def read(self) -> Any:
        """A look at something else each time: the same call again and again would be stopped as a circle."""
        self.looks = self.looks % 20 + 1
        return calls(("list_files", {"depth": self.looks}))

    def edit(self) -> None:
        mark = f"model-{len(self.versions)}"
        agent = {"id": "executor", "tools": ["list_files"], "defaultModel": mark}
        # One attempt: a request that is refused in the middle would be put again in a fresh conversation.
        configure(self.root, self.model.url, [agent], agentRetries=0)
        self.versions.append(mark)
        self.in_force = mark

    def roll_back(self, chance: random.Random) -> None:
        with project(str(self.root / "config" / "agents.config.json")) as here:
            version = chance.choice(here.store.history())
            here.store.rollback(version.number)
        self.in_force = version.text.split('"defaultModel": "model-')[1].split('"')[0]
        self.in_force = f"model-{self.in_force}"

    def _process(self) -> subprocess.Popen[str]:
        command = [sys.executable, str(SCRIPT), str(self.root / "config" / "agents.config.json")]
        return prefork.Program(
            [*command, str(self.root / "work")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hear(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def say(self, command: str) -> str:
        """Give the process a command; returns its answer, the run."""
        assert self.process.stdin
        print(command, file=self.process.stdin, flush=True)
        return self.hear()

    def kill(self) -> None:
        self.end()
        # The thread that answers the dead process ends, and its answer reaches nobody.
        self.answers.put(self.read())
        self.kills += 1
        self.process = self._process()
        assert self.say(f"resume {self.run}") == self.run

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def fail(self) -> None:
        self.answers.put(REFUSED)
        assert self.hear() == "failed"

    def act(self, operation: str, chance: random.Random) -> None:
        """Do one thing while the model is being asked; afterwards it is asked again."""
        if operation in ("edit", "roll back"):
            self.edit() if operation == "edit" else self.roll_back(chance)
            self.answers.put(self.read())
        elif operation == "kill" and self.kills < MOST_KILLS:
            self.kill()
        elif operation in ("fail", "fork"):
            self.fail()
            if chance.random() < 0.7:
                self.edit()
            if operation == "fork":
                self.run = self.say(f"fork {self.run}")
            else:
                assert self.say(f"resume {self.run}") == self.run
            self.works_with = self.in_force
        else:
            self.answers.put(self.read())

    def check(self) -> None:
        body = self.asked.get(timeout=patient(30))
        assert body["model"] == self.works_with, self.told


@contextmanager
def a_story(root: Path) -> Iterator[Story]:
    story = Story(root)
    with story.model:
        try:
            yield story
        finally:
            story.end()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [10, 71])
def test_the_settings_are_those_in_force_after_a_failure_and_the_same_after_a_crash(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with a_story(tmp_path) as story:
        story.works_with = story.in_force
        story.run = story.say("start")
        story.check()
        for _ in range(LENGTH):
            operation = chance.choice(OPERATIONS)
            story.told.append(operation)
            story.act(operation, chance)
            story.check()
        # A report of somebody who has looked at nothing since the run began anew would be sent back.
        story.answers.put(story.read())
        story.check()
        story.answers.put(DONE)
        assert story.hear() == "succeeded", story.told

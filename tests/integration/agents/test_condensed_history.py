"""A conversation that outgrows the model's context is summed up in a step: after a restart or a resume it is the same
conversation, and nothing that was done is lost from it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.domain.run_status import RunStatus
from orchestration.storage.database import Database
from orchestration.storage.runs import Runs
from orchestration.storage.timeline import Timeline
from orchestration.workflows.step_count import count_steps
from tests.integration.agents.rooms import DONE, ScriptedModel, calls, configure, refuses, rooms, says
from tests.support import prefork
from tests.support.patience import patient

FILES = 24
WINDOW = 8192
NOTES = "the bug is in f3.py, line 9"
SCRIPT = Path(__file__).with_name("run_process.py")


class Reader:
    """A model with a small context that writes a file, runs a command that fails, and then reads one file after the
    other. It counts tokens as its server does, and knows where it is from the conversation alone."""

    def __init__(self, *, notes: str | None = NOTES) -> None:
        self.notes = notes
        self.refused = 0
        self.summed_up: list[str] = []

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        # Four characters to a token: the estimate of ours is a third more.
        if sum(len(json.dumps(message)) for message in body["messages"]) // 4 > WINDOW:
            self.refused += 1
            return refuses(f"This model's maximum context length is {WINDOW} tokens.")
        if body["messages"][0]["content"].startswith("You keep the notes"):
            self.summed_up.append(body["messages"][1]["content"])
            return refuses("this asks for something that I do not do") if self.notes is None else says(self.notes)
        asked = "".join(json.dumps(message) for message in body["messages"])
        if "wrote mended.py" not in asked and "mended.py (write_file)" not in asked:
            return calls(("write_file", {"path": "mended.py", "content": "x = 1\n"}))
        if "no such test" not in asked:
            return calls(("run_command", {"command": ["sh", "-c", "echo no such test; exit 3"]}))
        following = 1 + max((number for number in range(FILES) if f"f{number}.py" in asked), default=-1)
        return calls(("read_file", {"path": f"f{following}.py"})) if following < FILES else DONE


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"f{number}.py").write_text(f"# file {number}\n" + f"value_{number} = {number}\n" * 250)
    return folder


def summaries(body: dict[str, Any]) -> list[str]:
    texts = [str(message.get("content")) for message in body["messages"] if message["role"] == "user"]
    return [text for text in texts if text.startswith("[Your conversation became too long")]


async def test_a_long_conversation_is_summed_up_and_goes_on(tmp_path: Path, work: Path) -> None:
    reader = Reader()
    async with rooms(tmp_path, reader) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.SUCCEEDED, run.reason
        # The context was learned from one refusal, and what was too long afterwards was never sent.
        assert reader.refused == 1
        condensed = house.of("agent.history_condensed")
        assert len(condensed) == len(reader.summed_up) >= 1
        assert all(event.data["by_model"] and event.data["window"] == WINDOW for event in condensed)
        [summary] = summaries(model.asked[-1])
        assert NOTES in summary
        assert "mended.py (write_file)" in summary
        assert "exit code 3; no such test" in summary
        assert (run.outcome or {})["use"]["model_calls"] == len(model.asked) - reader.refused
        assert count_steps(house.events).committed_repeated == 0
        # What the reviewer would see does not come from the conversation.
        assert "exit code 3" in (tmp_path / "artifacts" / run.id / "test-report.md").read_text()


async def test_without_a_model_that_sums_up_what_was_done_is_the_summary(tmp_path: Path, work: Path) -> None:
    reader = Reader(notes=None)
    async with rooms(tmp_path, reader) as (house, model):
        assert (await house.run()).status is RunStatus.SUCCEEDED
        assert not any(event.data["by_model"] for event in house.of("agent.history_condensed"))
        [summary] = summaries(model.asked[-1])
        assert "mended.py (write_file)" in summary
        assert "exit code 3; no such test" in summary


async def test_a_run_that_is_resumed_goes_on_with_the_same_summary(tmp_path: Path, work: Path) -> None:
    reader = Reader()
    async with rooms(tmp_path, reader) as (house, model):
        run = await house.start()
        await house.until(lambda: model.asked and summaries(model.asked[-1]))
        await house.app.control.cancel(run.id, "enough")
        await house.until(lambda: house.app.runs.get(run.id).status.ended)
        before, written = summaries(model.asked[-1]), len(reader.summed_up)
        model.asked.clear()
        await house.app.launcher.resume(run.id)
        await house.app.engine.result(run.id)
        assert (await house.app.get_run(run.id)).status is RunStatus.SUCCEEDED
        assert summaries(model.asked[0]) == before
        assert len({text for body in model.asked for text in summaries(body)}) == 1 + len(reader.summed_up) - written


def test_a_process_that_is_killed_goes_on_with_the_same_summary(tmp_path: Path, work: Path) -> None:
    reader = Reader()
    with ScriptedModel(reader) as model:
        config = configure(tmp_path, model.url)
        settings = json.loads(config.read_text())
        settings["agents"][0]["limits"] = {"seconds": 300}
        config.write_text(json.dumps(settings))
        command = [sys.executable, str(SCRIPT), str(config), str(work)]
        with prefork.Program(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("agent.history_condensed"):
                    break
            # The step is being committed, or was a moment ago: both ways have to come to one summary.
            process.send_signal(signal.SIGKILL)
            process.wait()
        with prefork.Program(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            output, errors = process.communicate(timeout=patient(60))
        assert "ended succeeded" in output, errors
        [summary] = summaries(model.asked[-1])
    database = Database(f"sqlite:///{tmp_path}/var/orchestrator.db")
    (run,) = Runs(database).list()
    events = [event for _, event in Timeline(database).list(run.id, limit=10_000)]
    database.close()
    assert count_steps(events).committed_repeated == 0
    assert "mended.py (write_file)" in summary

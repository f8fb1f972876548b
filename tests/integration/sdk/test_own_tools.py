"""A user's own tools, called by a model that is an HTTP server, in processes of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from orchestration.rehearsal.conversation import RehearsalRequest
from orchestration.sdk import Agent, Project, RunResult
from orchestration.testing import RehearsalModel, call
from orchestration.testing.rehearsal_model import Reply
from tests.integration.sdk import own_tools


class Conversation:
    """A model that makes these calls, then says what they returned."""

    def __init__(self, *calls: Reply) -> None:
        self._calls = calls
        self.results: Sequence[str] = ()
        self.offered: frozenset[str] = frozenset()

    def __call__(self, request: RehearsalRequest) -> Reply:
        self.offered = request.tools
        if request.turn < len(self._calls):
            return self._calls[request.turn]
        self.results = [past.result for past in request.past_calls]
        return "\n".join(self.results)


async def worked(folder: Path, says: Conversation, *tools: Any) -> RunResult:
    (folder / "work").mkdir(exist_ok=True)
    async with RehearsalModel(says) as model:
        agents = [Agent("clerk", tools=tools), Agent("accountant", tools=tools)]
        project = Project(folder, agents=agents, providers=[model.provider])
        return (await project.run("use the tools", folder / "work", agent="clerk")).raise_unless_ok()


async def test_a_tool_gets_typed_arguments_and_its_variables_and_its_answer_is_redacted(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WEATHER_KEY=sup3r-s3cret-w3ather-key\nOTHER=hidden-from-the-tool\n")
    says = Conversation(call("weather", city="Oslo"), call("weather", city="Oslo", units="kelvin"))
    await worked(tmp_path, says, own_tools.weather)
    good, bad = says.results
    assert '"city":"Oslo","units":"metric"' in good
    assert "sup3r" not in good
    assert "none" not in good
    assert "units: Input should be 'metric' or 'imperial'" in bad


async def test_a_tool_that_hangs_is_ended_at_its_limit_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    says = Conversation(call("hangs", where=str(pid)))
    await worked(tmp_path, says, own_tools.hangs)
    assert says.results == ["hangs failed: it was ended: it took longer than 4 s"]
    assert not psutil.pid_exists(int(pid.read_text()))


async def test_only_an_idempotent_tool_is_tried_again(tmp_path: Path) -> None:
    shaky, order = tmp_path / "shaky", tmp_path / "order"
    says = Conversation(call("shaky", log=str(shaky)), call("order", log=str(order)))
    await worked(tmp_path, says, own_tools.shaky, own_tools.order)
    assert says.results == ["done", "order failed: ConnectionError: no answer"]
    assert shaky.read_text() == "xx"
    assert len(order.read_text().splitlines()) == 1


async def test_a_long_answer_is_cut_and_permissions_hold(tmp_path: Path) -> None:
    says = Conversation([call("wordy", words=5000), call("ledger")])
    await worked(tmp_path, says, own_tools.wordy, own_tools.ledger)
    long, refused = says.results
    assert len(long) < 1200
    assert long.startswith("begin")
    assert long.endswith("end")
    assert "there is no tool 'ledger' for you" in refused
    assert says.offered == {"wordy"}


async def test_a_person_approves_a_tool_before_it_is_called(tmp_path: Path) -> None:
    says = Conversation(call("pay", amount=7), call("pay", amount=70))
    (tmp_path / "work").mkdir()
    async with RehearsalModel(says) as model:
        agents = [Agent("clerk", tools=[own_tools.pay])]
        async with Project(tmp_path, agents=agents, providers=[model.provider]) as project:
            handle = await project.start("pay the bills", tmp_path / "work")
            for answer in (project.approve, project.deny):
                while not (asked := await handle.questions()):
                    await asyncio.sleep(0.05)
                await answer(asked[0], "says the test")
                while asked[0] in await handle.questions():
                    await asyncio.sleep(0.05)
            assert (await handle.result()).ok
    assert says.results[0] == "paid 7"
    assert "denied it: says the test" in says.results[1]

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestration.agents import sandbox, tool_calls
from orchestration.agents.tools import ToolContext, ToolResult
from orchestration.agents.tools.registry import ALL
from orchestration.app import project
from orchestration.config.overrides import PinConfiguration
from orchestration.domain.run_status import RunStatus
from orchestration.workflows.step_count import count_steps
from tests.integration.agents.rooms import DONE, TOOLS, calls, configure, looks, rooms, says
from tests.support.patience import Stopwatch, patient, until_async

# Put together here, so that no scanner takes this file for a leak.
SECRET = "ghp_" + "A1b2C3d4E5" * 3
LEAK = ["sh", "-c", f"printf ghp_%s {SECRET[4:]} | tee a.txt"]


def in_order(*answers: Any) -> Any:
    """Give these answers one after the other, the last again and again."""
    left = list(answers)

    def script(body: dict[str, Any]) -> Any:
        return left.pop(0) if len(left) > 1 else left[0]

    return script


def executor(**values: Any) -> list[dict[str, Any]]:
    return [{"id": "executor", "tools": TOOLS, "commands": ["sleep", "sh -c"], **values}]


def told(body: dict[str, Any]) -> list[str]:
    """What the tools have told the model."""
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


async def test_tools_are_used_until_the_model_answers(tmp_path: Path) -> None:
    script = in_order(
        calls(("write_file", {"path": "a.txt", "content": "hello\n"})),
        calls(("read_file", {"path": "a.txt"}), ("list_files", {})),
        DONE,
    )
    async with rooms(tmp_path, script) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.SUCCEEDED
        assert told(model.asked[-1]) == ["wrote a.txt (1 lines)", "     1\thello", "a.txt"]
        assert (tmp_path / "artifacts" / run.id / "changes.patch").read_text().count("+hello") == 1
        assert run.outcome is not None
        assert (run.outcome["use"]["model_calls"], run.outcome["use"]["tokens"]) == (3, 45)
        steps = count_steps(house.events)
        assert (steps.executed, steps.redone, steps.committed_repeated) == (6, 0, 0)


async def test_a_malformed_answer_is_repaired_a_bounded_number_of_times_then_begun_anew(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda body: says("la la la"), agentRetries=1) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.FAILED
        assert house.failing()["kind"] == "malformed_answer"
        assert "after 3 corrections" in run.reason
        assert '"la la la"' in run.reason
        assert [len(body["messages"]) for body in model.asked] == [2, 4, 6, 8] * 2
        assert len(house.of("agent.retried")) == 1
        assert "neither a tool call nor a report" in model.asked[1]["messages"][-1]["content"]
        # The tools stay available, and are spelled out where nobody else can be asked.
        assert all("tools" in body for body in model.asked[:4])
        assert "<tool_call>" in model.asked[4]["messages"][0]["content"]


async def test_an_answer_that_is_repaired_is_taken(tmp_path: Path) -> None:
    script = in_order(calls(("list_files", {})), says({"summary": "only"}), says({"summary": "only"}), DONE)
    async with rooms(tmp_path, script) as (house, model):
        assert (await house.run()).status is RunStatus.SUCCEEDED
        assert "done: Field required" in model.asked[2]["messages"][-1]["content"]
        # The tools stay, until only the form is wrong again.
        assert ["tools" in body for body in model.asked] == [True, True, True, False]
        assert "response_format" in model.asked[3]


@pytest.mark.parametrize(
    "steps",
    [
        [{"id": "a", "title": "t", "instructions": "i"}, {"id": "a", "title": "u", "instructions": "i"}],
        [
            {"id": "a", "title": "t", "instructions": "i", "depends_on": ["b"]},
            {"id": "b", "title": "t", "instructions": "i", "depends_on": ["a"]},
        ],
    ],
    ids=["two of a name", "a circle"],
)
async def test_a_plan_that_cannot_be_carried_out_is_repaired(tmp_path: Path, steps: Any) -> None:
    good = {"summary": "s", "steps": [{"id": "a", "title": "t", "instructions": "i"}]}
    script = in_order(says({"summary": "s", "steps": steps}), says(good))
    async with rooms(tmp_path, script, [{"id": "planner"}]) as (house, model):
        assert (await house.run(agent="planner")).status is RunStatus.SUCCEEDED
        assert len(model.asked) == 2


async def test_an_agent_that_goes_in_circles_is_told_then_stopped_and_begun_anew(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda body: calls(("list_files", {})), agentRetries=1) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.FAILED
        assert house.failing()["kind"] == "going_in_circles"
        assert "list_files" in run.reason
        assert len(model.asked) == 8
        assert [event.data["reason"] for event in house.of("agent.retried")] == ["going_in_circles"]
        assert "with the same result" in told(model.asked[2])[-1]
        assert "another approach" in told(model.asked[3])[-1]


async def test_a_report_that_the_facts_contradict_is_sent_back(tmp_path: Path) -> None:
    write = calls(("write_file", {"path": "a.txt", "content": "1"}))
    async with rooms(tmp_path, in_order(dict(DONE), write, DONE)) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.SUCCEEDED
        assert "you have used no tool" in model.asked[1]["messages"][-1]["content"]
        report = (tmp_path / "artifacts" / run.id / "test-report.md").read_text()
        assert "Changed: a.txt." in report
        assert "No command was run" in report


async def test_a_conversation_without_end_is_given_up(tmp_path: Path) -> None:
    agents = executor(limits={"modelCalls": 4})
    async with rooms(tmp_path, in_order(*[calls((name, {"path": "a"})) for name in TOOLS]), agents) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.FAILED
        assert house.failing() == {
            "kind": "too_many_model_calls",
            "message": "not finished after 4 model calls",
            "error": "",
        }
        assert len(model.asked) == 4


async def test_an_agents_time_is_limited_and_does_not_count_against_the_provider(tmp_path: Path) -> None:
    def slow(body: dict[str, Any]) -> Any:
        time.sleep(1.5)
        return DONE

    async with rooms(tmp_path, slow, executor(limits={"seconds": 0.4})) as (house, _):
        started = Stopwatch()
        run = await house.run()
        assert started.is_within(5), started
        assert run.status is RunStatus.FAILED
        assert house.failing()["kind"] == "time_limit"
        assert house.of("route.opened") == []
        assert [route.state for route in house.app.gateway.statuses()] == ["closed"]


async def test_a_runs_time_is_limited_over_all_its_agents(tmp_path: Path) -> None:
    answers_in = patient(1.0)

    def slow(body: dict[str, Any]) -> Any:
        time.sleep(answers_in)
        return says({"text": "fine"})

    agents = [{"id": name} for name in ("one", "two", "three")]
    edges = {"workflow": [{"from": "one", "to": "two"}, {"from": "two", "to": "three"}]}
    async with rooms(tmp_path, slow, agents) as (house, model):
        file = tmp_path / "config" / "agents.config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **edges}))
        await house.until(lambda: house.app.configuration.workflow)
        run = await house.run(agent=None, options={"seconds": 1.6 * answers_in})
        assert run.status is RunStatus.FAILED
        assert "working time" in run.reason
        assert len(model.asked) == 2


async def test_a_runs_model_calls_are_limited_over_all_its_agents(tmp_path: Path) -> None:
    agents = [{"id": "planner"}, *executor()]
    plan = {"summary": "s", "steps": [{"id": "a", "title": "t", "instructions": "i"}]}

    def script(body: dict[str, Any]) -> Any:
        return says(plan) if "Role: planner" in body["messages"][0]["content"] else calls(("list_files", {}))

    async with rooms(tmp_path, script, agents, limits={"modelCalls": 4}) as (house, model):
        run = await house.run(agent=None)
        assert run.status is RunStatus.INCOMPLETE
        assert house.failing() == {"kind": "run_limit", "message": "not finished after 3 model calls", "error": ""}
        assert len(model.asked) == 4


async def test_a_command_is_stopped_when_the_agents_time_is_over(tmp_path: Path) -> None:
    script = in_order(calls(("run_command", {"command": ["sleep", "60"]})), DONE)
    async with rooms(tmp_path, script, executor(limits={"seconds": 0.6})) as (house, _):
        started = Stopwatch()
        await house.run()
        assert started.is_within(5), started
        assert house.failing()["kind"] == "time_limit"


async def test_what_a_model_gets_wrong_it_is_told(tmp_path: Path) -> None:
    wrong = calls(
        ("fly", {}),
        ("read_file", "{broken"),
        ("read_file", {"path": "../secret"}),
        ("run_command", {"command": ["rm", "-rf", "/"]}),
        ("read_file", {"path": "missing"}),
        ("write_file", {"path": ".env", "content": "KEY=1"}),
    )
    async with rooms(tmp_path, in_order(wrong, calls(("list_files", {})), DONE)) as (house, model):
        assert (await house.run()).status is RunStatus.SUCCEEDED
        answers = told(model.asked[1])
        for answer, said in zip(
            answers,
            ("no tool 'fly'", "got no JSON", "with '..'", "not one of the commands", "No such file", "holds secrets"),
            strict=True,
        ):
            assert said in answer
        assert [event.data["about"] for event in house.of("tool_call.refused")] == ["tool", "path", "command", "path"]


async def test_odd_messages_do_no_harm(tmp_path: Path) -> None:
    odd = {
        "content": [{"type": "text", "text": "thinking \ud83d"}],
        "tool_calls": [
            {"function": {"name": "list_files", "arguments": {"path": "."}}},
            {"id": 7, "function": {"name": None, "arguments": None}},
            {"function": None},
        ],
    }
    async with rooms(
        tmp_path, in_order(odd, says({"summary": "half \ud83d", "done": True, "nothing_to_change": True}))
    ) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.SUCCEEDED, run.reason
        assert told(model.asked[-1])[0] == "(nothing here)"
        written = (tmp_path / "artifacts" / run.id / "test-report.md").read_text(encoding="utf-8")
        assert "half \ufffd" in written


async def test_reading_tools_run_side_by_side_and_writing_ones_in_order(tmp_path: Path) -> None:
    reading = calls(*[("search_files", {"pattern": f"p{number}"}) for number in range(4)])
    writing = calls(
        ("write_file", {"path": "a", "content": "1"}),
        ("replace_in_file", {"path": "a", "old": "1", "new": "2"}),
        ("read_file", {"path": "a"}),
    )
    async with rooms(tmp_path, in_order(reading, writing, DONE)) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.SUCCEEDED
        assert told(model.asked[-1])[-1] == "     1\t2"
        finished = house.of("tool_call.finished")
        assert {event.data["after"] for event in finished[:4]} == {1}
        assert [event.data["after"] for event in finished[4:]] == [6, 7, 8]
        together = sum(event.data["seconds"] for event in finished[:4])
        assert run.outcome is not None
        assert run.outcome["use"]["seconds"] < together


OWN = """
import json, time
def work(given):
    return {"text": f"{given['goal']} in {given['workspace']}"}
def as_text(given):
    return json.dumps({"text": "fine"})
def wrong(given):
    return {"nothing": 1}
def fails(given):
    raise RuntimeError("no luck")
def blocks(given):
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("work", None, "mend it in "),
        ("as_text", None, "fine"),
        ("wrong", "malformed_answer", "text: Field required"),
        ("fails", "own_code_failed", "RuntimeError: no luck"),
        ("blocks", "time_limit", "it took longer than 1 s"),
    ],
)
async def test_own_code_does_an_agents_work(tmp_path: Path, name: str, kind: str | None, said: str) -> None:
    (tmp_path / "own.py").write_text(OWN)
    limits = {"seconds": 1.0 if kind == "time_limit" else patient(30), "commandSeconds": 0.01}
    agents = [{"id": "own", "entryPoint": f"own:{name}", "limits": limits}]
    async with rooms(tmp_path, lambda body: 500, agents) as (house, model):
        run = await house.run(agent="own")
        assert model.asked == []
        if kind is None:
            assert run.status is RunStatus.SUCCEEDED, run.reason
            assert said in (tmp_path / "artifacts" / run.id / "own.md").read_text()
        else:
            assert house.failing()["kind"] == kind
            assert said in run.reason


async def test_what_own_code_gives_back_is_kept_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"def work(given):\n    return {{'text': 'log in with ' + {SECRET!r}}}\n")
    agents = [{"id": "own", "entryPoint": "own:work"}]
    async with rooms(tmp_path, lambda body: 500, agents) as (house, _):
        await house.run(agent="own")
        caught = [(event.agent, event.data["place"]) for event in house.of("secret.redacted")]
        assert caught == [("own", "the output of own code")]
    assert not [path for path in (tmp_path / "var").rglob("*") if path.is_file() and SECRET in path.read_text("latin1")]


async def test_a_secret_that_a_model_or_a_tool_says_is_caught_and_told(tmp_path: Path) -> None:
    script = in_order(
        calls(("write_file", {"path": "b.txt", "content": SECRET})), calls(("run_command", {"command": LEAK})), DONE
    )
    async with rooms(tmp_path, script, executor()) as (house, model):
        run = await house.run()
        assert SECRET not in told(model.asked[-1])[-1]
        caught = [(event.run_id, event.agent, event.data["place"]) for event in house.of("secret.redacted")]
        assert caught == [
            (run.id, "executor", "a model's answer"),
            (run.id, "executor", "a tool's answer"),
            (run.id, None, "a patch"),
        ]


async def test_own_code_that_failed_is_resumed_with_what_another_process_has_mended(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    good, bad = ([{"id": "own", "entryPoint": f"own:{name}"}] for name in ("work", "fails"))
    async with rooms(tmp_path, lambda body: 500, good) as (house, model):
        first = house.app.store.number
        pinned = PinConfiguration(number=first or 0, document=json.loads(house.app.config_file.read_text()))
        configure(tmp_path, model.url, bad)
        await house.until(lambda: house.app.store.number != first)
        run = await house.run(agent="own")
        assert house.failing()["kind"] == "own_code_failed"
        with project(str(house.app.config_file)) as elsewhere:
            elsewhere.store.add_override(pinned, reason="it worked", actor="tests")
        await house.app.launcher.resume(run.id)  # at once: nobody waits for the next look at the overrides
        await house.app.engine.result(run.id)
        assert (await house.app.get_run(run.id)).status is RunStatus.SUCCEEDED


async def test_an_agent_waits_while_no_provider_answers_and_goes_on_when_one_does(tmp_path: Path) -> None:
    down = threading.Event()
    down.set()

    async with rooms(tmp_path, lambda body: 500 if down.is_set() else looks(body)) as (house, _):
        run = await house.start()
        # It goes on and waits again until the route is closed.
        # The event follows what is written of the run.
        await house.until(lambda: house.app.runs.get(run.id).status is RunStatus.WAITING and house.of("run.waiting"))
        assert "no provider can answer now" in house.of("run.waiting")[-1].data["reason"]
        down.clear()
        await house.app.engine.result(run.id)
        assert (await house.app.get_run(run.id)).status is RunStatus.SUCCEEDED
        assert len(house.of("run.continued")) == len(house.of("run.waiting"))


async def test_an_exceeded_budget_is_an_outcome_and_no_failure(tmp_path: Path) -> None:
    agents = executor(limits={"tokens": 1500})
    agents[0]["tools"] = ["list_files"]

    def script(body: dict[str, Any]) -> Any:
        return calls(("list_files", {"depth": len(body["messages"]) % 19 + 1}))

    async with rooms(tmp_path, script, agents) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.INCOMPLETE
        assert house.failing()["kind"] == "budget_exceeded"
        assert "raise `limits.tokens`" in run.reason.lower()
        assert 0 < len(model.asked) < 30


async def test_a_request_that_is_refused_is_a_clean_failure(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda body: 400) as (house, model):
        run = await house.run()
        assert (run.status, house.failing()["kind"]) == (RunStatus.FAILED, "request_refused")
        assert len(model.asked) == 1


@pytest.mark.parametrize("deaf", [False, True])
async def test_cancelling_stops_a_blocking_tool_at_once_and_the_run_resumes(tmp_path: Path, deaf: bool) -> None:
    block = tmp_path / "work" / "block"
    command = ["sh", "-c", f"echo $$ > pid; {'trap : TERM;' if deaf else ''} while [ -e block ]; do sleep 0.1; done"]
    script = in_order(calls(("run_command", {"command": command})), DONE)
    async with rooms(tmp_path, script) as (house, model):
        block.touch()
        run = await house.start()
        pid = int(await house.until(lambda: (tmp_path / "work" / "pid").exists() and _text(tmp_path / "work" / "pid")))
        started = Stopwatch()
        await house.app.control.cancel(run.id, "enough")
        await house.until(lambda: not psutil.pid_exists(pid))
        assert started.is_within(10), started
        stopped = await house.app.get_run(run.id)
        assert (stopped.status, stopped.reason) == (RunStatus.CANCELLED, "enough")
        block.unlink()
        await house.app.launcher.resume(run.id)
        await house.app.engine.result(run.id)
        assert (await house.app.get_run(run.id)).status is RunStatus.SUCCEEDED
        assert len(model.asked) == 2
        assert count_steps(house.events).committed_repeated == 0


def _text(path: Path) -> str:
    return path.read_text().strip()


@pytest.mark.parametrize(("times", "status"), [(2, RunStatus.SUCCEEDED), (9, RunStatus.FAILED)])
async def test_what_the_machine_cannot_do_just_now_is_tried_again_and_is_no_slip_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, status: RunStatus
) -> None:
    tool, failures = ALL["write_file"], itertools.repeat(OSError(errno.EROFS, os.strerror(errno.EROFS)), times)

    async def write(context: ToolContext, arguments: Any) -> ToolResult:
        if (failure := next(failures, None)) is not None:
            raise failure
        return await tool.run(context, arguments)

    monkeypatch.setattr(tool_calls, "_WAITS", (0.01, 0.01, 0.01))
    monkeypatch.setitem(ALL, "write_file", replace(tool, run=write))
    script = in_order(calls(("write_file", {"path": "a.txt", "content": "hello\n"})), DONE)
    async with rooms(tmp_path, script) as (house, _):
        run = await house.run()
        assert run.status is status
        if run.status is RunStatus.FAILED:
            assert house.failing()["kind"] == "machine_fault"
            assert "Read-only file system; mend that" in house.failing()["message"]


async def test_an_unexpected_error_is_told_with_its_class(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda body: DONE) as (house, _):

        async def broken(*_: Any) -> Any:
            raise ZeroDivisionError("division by zero")

        house.app.gateway.complete = broken  # type: ignore[method-assign]
        run = await house.run()
        assert house.failing() == {
            "kind": "internal_error",
            "message": "ZeroDivisionError: division by zero",
            "error": "ZeroDivisionError",
        }
        assert run.status is RunStatus.FAILED


async def test_own_prompts_are_found_below_the_projects_root_wherever_it_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "mine.md").write_text("Role: executor\n\nSing while you work.")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    async with rooms(tmp_path, looks, executor(prompt="prompts/mine.md")) as (house, model):
        run = await house.run()
        assert run.status is RunStatus.SUCCEEDED, run.reason
        assert "Sing while you work." in model.asked[0]["messages"][0]["content"]


async def test_heartbeats_say_what_an_agent_is_doing(tmp_path: Path) -> None:
    command = ["sh", "-c", "for i in 1 2 3 4; do echo $i; sleep 0.3; done"]
    async with rooms(tmp_path, in_order(calls(("run_command", {"command": command})), DONE)) as (house, _):
        await house.run()
        said = [event.data["activity"] for event in house.of("agent.progress")]
        assert said[0] == "asks a model"
        assert any(line.startswith("hears from own/m") for line in said)
        assert any(event.data.get("prompt_tokens", 0) > 10 for event in house.of("agent.progress"))
        printed = [event.data.get("tail") for event in house.of("agent.progress") if event.data["phase"] == "tool"]
        assert len({text for text in printed if text}) >= 2
        assert "sleep 0.3" in next(
            event.data["about"] for event in house.of("agent.progress") if event.data["about"][:2] == "sh"
        )


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def is_supervisor(child: psutil.Process) -> bool:
    try:
        return sandbox.supervises(child.cmdline())
    except psutil.ZombieProcess:
        return True
    except psutil.NoSuchProcess:
        return False


async def test_no_descriptor_and_no_process_is_left_after_many_tool_calls(tmp_path: Path) -> None:
    script = in_order(*[calls(("run_command", {"command": ["sh", "-c", "true"]}))] * 8, DONE)
    async with rooms(tmp_path, script) as (house, _):
        await asyncio.sleep(0.1)
        before = descriptors()
        await house.run()
        # One that has ended is a child until the loop has taken note of that.
        await until_async(lambda: not any(is_supervisor(child) for child in psutil.Process().children()))
        assert descriptors() <= before + 8


async def test_a_provider_that_works_and_cannot_answer_one_request_holds_no_run_for_ever(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> dict[str, Any]:
        # It answers a probe, which asks for a few tokens.
        return says("pong" if len(body["messages"]) == 1 else "")

    async with rooms(tmp_path, script, agentRetries=0) as (house, model):
        run = await house.run()
    assert run.status is RunStatus.FAILED
    assert "the answer was empty" in run.reason
    assert len(model.asked) < 100

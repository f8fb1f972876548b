"""Any program as an agent: its task, its answer, its models, its limits."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestration.domain.run_status import RunStatus
from tests.integration.agents.rooms import Rooms, rooms, says
from tests.support.patience import patient

# Written with what every machine has, since none of our packages is there where a program runs.
ASK = """\
import json, os, sys, urllib.request

def ask(text, **more):
    address = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    key = more.pop("key", os.environ["OPENAI_API_KEY"])
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}], **more}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    return urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=60)

task = json.load(sys.stdin)
"""


def program(root: Path, script: str, **more: Any) -> list[dict[str, Any]]:
    """An agent that is a Python file of the project."""
    (root / "agent.py").write_text(ASK + textwrap.dedent(script))
    return [{"id": "tool", "role": "worker", "entryPoint": ["python3", "{project}/agent.py"], **more}]


def answer(house: Rooms) -> str:
    (found,) = house.root.glob("artifacts/run-*/*.md")
    return found.read_text()


async def test_a_program_gets_the_task_and_answers_with_what_it_prints(tmp_path: Path) -> None:
    script = """
        print(task["goal"], "|", open(os.environ["ORCHESTRATOR_GOAL"]).read(), "|", os.getcwd() == task["workspace"])
        print("not for the answer", file=sys.stderr)
    """
    async with rooms(tmp_path, lambda _: 500, program(tmp_path, script)) as (house, _):
        run = await house.run(agent="tool", goal="count {workspace}")
        assert run.status is RunStatus.SUCCEEDED, house.failing()
        assert answer(house).strip() == "count {workspace} | Goal:\ncount {workspace} | True"
        assert not list(tmp_path.glob("var/agent-state/*/*/*"))


async def test_a_shell_script_answers_by_a_file_and_gets_its_goal_as_one_word(tmp_path: Path) -> None:
    words = ["sh", "-c", 'printf "%s" "$1" > "$ORCHESTRATOR_ANSWER"; echo noise', "sh", "{goal}"]
    agents = [{"id": "tool", "role": "worker", "entryPoint": words}]
    goal = '--help; $(touch "$HOME/../escaped") `id`'
    async with rooms(tmp_path, lambda _: 500, agents) as (house, _):
        run = await house.run(agent="tool", goal=goal)
        assert run.status is RunStatus.SUCCEEDED, house.failing()
        # Nothing of it was taken for a command or an option.
        assert goal in answer(house)


async def test_its_model_calls_go_through_the_gateway_and_count_for_the_run(tmp_path: Path) -> None:
    script = """
        print(json.dumps({"progress": "asks"}))
        said = json.load(ask("one"))["choices"][0]["message"]["content"]
        lines = [line for line in ask("two", stream=True).read().decode().splitlines() if line.startswith("data: {")]
        parts = [json.loads(line[6:])["choices"] for line in lines]
        print(json.dumps({"answer": said + "".join(part[0]["delta"].get("content") or "" for part in parts if part)}))
    """
    async with rooms(tmp_path, lambda _: says("yes"), program(tmp_path, script)) as (house, model):
        run = await house.run(agent="tool")
        assert run.status is RunStatus.SUCCEEDED, house.failing()
        assert answer(house).strip() == "yesyes"
        assert [body["messages"][-1]["content"] for body in model.asked] == ["one", "two"]
        use = house.of("agent.finished")[-1].data["use"]
        assert (use["model_calls"], use["tokens"]) == (2, 30)
        called = house.of("model_call.finished")
        assert {(event.run_id, event.agent) for event in called} == {(run.id, "tool")}
        shown = [event.data["activity"] for event in house.of("agent.progress")]
        assert any(words.endswith("asks") for words in shown)
        assert any(words.startswith("hears from") or words == "asks a model" for words in shown)


async def test_it_may_speak_any_api_of_the_gateway(tmp_path: Path) -> None:
    script = """
        body = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "one"}]}
        headers = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
        address = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
        headers["Content-Type"] = "application/json"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
        print(json.load(urllib.request.urlopen(request))["content"][0]["text"])
    """
    async with rooms(tmp_path, lambda _: says("yes"), program(tmp_path, script)) as (house, _):
        run = await house.run(agent="tool")
        assert run.status is RunStatus.SUCCEEDED, house.failing()
        assert answer(house).strip() == "yes"
        assert [event.run_id for event in house.of("model_call.finished")] == [run.id]


async def test_no_more_calls_than_allowed_and_none_with_another_key(tmp_path: Path) -> None:
    script = """
        import urllib.error
        codes = []
        for key in ("wrong", None, None):
            try:
                codes.append(ask("x", **({"key": key} if key else {})).status)
            except urllib.error.HTTPError as error:
                codes.append((error.code, json.load(error)["error"]["code"]))
        print(codes)
    """
    agents = program(tmp_path, script, limits={"modelCalls": 1})
    async with rooms(tmp_path, lambda _: says("yes"), agents) as (house, model):
        await house.run(agent="tool")
        assert answer(house).strip() == "[(401, 'invalid_api_key'), 200, (429, 'insufficient_quota')]"
        assert len(model.asked) == 1


async def test_it_waits_while_no_provider_can_answer(tmp_path: Path) -> None:
    replies = [500] * 4
    agents = program(tmp_path, 'print(json.load(ask("x"))["choices"][0]["message"]["content"])')
    async with rooms(tmp_path, lambda _: replies.pop() if replies else says("back"), agents) as (house, _):
        run = await house.run(agent="tool")
        assert run.status is RunStatus.SUCCEEDED, house.failing()
        assert answer(house).strip() == "back"
        assert house.of("run.waiting")


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ('sys.exit("the model of the world is wrong")', "own_code_failed", "(exit code 1): the model of the world"),
        ("import time; time.sleep(60)", "time_limit", "it took longer than 1.5 s"),
        ('held = []\nwhile True: held.append("x" * 1_000_000)', "own_code_failed", "more than 48 MB of memory"),
        ('os.symlink("/etc/passwd", os.environ["ORCHESTRATOR_ANSWER"])', "own_code_failed", "cannot be read"),
    ],
)
async def test_how_it_failed_is_named(tmp_path: Path, script: str, kind: str, words: str) -> None:
    seconds = 1.5 if kind == "time_limit" else patient(30)
    agents = program(tmp_path, script, limits={"seconds": seconds, "memoryMb": 48})
    async with rooms(tmp_path, lambda _: 500, agents) as (house, _):
        assert (await house.run(agent="tool")).status is RunStatus.FAILED
        assert house.failing()["kind"] == kind
        assert words in house.failing()["message"]


async def test_what_it_started_ends_with_it_and_its_state_outlives_a_failure(tmp_path: Path) -> None:
    script = """
        import subprocess
        from pathlib import Path
        state = Path(os.environ["ORCHESTRATOR_STATE"]) / "half"
        if not state.exists():
            child = subprocess.Popen(["sleep", "300"], start_new_session=True)
            state.write_text(str(child.pid))
            Path("pid").write_text(str(child.pid))
            sys.exit(3)
        print("went on from", state.read_text())
    """
    async with rooms(tmp_path, lambda _: 500, program(tmp_path, script)) as (house, _):
        run = await house.run(agent="tool")
        assert run.status is RunStatus.FAILED
        pid = int((tmp_path / "work" / "pid").read_text())
        assert not psutil.pid_exists(pid) or psutil.Process(pid).name() != "sleep"
        await house.app.launcher.resume(run.id)
        await house.app.engine.result(run.id)
        assert answer(house).strip() == f"went on from {pid}"


async def test_a_program_is_in_the_same_room_as_commands(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEY=swordfish\n")
    script = """
        import socket
        from pathlib import Path
        project = Path(os.environ["ORCHESTRATOR_PROJECT"])
        found = {"keys": (project / ".env").read_text(), "state": sorted(os.listdir(project / "var"))}
        try:
            (project / "agent.py").write_text("x")
        except OSError as error:
            found["project"] = type(error).__name__
        try:
            socket.create_connection(("192.0.2.1", 80), timeout=1)
        except OSError as error:
            found["network"] = error.errno
        print(json.dumps({"answer": json.dumps(found)}))
    """
    async with rooms(tmp_path, lambda _: 500, program(tmp_path, script)) as (house, _):
        run = await house.run(agent="tool")
        assert run.status is RunStatus.SUCCEEDED, house.failing()
        found = json.loads(answer(house))
        assert found["keys"] == ""
        assert set(found["state"]) <= {"agent-state", "caches"}
        assert found["project"] in ("OSError", "PermissionError")
        assert found["network"] == 101  # there is no network to reach anything by


async def test_an_executor_that_reports_in_words_has_done_its_step(tmp_path: Path) -> None:
    agents = [{"id": "executor", "entryPoint": ["sh", "-c", "echo x > made.txt; echo wrote made.txt"]}]
    async with rooms(tmp_path, lambda _: 500, agents) as (house, _):
        assert (await house.run()).status is RunStatus.SUCCEEDED, house.failing()


async def test_a_function_reaches_the_models_by_the_same_way(tmp_path: Path) -> None:
    text = ASK.replace("task = json.load(sys.stdin)\n", "")
    (tmp_path / "own.py").write_text(
        f'{text}\ndef work(task):\n    return json.load(ask("x"))["choices"][0]["message"]["content"]\n'
    )
    agents = [{"id": "tool", "role": "worker", "entryPoint": "own:work"}]
    async with rooms(tmp_path, lambda _: says("heard"), agents) as (house, _):
        assert (await house.run(agent="tool")).status is RunStatus.SUCCEEDED, house.failing()
        assert answer(house).strip() == "heard"

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from orchestration.clock import SystemClock
from orchestration.config.agents import AgentRole, AgentSettings
from orchestration.config.schema import Configuration
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError
from orchestration.storage.runs import Run
from orchestration.workflows.coordinator import RUN
from orchestration.workflows.engine import Flow, FlowState, registry
from orchestration.workflows.execution import AGENT
from orchestration.workflows.model import AgentResult, AgentTask, CommandRecord, FailingCheck, RunOutcome
from tests.integration.workflows.test_coordinator import APPROVED, CHANGES, House, house, usual
from tests.support.patience import until_async


def a_run(**values: Any) -> Run:
    return Run("run-1", "mend it", "/work", SystemClock().now(), **values)


async def until(condition: Any, seconds: float = 10) -> None:
    await until_async(condition, seconds)


def status(one: House) -> RunStatus:
    return one.runs.get("run-1").status


async def test_a_run_that_cannot_begin_ends_with_the_reason_and_begins_on_resume(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        snapshot = one.bench.snapshot

        async def broken(run: Run) -> str:
            raise OSError("no git here")

        one.bench.snapshot = broken  # type: ignore[method-assign]
        run = await one.work()
        assert (run.status, run.reason, one.asked) == (RunStatus.FAILED, "no git here", Counter())
        one.bench.snapshot = snapshot  # type: ignore[method-assign]
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert status(one) is RunStatus.SUCCEEDED


async def test_a_fault_of_ours_ends_the_run_too(tmp_path: Path) -> None:
    async with house(tmp_path, lambda task: {"summary": "a plan", "steps": "none"}) as one:
        run = await one.work()
        assert run.status is RunStatus.FAILED
        assert run.reason.startswith("internal error: ValidationError")
        assert run.finished_at is not None


async def test_a_run_whose_check_does_not_pass_is_not_approved_whatever_the_reviewer_says(tmp_path: Path) -> None:
    async with house(tmp_path) as one:

        async def check(run: Run, command: tuple[str, ...]) -> CommandRecord:
            return CommandRecord(command=command, exit_code=None if command[0] == "slow" else 2, output="")

        one.bench.check = check  # type: ignore[method-assign]
        run = await one.work(options={"checks": [["make", "test"], ["slow"]]})
        assert run.status is RunStatus.NOT_APPROVED
        assert run.reason == (
            "the check `make test` did not pass (exit code 2); the check `slow` did not pass (stopped)"
        )


@pytest.mark.parametrize(("agent", "expected"), [("executor", RunStatus.INCOMPLETE), (None, RunStatus.SUCCEEDED)])
async def test_what_an_executor_did_not_do_leaves_the_run_incomplete_unless_a_reviewer_lets_it_pass(
    tmp_path: Path, agent: str | None, expected: RunStatus
) -> None:
    def answer(task: AgentTask) -> Any:
        undone = {"summary": "it is beyond me", "done": False}
        return undone if task.role is AgentRole.EXECUTOR else usual(task)

    async with house(tmp_path, answer) as one:
        run = await one.work(agent=agent)
        assert run.status is expected
        assert ("it is beyond me" in run.reason) == (agent is not None)


async def test_of_two_reviewers_both_have_to_approve(tmp_path: Path) -> None:
    def answer(task: AgentTask) -> Any:
        strict = task.agent == "strict" and "review-1" not in task.context["changes.patch"]
        return CHANGES if strict else usual(task)

    async with house(tmp_path, answer) as one:
        names = {"planner": None, "executor": None, "strict": AgentRole.REVIEWER, "mild": AgentRole.REVIEWER}
        one.configuration = Configuration(
            agents=tuple(AgentSettings(id=name, role=role) for name, role in names.items())
        )
        run = await one.work()
        assert run.status is RunStatus.SUCCEEDED
        assert (one.asked["strict"], one.asked["mild"], one.asked["review-1"]) == (2, 2, 1)


async def test_the_runs_time_ends_it_between_its_parts(tmp_path: Path) -> None:
    async with house(tmp_path) as one:  # each agent says that it has worked for a second
        run = await one.work(options={"seconds": 2.0})
        assert run.status is RunStatus.FAILED
        assert run.reason == "executor: the working time is used up before step s3"
        assert one.asked["s3"] == 0


@pytest.mark.parametrize("stopped", [RunStatus.STOPPED, RunStatus.WAITING])
async def test_a_run_that_goes_on_after_a_crash_is_shown_as_running(tmp_path: Path, stopped: RunStatus) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> Any:
        reached.set()
        await go_on.wait()
        return {"summary": "did it", "done": True}

    def answer(task: AgentTask) -> Any:
        return slow() if task.step and task.step.id == "s3" else usual(task)

    for resume in ("", "recover", "resume"):
        async with house(tmp_path, answer) as one:
            if not resume:
                await one.control.start(a_run())
            elif resume == "recover":
                assert await one.engine.recover_all() == 3
            else:
                await one.control.resume("run-1")
            await reached.wait()
            await until(lambda: status(one) is RunStatus.RUNNING)
            one.runs.set_status("run-1", stopped, "no provider")
        reached.clear()
    go_on.set()
    async with house(tmp_path, answer) as one:
        assert (await one.control.resume("run-1")).status is RunStatus.RUNNING
        await one.engine.result("run-1")
        assert status(one) is RunStatus.SUCCEEDED
        assert one.asked == {"s3": 1, "reviewer": 1}


async def test_a_question_outlives_the_process_that_asked_it(tmp_path: Path) -> None:
    again = []
    for first in (True, False):
        async with house(tmp_path) as one:
            one.bus.subscribe(lambda event: again.append(event.data.get("again")))
            if first:
                await one.control.start(a_run(options={"approve": ["executor"]}))
            else:
                await one.control.resume("run-1")
            await until(lambda: one.kinds.count("approval.requested") == 1)
            assert status(one) is RunStatus.WAITING
            assert len(one.table.list_open("run-1")) == 1
            if not first:
                one.approvals.decide(one.table.list_open("run-1")[0], approved=True, by="ada", reason="")
                await one.engine.result("run-1")
                assert status(one) is RunStatus.SUCCEEDED
    assert [value for value in again if value is not None] == [False, True]


async def test_an_answer_that_came_while_no_process_ran_is_found(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await one.control.start(a_run(options={"approve": ["executor"]}))
        await until(lambda: one.table.list_open("run-1"))
        question = one.table.list_open("run-1")[0]
    async with house(tmp_path) as one:
        one.approvals.decide(question, approved=False, by="ada", reason="too soon")
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert (status(one), one.runs.get("run-1").reason) == (RunStatus.NOT_APPROVED, "ada denied it: too soon")
        with pytest.raises(ConflictError, match="Fork it from the part"):
            await one.control.resume("run-1")


async def test_a_run_that_waits_in_the_queue_can_be_cancelled_resumed_and_taken(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await one.control.start(a_run(), queue=True)
        await one.control.cancel("run-1")
        assert [part.state for part in await one.engine.tree("run-1")] == [FlowState.CANCELLED]
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert status(one) is RunStatus.SUCCEEDED


async def test_a_run_that_no_worker_takes_from_the_queue_is_taken_by_who_resumes_it(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await one.control.start(a_run(), queue=True)
        await asyncio.sleep(0.3)
        assert status(one) is RunStatus.QUEUED
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert status(one) is RunStatus.SUCCEEDED


async def test_a_run_that_was_recorded_but_never_begun_can_be_cancelled_and_resumed(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.runs.add(a_run())
        await one.control.cancel("run-1")
        assert status(one) is RunStatus.CANCELLED
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert status(one) is RunStatus.SUCCEEDED


async def test_what_is_being_worked_on_or_has_succeeded_is_not_resumed(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow() -> Any:
        await go_on.wait()
        return APPROVED

    async with house(tmp_path, lambda task: slow() if task.role is AgentRole.REVIEWER else usual(task)) as one:
        await one.control.start(a_run())
        await until(lambda: one.asked["reviewer"])
        with pytest.raises(ConflictError, match="is running: process"):
            await one.control.resume("run-1")
        go_on.set()
        await one.engine.result("run-1")
        with pytest.raises(ConflictError, match="has succeeded and cannot be resumed"):
            await one.control.resume("run-1")
        with pytest.raises(ConflictError, match="has ended already"):
            await one.control.cancel("run-1")


async def test_a_resume_that_was_interrupted_while_it_went_back_can_be_done_again(tmp_path: Path) -> None:
    broken = True

    def answer(task: AgentTask) -> Any:
        if broken and task.step and task.step.id == "s3":
            raise OSError("no space left on device")
        return usual(task)

    async with house(tmp_path, answer) as one:
        await one.work()
        assert one.asked == {"planner": 1, "s1": 1, "s2": 1, "s3": 1}
        broken = False
        # As far as a resume comes that is killed after its first rewind: the child is back, its parents are not.
        await one.engine.rewind("run-1.executor.s3", 1)
    async with house(tmp_path, answer) as one:
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert status(one) is RunStatus.SUCCEEDED
        assert one.asked == {"s3": 1, "reviewer": 1}


async def test_a_run_whose_flow_ended_without_a_word_is_settled_and_can_be_resumed(tmp_path: Path) -> None:
    async with house(tmp_path) as one:

        async def silent(flow: Flow, _: None) -> RunOutcome:
            raise RuntimeError("a fault")

        body = registry.registered[RUN.name].body
        one.engine.register(RUN, silent)
        run = a_run()
        await one.control.start(run)
        with pytest.raises(Exception, match="a fault"):
            await one.engine.result(run.id)
        assert await one.control.settle() == ()
        assert await one.control.settle() == ("run-1",)
        assert status(one) is RunStatus.FAILED
        assert one.kinds[-1] == "run.finished"
        assert await one.control.settle() == ()
        one.engine.register(RUN, body)
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert status(one) is RunStatus.SUCCEEDED


async def test_a_run_that_goes_on_is_never_settled(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow() -> Any:
        await go_on.wait()
        return APPROVED

    async with house(tmp_path, lambda task: slow() if task.role is AgentRole.REVIEWER else usual(task)) as one:
        await one.control.start(a_run())
        await until(lambda: one.asked["reviewer"])
        assert [await one.control.settle() for _ in range(3)] == [()] * 3
        go_on.set()
        await one.engine.result("run-1")


async def test_a_failed_agent_is_done_again_from_its_beginning_and_the_others_are_not(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        work = registry.registered[AGENT.name].body
        tries: Counter[str] = Counter()

        async def flaky(flow: Flow, task: AgentTask) -> AgentResult:
            tries[flow.id] += 1
            if flow.id.endswith(".s2") and tries[flow.id] == 1:
                await flow.step("sing", str, lambda: asyncio.sleep(0, "la"))
                return AgentResult(failing=FailingCheck(kind="malformed_answer", message="it only sang"))
            result: AgentResult = await work(flow, task)
            return result

        one.engine.register(AGENT, flaky)
        run = await one.work()
        assert (run.status, run.reason) == (RunStatus.FAILED, "executor: step s2: it only sang")
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert status(one) is RunStatus.SUCCEEDED
        assert one.asked == {"planner": 1, "s1": 1, "s2": 1, "s3": 1, "reviewer": 1}

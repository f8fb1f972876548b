from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from orchestration.clock import SystemClock
from orchestration.config.agents import AgentRole, AgentSettings
from orchestration.config.schema import Configuration
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError, UsageError
from orchestration.events import EventBus
from orchestration.storage.approvals import ApprovalTable
from orchestration.storage.leases import Leases
from orchestration.storage.runs import Run, Runs
from orchestration.workflows.approvals import Approvals
from orchestration.workflows.attempts import Attempts
from orchestration.workflows.coordinator import RUN, Coordinator
from orchestration.workflows.engine import JSON, Engine, Flow
from orchestration.workflows.execution import AGENT, EXECUTION, PlanExecution
from orchestration.workflows.model import AgentResult, AgentTask, AgentUsage, CommandRecord, FailingCheck, ProjectBrief
from orchestration.workflows.run_control import RunControl
from orchestration.workflows.start_gate import StartGate
from tests.support.database import migrated

PLAN = {
    "summary": "two mends and a note",
    "steps": [
        {"id": "s1", "title": "mend a", "instructions": "i", "files": ["a.py"]},
        {"id": "s2", "title": "mend b", "instructions": "i", "files": ["b.py"]},
        {"id": "s3", "title": "note it", "instructions": "i", "files": ["NEWS"], "depends_on": ["s1", "s2"]},
    ],
}
APPROVED = {"verdict": "approved", "summary": "good"}
CHANGES = {
    "verdict": "changes_requested",
    "summary": "a test is missing",
    "findings": [{"severity": "major", "message": "test the edge", "file": "test_a.py"}],
}


class PaperWorkbench:
    """A workspace on paper: the executors' steps are its content."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.artifacts: dict[str, str] = {}
        self.exported: dict[Path, str] = {}
        self.exit_code = 0
        self.unchanged = False

    async def open(self, run: Run) -> str:
        return await self.snapshot(run)

    async def brief(self, run: Run) -> ProjectBrief:
        return ProjectBrief()

    async def snapshot(self, run: Run) -> str:
        return json.dumps(self.lines)

    async def patch(self, run: Run, before: str, after: str) -> str:
        return "" if self.unchanged else "\n".join(f"+{line}" for line in json.loads(after)[len(json.loads(before)) :])

    async def check(self, run: Run, command: tuple[str, ...]) -> CommandRecord:
        return CommandRecord(command=command, exit_code=self.exit_code, output="OK")

    async def write(self, run: Run, name: str, text: str, agent: str, patch: tuple[str, str] | None = None) -> None:
        self.artifacts[name] = text

    async def keep(self, run: Run, name: str, text: str, agent: str, patch: tuple[str, str] | None = None) -> None:
        if self.artifacts.get(name) != text:
            await self.write(run, name, text, agent)

    async def export(self, run: Run, tree: str, baseline: str, fork: Run) -> None:
        self.exported[Path(fork.workspace)] = tree


class House:
    """The coordinator and its engine, with agents that follow a script."""

    def __init__(self, folder: Path, answer: Callable[[AgentTask], Any]) -> None:
        self.bus = EventBus(SystemClock())
        self.kinds: list[str] = []
        self.bus.subscribe(lambda event: self.kinds.append(event.kind))
        self.bench = PaperWorkbench()
        self.asked: Counter[str] = Counter()
        self._answer = answer
        self.database = migrated(f"sqlite:///{folder}/orchestrator.db")
        self.runs = Runs(self.database)
        self.table = ApprovalTable(self.database)
        self.approvals = Approvals(self.table, self.runs, self.bus, SystemClock())
        self.engine = Engine(f"sqlite:///{folder}/engine.db", Leases(self.database))
        self.configuration = Configuration(
            agents=tuple(AgentSettings(id=name) for name in ("planner", "executor", "reviewer"))
        )
        attempts = Attempts(self.runs, self._in_force, checkpoint)
        gate = StartGate(self.runs, SystemClock(), self._in_force, checkpoint)
        coordinator = Coordinator(
            self.runs, self.bench, self.approvals, attempts, gate, self.bus, SystemClock(), self._in_force, checkpoint
        )
        self.engine.register(RUN, coordinator.body)
        self.engine.register(EXECUTION, PlanExecution(self.runs, attempts, self.bus).body)
        self.engine.register(AGENT, self._agent)
        self.control = RunControl(self.runs, self.engine, self.bus, SystemClock(), folder / "forks", self.bench.export)

    def _in_force(self) -> Configuration:
        return self.configuration

    async def _agent(self, flow: Flow, task: AgentTask) -> AgentResult:
        async def work() -> Any:
            self.asked[task.step.id if task.step else task.agent] += 1
            answer = self._answer(task)
            if asyncio.iscoroutine(answer):
                answer = await answer
            if task.role is AgentRole.EXECUTOR and task.step:
                self.bench.lines.append(task.step.id)
            return answer

        return AgentResult(output=await flow.step("work", JSON, work), use=AgentUsage(seconds=1, tokens=10))

    async def work(self, **values: Any) -> Run:
        run = Run("run-1", "mend it", "/work", SystemClock().now(), **values)
        await self.control.start(run)
        await self.engine.result(run.id)
        return self.runs.get(run.id)


def usual(task: AgentTask) -> Any:
    if task.role is AgentRole.PLANNER:
        return PLAN
    return {"summary": "did it", "done": True} if task.role is AgentRole.EXECUTOR else APPROVED


@asynccontextmanager
async def house(folder: Path, answer: Callable[[AgentTask], Any] = usual) -> AsyncIterator[House]:
    one = House(folder, answer)
    async with one.engine.running():
        yield one
    one.database.close()


async def test_a_goal_is_planned_carried_out_and_reviewed(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        run = await one.work(options={"checks": [["make", "test"]]})
        assert run.status is RunStatus.SUCCEEDED
        assert one.asked == {"planner": 1, "s1": 1, "s2": 1, "s3": 1, "reviewer": 1}
        assert one.bench.lines[-1] == "s3"
        assert set(one.bench.artifacts) == {"plan.md", "changes.patch", "test-report.md", "review.md"}
        assert one.bench.artifacts["changes.patch"].count("+s") == 3
        assert "`make test`: passed" in one.bench.artifacts["test-report.md"]
        assert run.outcome == {
            "use": {"seconds": 4.0, "model_calls": 0, "tokens": 50, "usd": 0.0, "rehearsal": False},
            "verdict": "approved",
            "ending": "done",
            "agent": "executor",
            "review": "good",
        }


async def test_a_result_is_what_the_agents_delivered_whatever_became_of_it_meanwhile(tmp_path: Path) -> None:
    def lose(task: AgentTask) -> Any:
        if task.role is AgentRole.REVIEWER:
            delivered.update(one.bench.artifacts)
            del one.bench.artifacts["plan.md"]
            one.bench.artifacts["changes.patch"] = "cut"
        return usual(task)

    delivered: dict[str, str] = {}
    async with house(tmp_path, lose) as one:
        assert (await one.work()).status is RunStatus.SUCCEEDED
        assert one.bench.artifacts.items() >= delivered.items()


async def test_work_goes_back_to_the_executor_until_the_reviewer_approves(tmp_path: Path) -> None:
    def answer(task: AgentTask) -> Any:
        if task.role is AgentRole.REVIEWER:
            return APPROVED if "review-1" in task.context["changes.patch"] else CHANGES
        return usual(task)

    async with house(tmp_path, answer) as one:
        run = await one.work()
        assert run.status is RunStatus.SUCCEEDED
        assert (one.asked["reviewer"], one.asked["review-1"]) == (2, 1)
        assert "Verdict: **approved**" in one.bench.artifacts["review.md"]


async def test_a_reviewer_who_is_never_content_ends_the_run_after_the_allowed_rounds(tmp_path: Path) -> None:
    async with house(tmp_path, lambda task: CHANGES if task.role is AgentRole.REVIEWER else usual(task)) as one:
        run = await one.work()
        assert run.status is RunStatus.NOT_APPROVED
        assert "after 2 round(s) of corrections: a test is missing" in run.reason
        assert one.asked["reviewer"] == 3
        assert run.outcome is not None
        assert (run.outcome["ending"], run.outcome["agent"]) == ("changes-requested", "executor")
        assert [finding["message"] for finding in run.outcome["findings"]] == ["test the edge"]


async def test_a_run_that_was_not_approved_gets_as_many_more_rounds_as_a_person_grants(tmp_path: Path) -> None:
    async with house(tmp_path, lambda task: CHANGES if task.role is AgentRole.REVIEWER else usual(task)) as one:
        await one.work()
        for rounds, reviews in ((2, 5), (None, 6)):
            await one.control.resume("run-1", rounds=rounds)
            await one.engine.result("run-1")
            run = one.runs.get("run-1")
            assert (run.status, one.asked["reviewer"]) == (RunStatus.NOT_APPROVED, reviews)
        assert "after 5 round(s)" in run.reason
        assert one.asked["planner"] == one.asked["s1"] == one.asked["review-5"] == 1


async def test_only_a_refused_review_can_be_given_more_rounds(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.bench.exit_code = 1
        run = await one.work(options={"checks": [["make", "test"]]})
        assert (run.status, run.outcome and run.outcome["ending"]) == (RunStatus.NOT_APPROVED, "check-failed")
        with pytest.raises(UsageError, match="without rounds"):
            await one.control.resume("run-1", rounds=2)
        one.bench.exit_code = 0
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert one.runs.get("run-1").status is RunStatus.SUCCEEDED
        assert one.asked == {"planner": 1, "s1": 1, "s2": 1, "s3": 1, "reviewer": 1}


@pytest.mark.parametrize(("exit_code", "status"), [(0, RunStatus.SUCCEEDED), (1, RunStatus.NOT_APPROVED)])
async def test_a_plan_with_nothing_to_do_is_believed_if_the_checks_pass(
    tmp_path: Path, exit_code: int, status: RunStatus
) -> None:
    nothing = {"summary": "it is all there", "steps": []}
    async with house(tmp_path, lambda task: nothing if task.role is AgentRole.PLANNER else usual(task)) as one:
        one.bench.exit_code = exit_code
        run = await one.work(options={"checks": [["make", "test"]]})
        assert (run.status, one.asked) == (status, {"planner": 1})
        assert "nothing to do: it is all there" in run.reason or "has no steps, but the check" in run.reason


async def test_a_plan_with_nothing_to_do_is_judged_by_the_reviewer_if_there_are_no_checks(tmp_path: Path) -> None:
    nothing = {"summary": "it is all there", "steps": []}
    verdicts = [CHANGES, APPROVED]

    def answer(task: AgentTask) -> Any:
        if task.role is AgentRole.PLANNER:
            return nothing
        return verdicts.pop(0) if task.role is AgentRole.REVIEWER else usual(task)

    async with house(tmp_path, answer) as one:
        run = await one.work()
        assert (run.status, run.outcome and run.outcome["ending"]) == (RunStatus.SUCCEEDED, "done")
        assert one.asked == {"planner": 1, "reviewer": 2, "review-1": 1}


async def test_a_claim_that_nothing_bears_out_is_sent_back_and_never_succeeds(tmp_path: Path) -> None:
    async with house(tmp_path, usual) as one:
        one.bench.unchanged = True
        run = await one.work()
        assert (run.status, run.outcome and run.outcome["ending"]) == (RunStatus.INCOMPLETE, "steps-not-done")
        assert "nothing in the workspace has changed" in run.reason
        assert one.asked["reviewer"] > 1


async def test_a_failed_run_resumes_at_the_step_that_failed_and_repeats_no_other(tmp_path: Path) -> None:
    broken = True

    def answer(task: AgentTask) -> Any:
        if broken and task.step and task.step.id == "s3":
            raise OSError("no space left on device")
        return usual(task)

    async with house(tmp_path, answer) as one:
        run = await one.work()
        assert (run.status, run.reason, one.asked["s3"]) == (RunStatus.FAILED, "no space left on device", 1)
        broken = False
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert one.runs.get("run-1").status is RunStatus.SUCCEEDED
        assert one.asked == {"planner": 1, "s1": 1, "s2": 1, "s3": 2, "reviewer": 1}


async def test_a_cancelled_run_stops_and_resumes_where_it_was(tmp_path: Path) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> Any:
        reached.set()
        await go_on.wait()
        return {"summary": "did it", "done": True}

    async with house(tmp_path, lambda task: slow() if task.step and task.step.id == "s3" else usual(task)) as one:
        await one.control.start(Run("run-1", "mend it", "/work", SystemClock().now()))
        await reached.wait()
        await one.control.cancel("run-1", "not now")
        assert (one.runs.get("run-1").status, one.runs.get("run-1").reason) == (RunStatus.CANCELLED, "not now")
        with pytest.raises(ConflictError, match="has ended already"):
            await one.control.cancel("run-1")
        go_on.set()
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert one.runs.get("run-1").status is RunStatus.SUCCEEDED
        assert one.asked == {"planner": 1, "s1": 1, "s2": 1, "s3": 2, "reviewer": 1}


async def test_a_fork_shares_the_plan_and_works_in_a_copy_as_it_was_then(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await one.work()
        parts = [step.number for step in await one.control.parts("run-1")]
        with pytest.raises(UsageError, match="has no part"):
            await one.control.fork("run-1", 99)
        fork = await one.control.fork("run-1", parts[1])
        await one.engine.result(fork.id)
        assert one.asked == {"planner": 1, "s1": 2, "s2": 2, "s3": 2, "reviewer": 2}
        assert one.bench.exported == {Path(fork.workspace): "[]"}
        ended = one.runs.get(fork.id)
        assert (ended.status, ended.started_at is not None) == (RunStatus.SUCCEEDED, True)
        assert fork.origin == f"fork of run-1 at {parts[1]}"


@pytest.mark.parametrize("approved", [True, False])
async def test_a_run_waits_for_a_persons_word(tmp_path: Path, approved: bool) -> None:
    async with house(tmp_path) as one:
        await one.control.start(
            Run("run-1", "mend it", "/work", SystemClock().now(), options={"approve": ["executor"]})
        )
        while not (questions := one.table.list_open("run-1")):
            await asyncio.sleep(0.01)
        assert one.asked == {"planner": 1}
        one.approvals.decide(questions[0], approved=approved, by="ada", reason="because")
        await one.engine.result("run-1")
        run = one.runs.get("run-1")
        if approved:
            assert (run.status, one.asked["s3"]) == (RunStatus.SUCCEEDED, 1)
        else:
            assert (run.status, run.reason, one.asked["s3"]) == (RunStatus.NOT_APPROVED, "ada denied it: because", 0)


async def test_one_agent_can_run_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        run = await one.work(agent="planner")
        assert (run.status, one.asked) == (RunStatus.SUCCEEDED, {"planner": 1})
        assert set(one.bench.artifacts) == {"plan.md"}


async def test_a_failure_of_an_agent_is_the_reason_of_the_run(tmp_path: Path) -> None:
    async with house(tmp_path) as one:

        async def failing(flow: Flow, task: AgentTask) -> AgentResult:
            return AgentResult(failing=FailingCheck(kind="malformed_answer", message="it only sang"))

        one.engine.register(AGENT, failing)
        run = await one.work()
        assert (run.status, run.reason) == (RunStatus.FAILED, "planner: it only sang")


async def test_a_run_that_was_recorded_but_never_begun_begins_on_resume(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.runs.add(Run("run-1", "mend it", "/work", SystemClock().now()))
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert one.runs.get("run-1").status is RunStatus.SUCCEEDED


async def test_a_stopped_run_is_shown_as_running_once_it_is_taken_up(tmp_path: Path) -> None:
    reached = asyncio.Event()

    async def never() -> Any:
        reached.set()
        await asyncio.Event().wait()

    async with house(tmp_path, lambda task: never() if task.role is AgentRole.EXECUTOR else usual(task)) as one:
        await one.control.start(Run("run-1", "mend it", "/work", SystemClock().now()))
        await reached.wait()
        one.runs.set_status("run-1", RunStatus.STOPPED, "it was interrupted")
    seen: list[tuple[RunStatus, str]] = []

    def answer(task: AgentTask) -> Any:
        run = one.runs.get("run-1")
        seen.append((run.status, run.reason))
        return usual(task)

    async with house(tmp_path, answer) as one:
        await one.control.resume("run-1")
        await one.engine.result("run-1")
        assert set(seen) == {(RunStatus.RUNNING, "")}
        assert one.runs.get("run-1").status is RunStatus.SUCCEEDED

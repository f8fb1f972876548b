"""The flow of a run: its agents in order, reviews and corrections, artifacts, and the outcome."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import NoneType

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.config.agents import AgentRole, AgentSettings
from orchestration.config.schema import Configuration
from orchestration.domain.failure_class import kind_of_error
from orchestration.domain.run_status import RunEnding
from orchestration.errors import NotFoundError, OrchestratorError
from orchestration.events import EventBus
from orchestration.events.agents import Usage
from orchestration.events.runs import RunFinished, RunStarted
from orchestration.storage.runs import Run, Runs
from orchestration.workflows import documents, graph
from orchestration.workflows.approvals import Approvals, DeniedError
from orchestration.workflows.attempts import Attempts, settings_of
from orchestration.workflows.engine import ChildFlow, Flow, FlowKind, StepError, outlasting
from orchestration.workflows.execution import AGENT, EXECUTION, ExecutionPlan, ExecutionTask
from orchestration.workflows.model import (
    AgentResult,
    AgentTask,
    CommandRecord,
    FailingCheck,
    PlanStep,
    ProjectBrief,
    ReviewReport,
    RunOutcome,
    RunPlan,
    TextAnswer,
    side_by_side,
)
from orchestration.workflows.ports import RunWorkspacePort
from orchestration.workflows.run_progress import (
    AgentFailedError,
    ArtifactText,
    RunProgress,
    RunSetup,
    WorkflowMember,
)
from orchestration.workflows.start_gate import StartGate
from orchestration.workflows.work_facts import WHOLE_GOAL, RunFacts, facts_section, last_runs

RUN = FlowKind("run", NoneType, RunOutcome)
# Recorded only where a limit of the whole run is used up, and always as failed.
LIMITS_STEP = "limits"


# Endings that say nothing about an agent's work.
_NOBODYS = frozenset({RunEnding.STEP_FAILED, RunEnding.INTERNAL_ERROR, RunEnding.APPROVAL_DENIED})
_NOTHING = RunSetup(levels=(), baseline="", seconds=None, review_rounds=0, parallel_steps=1, checks=(), approve=())


class Coordinator:
    """Takes a goal through the agents of the workflow."""

    def __init__(
        self,
        runs: Runs,
        workspace: RunWorkspacePort,
        approvals: Approvals,
        attempts: Attempts,
        gate: StartGate,
        bus: EventBus,
        clock: Clock,
        configuration: Callable[[], Configuration],
        flush: Callable[[], Awaitable[None]],
    ) -> None:
        """`flush` returns when all events are on the timeline."""
        self._runs = runs
        self._workspace = workspace
        self._approvals = approvals
        self._attempts = attempts
        self._gate = gate
        self._bus = bus
        self._clock = clock
        self._configuration = configuration
        self._flush = flush

    async def body(self, flow: Flow, _payload: None) -> RunOutcome:
        """The flow itself. The goal and the options are in the run's record."""
        run = await outlasting(partial(self._runs.get, flow.id))
        await self._gate.enter(run)
        progress = RunProgress(_NOTHING)
        try:
            await self._take_through(flow, run, progress)
        except AgentFailedError as error:
            progress.fail(error)
        except DeniedError as error:
            progress.end(RunEnding.APPROVAL_DENIED, str(error))
        except StepError as error:
            progress.end(RunEnding.STEP_FAILED, str(error), error.kind)
        except Exception as error:  # noqa: BLE001 (a run must come to an end; being cancelled is no Exception)
            name = type(error).__name__
            progress.end(RunEnding.INTERNAL_ERROR, f"internal error: {name}: {error}", name)
        # A step, so that a replay after the last crash neither overwrites the outcome nor announces it again.
        return await flow.step("end", RunOutcome, lambda: self._end(run, progress))

    async def _take_through(self, flow: Flow, run: Run, progress: RunProgress) -> None:
        """Take the goal through the agents, level by level."""
        progress.setup = await flow.step("begin", RunSetup, lambda: self._begin(run))
        # Levels, not the setup of today: a resumed run keeps the workflow that it started with.
        for members in progress.setup.levels:
            await self._level(flow, run, progress, members)
            if progress.ended is not None:
                break

    async def _begin(self, run: Run) -> RunSetup:
        """Fix the settings of this run, and record the workspace as it was before."""
        setup = make_setup(run, self._configuration(), await self._workspace.open(run))
        # Recorded: what a run changes must not change what its later agents are told.
        setup = setup.model_copy(update={"brief": await self._workspace.brief(run)})
        self._bus.publish(RunStarted(goal=run.goal, workspace=run.folder), run_id=run.id)
        await self._flush()
        return setup

    async def _level(self, flow: Flow, run: Run, progress: RunProgress, members: Sequence[WorkflowMember]) -> None:
        """Run agents that do not depend on each other concurrently."""
        if progress.idle and not (members := [one for one in members if one.role is AgentRole.REVIEWER]):
            return
        await self._check_limits(flow, run, progress)
        for member in members:
            if member.id in progress.setup.approve:
                await self._approvals.wait(flow, run, f"may {member.id} start?", member.id)
        children = [await self._start(flow, run, progress, member) for member in members]
        results = [await _result(flow, member, child) for member, child in zip(members, children, strict=True)]
        progress.use = progress.use.plus(side_by_side(result.use for result in results))
        # In the configured order, whichever agent ended first: steps must have the same numbers on replay.
        for member, result in zip(members, results, strict=True):
            await self._process_result(flow, run, progress, member, result)
        if progress.plan is not None and not progress.plan.steps and not progress.idle:
            await self._check_idle(flow, run, progress, progress.plan)
        elif reviewers := [member for member in members if member.role is AgentRole.REVIEWER]:
            await self._correct_until_approved(flow, run, progress, reviewers)

    async def _start(
        self, flow: Flow, run: Run, progress: RunProgress, member: WorkflowMember, suffix: str = ""
    ) -> ChildFlow[AgentResult]:
        """Start the child flow for an agent.

        One flow per agent: the engine numbers steps per flow, and agents that run concurrently within one would get
        each other's recorded results on replay.
        """
        name = f"{flow.id}.{member.id}{suffix}"
        await self._renew(flow, run, progress)
        if member.role is AgentRole.EXECUTOR:
            steps = progress.plan.steps if progress.plan else (_whole_goal(run),)
            return await flow.start(EXECUTION, name, self._execution_task(run, progress, member, steps))
        return await flow.start(AGENT, name, self._task(run, progress, member))

    async def _check_limits(self, flow: Flow, run: Run, progress: RunProgress) -> None:
        """Raise StepError if the run's working time or its model calls are used up, and nobody has raised the limit."""
        if progress.used_up():
            await self._renew(flow, run, progress, used_up=True)
        if problem := progress.used_up():
            # A step, so that a run that is resumed with a higher limit has a failed one to go back to.
            await flow.step(LIMITS_STEP, NoneType, partial(_give_up, problem))

    async def _renew(self, flow: Flow, run: Run, progress: RunProgress, *, used_up: bool = False) -> None:
        """Take the settings of the run's present attempt where an earlier one had not been yet."""
        while settings := await self._attempts.renewed(flow, run, progress.setup.attempt, used_up=used_up):
            before, progress.setup = progress.setup.baseline, progress.setup.renewed(settings)
            if before != progress.setup.baseline:
                progress.tree = ""
            used_up = False

    def _task(self, run: Run, progress: RunProgress, member: WorkflowMember) -> AgentTask:
        return AgentTask(
            run_id=run.id,
            agent=member.id,
            role=member.role,
            goal=run.goal,
            context={**_told(progress.setup.brief, member), **progress.context},
            seconds=progress.seconds_left(),
            model_calls=progress.model_calls_left(),
            attempt=progress.setup.attempt,
            limits=progress.setup.limits,
        )

    def _execution_task(
        self, run: Run, progress: RunProgress, member: WorkflowMember, steps: Sequence[PlanStep]
    ) -> ExecutionTask:
        return ExecutionTask(
            task=self._task(run, progress, member), steps=tuple(steps), parallel=progress.setup.parallel_steps
        )

    async def _process_result(
        self, flow: Flow, run: Run, progress: RunProgress, member: WorkflowMember, result: AgentResult
    ) -> None:
        """Turn an agent's result into artifacts and into context for the next agents."""
        if result.failing is not None:
            raise AgentFailedError(member.id, result.failing, f"{member.id}: {result.failing.message}")
        if member.role is AgentRole.PLANNER:
            progress.plan = RunPlan.model_validate(result.output)
            text = documents.plan_document(run.goal, progress.plan)
            await self._deliver(flow, run, progress, member, text, result)
        elif member.role is AgentRole.EXECUTOR:
            await self._process_changes(flow, run, progress, member, result)
        elif member.role is AgentRole.REVIEWER:
            review = progress.reviews[member.id] = ReviewReport.model_validate(result.output)
            await self._deliver(flow, run, progress, member, documents.review_document(review), result)
        else:
            await self._deliver(flow, run, progress, member, TextAnswer.model_validate(result.output).text, result)

    async def _process_changes(
        self, flow: Flow, run: Run, progress: RunProgress, member: WorkflowMember, result: AgentResult
    ) -> None:
        """Record the executor's changes to the workspace, and run the checks."""
        execution = ExecutionPlan.model_validate(result.output)
        # Of another attempt, the changes may be counted from newer files.
        await self._renew(flow, run, progress)
        # Recorded, because on a replay the workspace may have changed: the patch must be the one that the reviewer has
        # seen.
        tree = await flow.step("snapshot", str, lambda: self._workspace.snapshot(run))
        patch = await flow.step("patch", str, lambda: self._workspace.patch(run, progress.setup.baseline, tree))
        checks = await self._run_checks(flow, run, progress)
        before, progress.tree = progress.tree or progress.setup.baseline, tree
        progress.commands += result.commands
        progress.facts = RunFacts(
            progress.plan,
            patch,
            progress.commands,
            result.facts,
            fresh=tree != before,
            unneeded=bool(execution.entries) and all(one.report.nothing_to_change for one in execution.entries),
            checked=bool(checks) and not progress.failed_checks,
        )
        progress.undone = tuple(
            f"{entry.step.id} is not done: {entry.report.summary}"
            for entry in execution.entries
            if not entry.report.done
        )
        report = documents.tests_document(
            [(entry.step, entry.report) for entry in execution.entries],
            checks or last_runs(result.commands),
            facts_section(progress.facts),
        )
        progress.context[member.output] = patch
        progress.context[documents.TESTS] = report
        between = (progress.setup.baseline, tree)
        await self._write(flow, run, progress, member.output, ArtifactText(patch, member.id, between))
        labelled = documents.labelled(report, rehearsal=result.use.rehearsal)
        await self._write(flow, run, progress, documents.TESTS, ArtifactText(labelled, member.id))

    async def _run_checks(self, flow: Flow, run: Run, progress: RunProgress) -> list[CommandRecord]:
        checks = [await self._check(flow, run, command) for command in progress.setup.checks]
        progress.failed_checks = tuple(documents.failed_check(check) for check in checks if check.exit_code != 0)
        return checks

    async def _check(self, flow: Flow, run: Run, command: tuple[str, ...]) -> CommandRecord:
        return await flow.step("check", CommandRecord, lambda: self._workspace.check(run, command))

    async def _check_idle(self, flow: Flow, run: Run, progress: RunProgress, plan: RunPlan) -> None:
        """Find out whether a planner that found nothing to do is right. The run's own checks decide; where there are
        none the reviewers do, who may send the work to an executor after all."""
        await self._run_checks(flow, run, progress)
        if progress.failed_checks:
            progress.end(RunEnding.CHECK_FAILED, f"the plan has no steps, but {'; '.join(progress.failed_checks)}")
        elif progress.setup.checks or _member_of_role(progress.setup, AgentRole.REVIEWER) is None:
            progress.end(RunEnding.NOTHING_TO_DO, _nothing_to_do(plan))
        else:
            progress.idle = True
            facts = facts_section(RunFacts(plan, patch=""))
            progress.context[documents.TESTS] = documents.tests_document([], [], facts)

    async def _correct_until_approved(
        self, flow: Flow, run: Run, progress: RunProgress, reviewers: Sequence[WorkflowMember]
    ) -> None:
        """Send the work back to the executor while a reviewer requests changes, a bounded number of times."""
        executor = _member_of_role(progress.setup, AgentRole.EXECUTOR)
        for number in itertools.count(1):
            wanted = progress.changes_wanted()
            # Asked in each round, since another attempt may allow more rounds.
            if executor is None or not wanted or number > progress.rounds(run):
                return
            await self._check_limits(flow, run, progress)
            await self._renew(flow, run, progress)
            suffix = f"-r{number + 1}"
            steps = (documents.correction_step(wanted, number),)
            task = self._execution_task(run, progress, executor, steps)
            child = await flow.start(EXECUTION, f"{flow.id}.{executor.id}{suffix}", task)
            await self._finish_child(flow, run, progress, executor, child)
            for reviewer in reviewers:
                child = await self._start(flow, run, progress, reviewer, suffix)
                await self._finish_child(flow, run, progress, reviewer, child)

    async def _finish_child(
        self, flow: Flow, run: Run, progress: RunProgress, member: WorkflowMember, child: ChildFlow[AgentResult]
    ) -> None:
        result = await _result(flow, member, child)
        progress.use = progress.use.plus(result.use)
        await self._process_result(flow, run, progress, member, result)

    async def _deliver(
        self, flow: Flow, run: Run, progress: RunProgress, member: WorkflowMember, text: str, result: AgentResult
    ) -> None:
        progress.context[member.output] = text
        labelled = documents.labelled(text, rehearsal=result.use.rehearsal)
        await self._write(flow, run, progress, member.output, ArtifactText(labelled, member.id))

    async def _write(self, flow: Flow, run: Run, progress: RunProgress, name: str, what: ArtifactText) -> None:
        progress.delivered[name] = what
        write = partial(self._workspace.write, run, name, what.text, what.agent, what.patch)
        await flow.step("artifact", NoneType, write)

    async def _end(self, run: Run, progress: RunProgress) -> RunOutcome:
        """Record the outcome. A run that was cancelled in the meantime stays cancelled."""
        # What was lost or altered while the run went on is written again: its result is what its agents delivered.
        for name, what in progress.delivered.items():
            await self._workspace.keep(run, name, what.text, what.agent, what.patch)
        result = _outcome(run, progress)
        outcome = result.record()
        await anyio.to_thread.run_sync(
            lambda: self._runs.set_status(
                run.id, result.status, result.reason, outcome=outcome, finished_at=self._clock.now()
            )
        )
        finished = RunFinished(
            result.status.value,
            result.reason,
            Usage(**outcome["use"]),
            result.verdict,
            ending=result.ending.value if result.ending else None,
            by_agent=result.agent,
            failure=result.failure,
            config_version=run.config_version,
        )
        self._bus.publish(finished, run_id=run.id)
        await self._flush()
        return result


def make_setup(run: Run, configuration: Configuration, baseline: str) -> RunSetup:
    """The settings of a run, from the current configuration and the run's own options."""
    runtime, settings = configuration.runtime, settings_of(run, configuration)
    agents = _taking_part(run, configuration)
    edges = () if run.agent or run.options.get("agents") else configuration.workflow
    by_id = {agent.id: agent for agent in agents}
    return RunSetup(
        levels=tuple(
            tuple(_member(by_id[name]) for name in level) for level in graph.agent_levels(agents, edges) if level
        ),
        baseline=baseline,
        seconds=settings.limits.seconds,
        model_calls=settings.limits.model_calls,
        review_rounds=settings.review_rounds,
        parallel_steps=runtime.parallel_steps,
        checks=tuple(tuple(command) for command in run.options.get("checks", ())),
        approve=tuple(run.options.get("approve", ())),
        attempt=settings.attempt,
    )


def _told(brief: ProjectBrief, member: WorkflowMember) -> dict[str, str]:
    shown = {documents.INSTRUCTIONS: brief.instructions}
    if member.role is AgentRole.PLANNER:
        shown[documents.MAP] = brief.map
    return {name: text for name, text in shown.items() if text}


async def _give_up(problem: OrchestratorError) -> None:
    raise problem


def _taking_part(run: Run, configuration: Configuration) -> Sequence[AgentSettings]:
    if run.agent is None:
        return configuration.agents
    agent = configuration.agent(run.agent)
    if agent is None:
        known = ", ".join(agent.id for agent in configuration.agents)
        raise NotFoundError(f"There is no agent '{run.agent}'. Configured agents: {known}.")
    return (agent,)


def _member(agent: AgentSettings) -> WorkflowMember:
    usual = {
        AgentRole.PLANNER: documents.PLAN,
        AgentRole.EXECUTOR: documents.PATCH,
        AgentRole.REVIEWER: documents.REVIEW,
        AgentRole.WORKER: f"{agent.id}.md",
    }
    role = agent.effective_role
    return WorkflowMember(id=agent.id, role=role, output=agent.outputs[0] if agent.outputs else usual[role])


def _member_of_role(setup: RunSetup, role: AgentRole) -> WorkflowMember | None:
    return next((member for level in setup.levels for member in level if member.role is role), None)


def _whole_goal(run: Run) -> PlanStep:
    """The whole goal as one step, for an executor without a planner before it."""
    return PlanStep(id=WHOLE_GOAL, title=run.goal.strip().splitlines()[0][:300], instructions=run.goal)


async def _result(flow: Flow, member: WorkflowMember, child: ChildFlow[AgentResult]) -> AgentResult:
    """The result of an agent's flow. Raises AgentFailedError if the flow itself broke."""
    try:
        return await flow.result(child)
    except StepError as error:
        failing = FailingCheck(kind=kind_of_error(error.kind), message=str(error), error=error.kind)
        raise AgentFailedError(member.id, failing, str(error)) from error


def _outcome(run: Run, progress: RunProgress) -> RunOutcome:
    ending, reason = progress.ended or _judgement(run, progress)
    failed = progress.failed
    author = _member_of_role(progress.setup, AgentRole.EXECUTOR)
    agent = failed.agent if failed else run.agent or (author.id if author else None)
    wanted = progress.changes_wanted()
    said = wanted or tuple(progress.reviews.values())
    return RunOutcome(
        status=ending.status,
        reason=reason,
        use=progress.use,
        verdict=progress.verdict(),
        ending=ending,
        findings=tuple(finding for review in wanted for finding in review.findings),
        agent=None if ending in _NOBODYS else agent,
        failure=progress.failure,
        comments=() if wanted else tuple(finding for review in said for finding in review.findings),
        review="\n\n".join(review.summary.strip() for review in said),
    )


def _judgement(run: Run, progress: RunProgress) -> tuple[RunEnding, str]:
    """How a run ended that came to its last agent, and why it has not succeeded; an empty reason if it has.

    Steps that an executor did not finish count only if no reviewer has judged the result.
    """
    if objections := progress.objections():
        return _contradicted(progress, "; ".join(objections))
    if wanted := progress.changes_wanted():
        summaries = "; ".join(review.summary for review in wanted)
        rounds = progress.rounds(run)
        reason = f"the reviewer still asks for changes after {rounds} round(s) of corrections: {summaries}"
        return RunEnding.CHANGES_REQUESTED, reason
    if progress.failed_checks:
        return RunEnding.CHECK_FAILED, "; ".join(progress.failed_checks)
    if progress.undone and not progress.reviews:
        return RunEnding.STEPS_NOT_DONE, "; ".join(progress.undone)
    if progress.idle and progress.facts is None and progress.plan is not None:
        return RunEnding.NOTHING_TO_DO, _nothing_to_do(progress.plan)
    if progress.facts is not None and progress.facts.plan is None and progress.facts.unneeded and not progress.changed:
        return RunEnding.NOTHING_TO_DO, "the executor reports that nothing had to be changed"
    return RunEnding.DONE, ""


def _contradicted(progress: RunProgress, reason: str) -> tuple[RunEnding, str]:
    """The ending of a run whose reports the facts contradict, whatever the reviewers have said."""
    missing = progress.facts is not None and progress.facts.missing_change
    return RunEnding.STEPS_NOT_DONE if missing else RunEnding.CHECK_FAILED, reason


def _nothing_to_do(plan: RunPlan) -> str:
    return f"the plan has nothing to do: {plan.summary.strip()}"

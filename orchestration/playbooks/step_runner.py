"""Running the steps of one response durably: each decision, approval and action is a checkpoint of the flow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from orchestration.domain.playbook_state import ActionState
from orchestration.playbooks.approvals import ApprovalRequests
from orchestration.playbooks.execution import AUTOMATION, PlaybookExecution, StepExecutor
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.incident_updates import IncidentUpdates
from orchestration.playbooks.model import Mode, Phase, Step
from orchestration.playbooks.step_results import NOTHING, ApprovalOutcome, ApprovalReply, StepDecision
from orchestration.storage.playbooks import ActionRun
from orchestration.workflows.engine import Flow, NamedStep

# A guard postpones a step by a known time, so one wait is normal. A few more cover another response that ran the same
# action meanwhile; after that the decision is taken as it is.
_MOST_WAITS = 3


class SupersededError(Exception):
    """Somebody else settled the incident; nothing more is to be done."""


class StepRunner:
    """Runs steps for one response. Rebuilt from the recorded results when the flow is replayed, so everything that it
    does has to come in the same order each time."""

    def __init__(
        self,
        flow: Flow,
        execution: PlaybookExecution,
        facts: KnownFacts,
        executor: StepExecutor,
        updates: IncidentUpdates,
        approvals: ApprovalRequests,
        approved_by: str = "",
    ) -> None:
        """`approved_by` has approved every step that needs an approval, by asking for the option that it belongs to."""
        self.facts = facts
        self.attempts = 0
        # Called before a step acts for the first time in an option, and not while it only waits for an approval.
        self.before_acting: Callable[[], Awaitable[None]] | None = None
        self._flow = flow
        self._execution = execution
        self._executor = executor
        self._updates = updates
        self._approvals = approvals
        self._approved_by = approved_by
        self._count = 0

    async def observe(self, phase: Phase, steps: Sequence[Step], scope: str = "", *, settled: bool = False) -> None:
        """Run steps that only read, side by side where they are marked `together`. With `settled` the incident was
        resolved by this very response, which does not stop them."""
        for group in _groups(steps):
            if not settled:
                await self.check_open()
            if len(group) == 1:
                await self.run(phase, group[0], scope)
            else:
                await self._run_together(phase, group, scope)

    async def run_all(self, phase: Phase, steps: Sequence[Step], scope: str = "") -> list[ActionRun]:
        """Run steps one after the other; in an option, one that fails and is not optional ends them."""
        done: list[ActionRun] = []
        for step in steps:
            await self.check_open()
            action = await self.run(phase, step, scope)
            done.append(action)
            if action.state is not ActionState.DONE and not step.optional and phase is Phase.MITIGATE:
                break
        return done

    async def run(self, phase: Phase, step: Step, scope: str = "") -> ActionRun:
        """Run one step, subject to its conditions, the guards, and a person's approval."""
        key = self.key(phase, step, scope)
        return await self.run_decided(phase, step, key, await self.decide(step))

    async def run_decided(self, phase: Phase, step: Step, key: str, decision: StepDecision) -> ActionRun:
        """Run one step as far as it was decided that the machine may go."""
        if decision.mode is Mode.ASK and self._approved_by and phase is Phase.MITIGATE:
            return await self._act(phase, step, key, decision, self._approved_by)
        if decision.mode is Mode.ASK:
            ask = partial(self._approvals.ask, self._execution, step, key, decision)
            reply = await self._flow.step(f"ask:{step.id}", ApprovalReply, ask)
            return await self._answered(phase, step, key, decision, reply)
        if decision.mode is not Mode.AUTO:
            state = ActionState.SUGGESTED if decision.mode is Mode.SUGGEST else ActionState.LEFT_OUT
            return await self._skip(phase, step, key, decision, state, decision.reason)
        return await self._act(phase, step, key, decision, AUTOMATION)

    async def decide(self, step: Step) -> StepDecision:
        """The decision about a step. One that a guard only postpones is made again when the time has come."""
        decide = partial(self._decide, step)
        for _ in range(_MOST_WAITS):
            decision = await self._flow.step(f"decide:{step.id}", StepDecision, decide)
            if not decision.wait:
                return decision
            # The engine's own sleep: a flow that is recovered after a crash waits for the rest of it only.
            await self._flow.sleep(decision.wait)
        return decision

    async def post_question(self, step: Step, key: str, decision: StepDecision) -> None:
        """Ask for the approval of a follow-up, without waiting."""
        post = partial(self._approvals.post, self._execution, step, key, decision)
        await self._flow.step(f"pose:{step.id}", NOTHING, post)

    async def follow_up(self, phase: Phase, step: Step, key: str, decision: StepDecision) -> None:
        """Wait for the answer to a posted question, and act on it. One that has lost its point is recorded as left."""
        wait = partial(self._approvals.wait_for_follow_up, self._execution, key)
        reply = await self._flow.step(f"ask:{step.id}", ApprovalReply, wait)
        if reply.decision is ApprovalOutcome.SUPERSEDED:
            await self._skip(phase, step, key, decision, ActionState.LEFT_OUT, reply.summary)
        else:
            await self._answered(phase, step, key, decision, reply)

    async def undo(self, action: ActionRun) -> ActionRun:
        """Undo what was done."""
        undo = partial(self._executor.undo, self._execution, action)
        return await self._flow.step(f"undo:{action.step}", ActionRun, undo)

    async def check_open(self) -> None:
        """Raises SupersededError as soon as somebody else has settled the incident."""
        # A step, because a replay has to stop where the first execution stopped, whatever has become of the incident.
        settled = await self._flow.step("check", str, partial(self._updates.settled, self._execution))
        if settled:
            raise SupersededError(settled)

    def key(self, phase: Phase, step: Step, scope: str = "") -> str:
        """The key of the next step. A replay gives the same ones, because it runs the steps in the same order."""
        self._count += 1
        return f"{self._flow.id}/{phase.value}/{scope or '-'}/{step.id}/{self._count}"

    async def _run_together(self, phase: Phase, group: Sequence[Step], scope: str) -> None:
        # Keys are drawn before anything runs, so that they do not depend on which step ends first.
        keys = [self.key(phase, step, scope) for step in group]
        # One durable step for each: the engine numbers steps in the order of their calls, so branches of several
        # steps could be replayed with each other's results.
        named = [
            NamedStep(f"look:{step.id}", ActionRun, partial(self._decide_and_act, phase, step, key))
            for step, key in zip(group, keys, strict=True)
        ]
        for step, action in zip(group, await self._flow.steps(named), strict=True):
            self._learn(step, action)

    async def _answered(
        self, phase: Phase, step: Step, key: str, decision: StepDecision, reply: ApprovalReply
    ) -> ActionRun:
        if reply.decision is ApprovalOutcome.SUPERSEDED:
            raise SupersededError(reply.summary)
        if reply.decision is not ApprovalOutcome.APPROVED:
            return await self._skip(phase, step, key, decision, ActionState.DENIED, reply.summary)
        return await self._act(phase, step, key, decision, reply.by)

    async def _act(self, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str) -> ActionRun:
        if self.before_acting is not None:
            await self.before_acting()
        act = partial(self._executor.act, self._execution, phase, step, key, decision, actor)
        return self._learn(step, await self._flow.step(f"act:{step.id}", ActionRun, act))

    async def _skip(
        self, phase: Phase, step: Step, key: str, decision: StepDecision, state: ActionState, reason: str
    ) -> ActionRun:
        stated = replace(decision, reason=reason)
        skip = partial(self._executor.skip, self._execution, phase, step, key, stated, state)
        return await self._flow.step(f"leave:{step.id}", ActionRun, skip)

    async def _decide(self, step: Step) -> StepDecision:
        return await self._executor.decide(self._execution, step, self.facts, self.attempts)

    async def _decide_and_act(self, phase: Phase, step: Step, key: str) -> ActionRun:
        decision = await self._decide(step)
        if decision.mode is not Mode.AUTO:
            return await self._executor.skip(self._execution, phase, step, key, decision, ActionState.LEFT_OUT)
        return await self._executor.act(self._execution, phase, step, key, decision, AUTOMATION)

    def _learn(self, step: Step, action: ActionRun) -> ActionRun:
        if action.state is ActionState.DONE:
            self.facts.learn(step.id, action.findings)
        return action


def _groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Neighbours that are marked `together` as one group; all others alone."""
    group: list[Step] = []
    for step in steps:
        if group and not (step.together and group[-1].together):
            yield group
            group = []
        group.append(step)
    if group:
        yield group

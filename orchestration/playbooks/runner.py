"""The flow of a response: a playbook carried out on an incident, phase by phase, as one durable run.

Identify and diagnose look. Then the ways to mitigate are tried, the one that the likeliest cause points to first; each
is verified, and undone in reverse order when it did not help. When none is left, a person is called. Whenever the
incident is settled by somebody else, the run stops where it is.

What would be good to do afterwards, and needs a person's word, does not keep an incident open that is over: an optional
step of the recovery that has to ask is put to them at once, and done as a follow-up when they agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.playbooks import conditions, hypotheses
from orchestration.playbooks.approvals import ApprovalRequests
from orchestration.playbooks.execution import AUTOMATION, StepDecision, StepExecutor
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.hypotheses import RankedHypothesis
from orchestration.playbooks.incident_updates import IncidentUpdates
from orchestration.playbooks.model import Mode, Option, Phase, Playbook, Step
from orchestration.storage.playbooks import ActionRun, action_from_json, as_json
from orchestration.workflows.engine import Flow, untyped

RESPONSE = untyped("response")
_MOST_WAITS = 3


class SupersededError(Exception):
    """Somebody else settled the incident; nothing more is to be done."""


class PlaybookRunner:
    """Carries playbooks out."""

    def __init__(self, executor: StepExecutor, reporting: IncidentUpdates, asking: ApprovalRequests) -> None:
        self._executor = executor
        self._reporting = reporting
        self._asking = asking

    async def body(self, flow: Flow, payload: Any) -> Any:
        """The flow itself. `payload` names the incident; the playbook is fixed by the first step."""
        opened = await flow.step("open", lambda: self._reporting.open(flow.id, payload["incident"]))
        if opened is None:
            return None
        work = _Work(flow, opened, self._executor, self._reporting, self._asking)
        try:
            state, says = await work.respond()
        except SupersededError as error:
            state, says = PlaybookRunState.OVERTAKEN, str(error)
        closed = await flow.step("close", lambda: self._reporting.close(flow.id, state, says))
        await work.follow_up()
        return closed


class _Work:
    """One run of one playbook; rebuilt from the records when the flow is replayed."""

    def __init__(
        self,
        flow: Flow,
        opened: Mapping[str, Any],
        executor: StepExecutor,
        reporting: IncidentUpdates,
        asking: ApprovalRequests,
    ) -> None:
        self._executor = executor
        self._reporting = reporting
        self._asking = asking
        self._flow = flow
        self._response = reporting.response(flow.id, opened)
        self._playbook = Playbook.model_validate(opened["playbook"])
        self._facts = KnownFacts(opened["facts"])
        self._attempts = int(opened["attempts"])
        self._count = 0
        self._tried = False
        self._announces: Option | None = None
        self._later: list[tuple[Step, str, StepDecision]] = []

    async def respond(self) -> tuple[PlaybookRunState, str]:
        """All phases; returns how it ended, in a word and in a sentence."""
        await self._look(Phase.IDENTIFY, self._playbook.identify)
        await self._look(Phase.DIAGNOSE, self._playbook.diagnose)
        causes = await self._diagnose()
        await self._escalate_early()
        helped = await self._mitigate(causes)
        await self._check_open()
        if helped is None:
            tried = self._tried
            await self._step("hand-over", lambda: self._reporting.hand_over(self._response, causes, tried))
            await self._look(Phase.DOCUMENT, self._playbook.document)
            return PlaybookRunState.HANDED_OVER, "nothing that the playbook knows has helped; a person was called"
        await self._recover()
        await self._step("resolve", lambda: self._reporting.resolve(self._response, causes, helped))
        await self._look(Phase.DOCUMENT, self._playbook.document, settled=True)
        return PlaybookRunState.HELPED, helped

    async def follow_up(self) -> None:
        """What was put to a person, and kept nothing waiting: done when they agree."""
        for step, key, decision in self._later:
            answer = await self._flow.step(
                f"ask:{step.id}", partial(self._asking.answer_to_follow_up, self._response, key)
            )
            await self._answered(Phase.RECOVER, step, key, decision, answer)

    async def _recover(self) -> None:
        for step in self._playbook.recover:
            await self._check_open()
            key = self._key(Phase.RECOVER, step, "")
            decision = await self._decided(step)
            if step.optional and decision.mode is Mode.ASK:
                await self._step(f"pose:{step.id}", partial(self._asking.pose, self._response, step, key, decision))
                self._later.append((step, key, decision))
            else:
                await self._as_decided(Phase.RECOVER, step, key, decision)

    async def _diagnose(self) -> tuple[RankedHypothesis, ...]:
        causes = hypotheses.rank(self._playbook.hypotheses, self._facts)
        await self._step("hypotheses", lambda: self._reporting.hypotheses(self._response, causes))
        return causes

    async def _escalate_early(self) -> None:
        for rule in self._playbook.escalate:
            if conditions.holds(rule.when, self._facts):
                await self._step("escalate", partial(self._reporting.escalate, self._response, rule))

    async def _mitigate(self, causes: Sequence[RankedHypothesis]) -> str | None:
        """Try what applies; returns what helped, None when nothing did. Where nothing is to be done, time may help."""
        fitting = [option for option in in_order(self._playbook.mitigate, causes) if self._applies(option)]
        if not fitting and await self._verified(""):
            return "it passed by itself"
        for option in fitting:
            if self._applies(option) and await self._try(option):
                return option.says
        return None

    def _applies(self, option: Option) -> bool:
        """Whether a way to mitigate makes sense, by what is known by now."""
        return conditions.holds(option.when, self._facts)

    async def _try(self, option: Option) -> bool:
        """One way to mitigate: its steps, then the proof; undone in reverse order when it did not help."""
        self._announces = option
        done = await self._steps(Phase.MITIGATE, option.steps, scope=option.id)
        self._announces = None
        acted = any(one.state is ActionState.DONE for one in done)
        optional = {step.id for step in option.steps if step.optional}
        if not acted:
            return False
        self._tried = True
        self._attempts += 1
        broken = any(one.state is ActionState.FAILED and one.step not in optional for one in done)
        if not broken and await self._verified(option.id):
            return True
        if not option.keep:
            for action in reversed(done):
                await self._step(f"undo:{action.step}", partial(self._undo, action))
        await self._step("did-not-help", lambda: self._reporting.did_not_help(self._response, option))
        return False

    async def _verified(self, scope: str) -> bool:
        """Look again and again until what should hold has held for long enough; False when the time is up, or when it
        is plain that it will not come."""
        verify = self._playbook.verify
        await self._step("verify", lambda: self._reporting.verifying(self._response))
        elapsed = held = 0.0
        number = 0
        while elapsed <= verify.within + verify.stable:
            number += 1
            await self._look(Phase.VERIFY, verify.steps, scope=f"{scope}.{number}")
            if verify.fails and conditions.holds(verify.fails, self._facts):
                return False
            held = held + verify.every if conditions.holds(verify.holds, self._facts) else 0.0
            if held > verify.stable:
                return True
            if elapsed > verify.within and not held:
                return False
            await self._flow.sleep(verify.every)
            elapsed += verify.every
        return False

    async def _look(self, phase: Phase, steps: Sequence[Step], scope: str = "", *, settled: bool = False) -> None:
        """Steps of a phase that only look, side by side where they stand together. What is done once the incident is
        `settled` by this very response is not stopped by that."""
        for group in _groups(steps):
            if not settled:
                await self._check_open()
            if len(group) == 1:
                await self._one(phase, group[0], scope)
                continue
            keys = [self._key(phase, step, scope) for step in group]
            named = [
                (f"look:{step.id}", partial(self._decide_and_act, phase, step, key))
                for step, key in zip(group, keys, strict=True)
            ]
            for step, result in zip(group, await self._flow.steps(named), strict=True):
                self._learn(step, result)

    async def _steps(self, phase: Phase, steps: Sequence[Step], scope: str = "") -> list[ActionRun]:
        """Steps in their order. One that fails and is not optional ends them."""
        done: list[ActionRun] = []
        for step in steps:
            await self._check_open()
            action = await self._one(phase, step, scope)
            done.append(action)
            if action.state is not ActionState.DONE and not step.optional and phase is Phase.MITIGATE:
                break
        return done

    async def _one(self, phase: Phase, step: Step, scope: str = "") -> ActionRun:
        """One step with everything that may be in its way: conditions, guards, a person's approval."""
        key = self._key(phase, step, scope)
        return await self._as_decided(phase, step, key, await self._decided(step))

    async def _as_decided(self, phase: Phase, step: Step, key: str, decision: StepDecision) -> ActionRun:
        if decision.mode is Mode.ASK:
            answer = await self._flow.step(
                f"ask:{step.id}", lambda: self._asking.ask(self._response, step, key, decision)
            )
            return await self._answered(phase, step, key, decision, answer)
        if decision.mode is not Mode.AUTO:
            state = ActionState.SUGGESTED if decision.mode is Mode.SUGGEST else ActionState.LEFT_OUT
            return await self._left(phase, step, key, decision, state, decision.says)
        return await self._acted(phase, step, key, decision, AUTOMATION)

    async def _answered(
        self, phase: Phase, step: Step, key: str, decision: StepDecision, answer: Mapping[str, Any]
    ) -> ActionRun:
        if answer["decision"] == "overtaken":
            raise SupersededError(answer["says"])
        if answer["decision"] != "approved":
            return await self._left(phase, step, key, decision, ActionState.DENIED, str(answer["says"]))
        return await self._acted(phase, step, key, decision, str(answer["by"]))

    async def _acted(self, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str) -> ActionRun:
        await self._announce()
        result = await self._flow.step(f"act:{step.id}", partial(self._act, phase, step, key, decision, actor))
        return self._learn(step, result)

    async def _announce(self) -> None:
        """Say what is tried, once it really is: what only waits for an approval has not been tried."""
        option, self._announces = self._announces, None
        if option is not None:
            await self._step("mitigate", partial(self._reporting.mitigating, self._response, option))

    async def _decided(self, step: Step) -> StepDecision:
        """The decision on a step; one that is only put off by a guard is made again when its time has come."""
        for _ in range(_MOST_WAITS):
            raw = await self._flow.step(f"decide:{step.id}", partial(self._decide, step))
            decision = _decision(raw)
            if not decision.wait:
                return decision
            await self._flow.sleep(decision.wait)
        return decision

    async def _decide(self, step: Step) -> Any:
        return as_json(await self._executor.decide(self._response, step, self._facts, self._attempts))

    async def _act(self, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str) -> Any:
        return as_json(await self._executor.act(self._response, phase, step, key, decision, actor))

    async def _decide_and_act(self, phase: Phase, step: Step, key: str) -> Any:
        decision = await self._executor.decide(self._response, step, self._facts, self._attempts)
        if decision.mode is not Mode.AUTO:
            left = await self._executor.leave(self._response, phase, step, key, decision, ActionState.LEFT_OUT)
            return as_json(left)
        return await self._act(phase, step, key, decision, AUTOMATION)

    async def _undo(self, action: ActionRun) -> Any:
        return as_json(await self._executor.undo(self._response, action))

    async def _left(
        self, phase: Phase, step: Step, key: str, decision: StepDecision, state: ActionState, says: str
    ) -> ActionRun:
        stated = replace(decision, says=says)
        leave = partial(self._executor.leave, self._response, phase, step, key, stated, state)

        async def left() -> Any:
            return as_json(await leave())

        return action_from_json(await self._flow.step(f"leave:{step.id}", left))

    async def _check_open(self) -> None:
        """Stop as soon as somebody else has settled the incident."""
        settled = await self._flow.step("check", lambda: self._reporting.settled(self._response))
        if settled:
            raise SupersededError(settled)

    async def _step(self, name: str, function: Any) -> Any:
        return await self._flow.step(name, function)

    def _learn(self, step: Step, result: Any) -> ActionRun:
        action = action_from_json(result)
        if action.state is ActionState.DONE:
            self._facts.learn(step.id, action.findings)
        return action

    def _key(self, phase: Phase, step: Step, scope: str) -> str:
        """The same whenever the flow is replayed, since steps are taken in the same order."""
        self._count += 1
        return f"{self._flow.id}/{phase.value}/{scope or '-'}/{step.id}/{self._count}"


def in_order(options: Sequence[Option], causes: Sequence[RankedHypothesis]) -> list[Option]:
    """The options, those first that the likeliest causes point to."""
    pointed = [cause.points_to for cause in causes]
    return sorted(options, key=lambda option: pointed.index(option.id) if option.id in pointed else len(pointed))


def _groups(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Steps that stand together run side by side; all others alone."""
    group: list[Step] = []
    for step in steps:
        if group and not (step.together and group[-1].together):
            yield group
            group = []
        group.append(step)
    if group:
        yield group


def _decision(raw: Mapping[str, Any]) -> StepDecision:
    targets = raw["targets"]
    return StepDecision(**{**raw, "mode": Mode(raw["mode"]), "targets": None if targets is None else tuple(targets)})

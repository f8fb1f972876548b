"""The flow of a response: a playbook carried out on an incident, phase by phase, as one durable run.

The first two phases only read. Then the options are tried, beginning with the one that the likeliest cause points to;
each is verified, and undone in reverse order when it did not help. When none is left, a person is called. As soon as
somebody else settles the incident, the response stops.

An optional recovery step that needs approval holds nothing up: the question is posted at once, the rest goes on, and
the step is done as a follow-up if it is approved. It keeps no incident open; a duty may. A lasting question is also
posted when the response hands over: what it is about does not pass by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.logs.origin import mark_task
from orchestration.playbooks import conditions, hypotheses
from orchestration.playbooks.approvals import ApprovalRequests
from orchestration.playbooks.execution import PlaybookExecution, StepExecutor
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.hypotheses import RankedHypothesis
from orchestration.playbooks.incident_updates import PROVES_SUBJECT, IncidentUpdates
from orchestration.playbooks.model import Mode, Option, Phase, Step
from orchestration.playbooks.step_results import (
    CLOSED,
    NOTHING,
    OPENED,
    ClosedResponse,
    OpenedResponse,
    ResponseRequest,
    StepDecision,
)
from orchestration.playbooks.step_runner import StepRunner, SupersededError
from orchestration.workflows.engine import Flow, FlowKind

RESPONSE = FlowKind("response", ResponseRequest, CLOSED)
_UNPROVEN = "what the playbook knows was done; a person decides whether it repaired what was reported"
_HANDED_OVER = "nothing that the playbook knows has helped; a person was called"


class PlaybookRunner:
    """Carries playbooks out."""

    def __init__(self, executor: StepExecutor, updates: IncidentUpdates, approvals: ApprovalRequests) -> None:
        self._executor = executor
        self._updates = updates
        self._approvals = approvals

    async def body(self, flow: Flow, request: ResponseRequest) -> ClosedResponse | None:
        """The flow itself. The first step fixes the playbook; None if there is nothing to do."""
        # The engine runs each flow in a task of its own, which ends with it.
        mark_task()
        opened = await flow.step("open", OPENED, partial(self._updates.open, flow.id, request.incident))
        if opened is None:
            return None
        response = self._response(flow, opened)
        try:
            state, summary = await response.respond()
            helped = response.helped
        except SupersededError as error:
            state, summary, helped = PlaybookRunState.SUPERSEDED, str(error), None
        # Before the follow-ups, which may wait for an hour: the run is over as far as the incident is concerned.
        close = partial(self._updates.close, response.execution, state, summary, helped)
        closed = await flow.step("close", ClosedResponse, close)
        await response.follow_up()
        return closed

    def _response(self, flow: Flow, opened: OpenedResponse) -> _Response:
        verify = opened.playbook.verify
        execution = PlaybookExecution(
            run_id=flow.id,
            incident_id=str(opened.facts["incident.id"]),
            playbook=opened.playbook.name,
            guards=opened.playbook.guards,
            drill=bool(opened.facts["incident.drill"]),
            asked=verify.conditions if verify else (),
            external=bool(opened.facts.get("incident.external")),
        )
        facts = KnownFacts(opened.facts)
        approved_by = opened.requested_by if opened.option else ""
        steps = StepRunner(flow, execution, facts, self._executor, self._updates, self._approvals, approved_by)
        steps.attempts = opened.attempts
        return _Response(flow, opened, execution, steps, self._updates)


class _Response:
    """One run of one playbook; rebuilt from the recorded results when the flow is replayed."""

    def __init__(
        self,
        flow: Flow,
        opened: OpenedResponse,
        execution: PlaybookExecution,
        steps: StepRunner,
        updates: IncidentUpdates,
    ) -> None:
        self._flow = flow
        self._playbook = opened.playbook
        self._requested = opened.option
        self.execution = execution
        self._steps = steps
        self._updates = updates
        self.helped: str | None = None
        self._tried = False
        # Recorded with the opening, so that a replay takes the same path. Responses of an earlier release have none.
        self._proves_subject = bool(opened.facts.get(PROVES_SUBJECT, True))
        self._follow_ups: list[tuple[Step, str, StepDecision]] = []

    async def respond(self) -> tuple[PlaybookRunState, str]:
        """All phases; returns how it ended, and a summary."""
        await self._steps.observe(Phase.IDENTIFY, self._playbook.identify)
        await self._steps.observe(Phase.DIAGNOSE, self._playbook.diagnose)
        causes = await self._diagnose()
        # Before any option: where a person is needed at once, nobody waits for attempts to fail first. Whoever asks for
        # an option is there already.
        if not self._requested:
            await self._escalate_early()
        helped = await self._mitigate(causes)
        # A person may have settled the incident during the last verification; to page or resolve now
        # would contradict them.
        await self._steps.check_open()
        if helped is None:
            await self._ask_what_lasts()
            return await self._hand_over(causes, None)
        await self._recover()
        if not self._proves_subject:
            return await self._hand_over(causes, helped)
        complete = await self._is_proven()
        resolve = partial(self._updates.resolve, self.execution, causes, helped, complete=complete)
        await self._report("resolve", resolve)
        await self._steps.observe(Phase.DOCUMENT, self._playbook.document, settled=True)
        return PlaybookRunState.HELPED, helped

    async def _hand_over(self, causes: Sequence[RankedHypothesis], helped: str | None) -> tuple[PlaybookRunState, str]:
        rule = self._playbook.hand_over
        if self._requested:
            return await self._answer_request(helped)
        hand_over = partial(self._updates.hand_over, self.execution, causes, rule, helped, tried=self._tried)
        await self._report("hand-over", hand_over)
        await self._steps.observe(Phase.DOCUMENT, self._playbook.document)
        return PlaybookRunState.HANDED_OVER, rule.reason or (_HANDED_OVER if helped is None else _UNPROVEN)

    async def _answer_request(self, helped: str | None) -> tuple[PlaybookRunState, str]:
        """What became of the option that a person has asked for: they decide what comes next, and nobody is called."""
        known = {option.id: option for option in self._playbook.mitigate}
        if self._requested not in known:
            summary = f"the playbook has no option '{self._requested}'; it has: {', '.join(known)}"
        elif helped is None and not self._tried:
            when = conditions.in_words(known[self._requested].when)
            summary = f"the option {self._requested} was not carried out; it is for when {when}"
        else:
            summary = f"the option {self._requested} did not help" if helped is None else _UNPROVEN
        await self._report("answer-request", partial(self._updates.note, self.execution, summary))
        return PlaybookRunState.HANDED_OVER, summary

    async def _is_proven(self) -> bool:
        """Whether the thing reported is repaired, and not only worked around."""
        proof = self._playbook.verify.proof if self._playbook.verify else None
        if proof is None:
            return True
        await self._steps.observe(Phase.VERIFY, proof.steps, scope="proof")
        return conditions.holds(proof.holds, self._steps.facts)

    async def follow_up(self) -> None:
        """Do the posted follow-ups that are approved; the lasting ones last, whose answer may take days."""
        for step, key, decision in sorted(self._follow_ups, key=lambda one: one[2].lasting):
            await self._steps.follow_up(Phase.RECOVER, step, key, decision)

    async def _recover(self) -> None:
        for step in self._playbook.recover:
            await self._steps.check_open()
            key = self._steps.key(Phase.RECOVER, step)
            decision = await self._steps.decide(step)
            # It cannot wait here: the incident would stay open, and page people, for something that may never be
            # approved.
            if step.optional and decision.mode is Mode.ASK:
                await self._post(step, key, decision)
            else:
                await self._steps.run_decided(Phase.RECOVER, step, key, decision)

    async def _ask_what_lasts(self) -> None:
        """Post the lasting questions of the recovery, although there is nothing to recover yet."""
        for step in self._playbook.recover:
            if step.optional and step.mode is Mode.ASK:
                key = self._steps.key(Phase.RECOVER, step)
                decision = await self._steps.decide(step)
                if decision.mode is Mode.ASK and decision.lasting:
                    await self._post(step, key, decision)

    async def _post(self, step: Step, key: str, decision: StepDecision) -> None:
        await self._steps.post_question(step, key, decision)
        self._follow_ups.append((step, key, decision))

    async def _diagnose(self) -> tuple[RankedHypothesis, ...]:
        # A playbook that considers no causes leaves the question open, rather than say that none of them fits.
        considered = self._playbook.hypotheses
        causes = hypotheses.rank(considered, self._steps.facts) if considered else ()
        await self._report("hypotheses", partial(self._updates.record_hypotheses, self.execution, causes))
        return causes

    async def _escalate_early(self) -> None:
        for rule in self._playbook.escalate:
            if conditions.holds(rule.when, self._steps.facts):
                await self._report("escalate", partial(self._updates.escalate, self.execution, rule))

    async def _mitigate(self, causes: Sequence[RankedHypothesis]) -> str | None:
        """Try the options that apply; returns what helped, None when nothing did. Without any, time may help."""
        fitting = [option for option in in_order(self._playbook.mitigate, causes) if self._applies(option)]
        if self._requested:
            fitting = [option for option in fitting if option.id == self._requested]
        elif not fitting and self._proves_subject and await self._verified(""):
            return "it passed by itself"
        for option in fitting:
            # Asked again: what an earlier option has found may rule this one out.
            if self._applies(option) and await self._try(option):
                self.helped = option.id
                return option.summary
        return None

    def _applies(self, option: Option) -> bool:
        return conditions.holds(option.when, self._steps.facts)

    async def _try(self, option: Option) -> bool:
        """Run the steps of an option, then verify the effect; undo them in reverse order when it did not help."""
        self._steps.before_acting = partial(self._announce, option)
        done = await self._steps.run_all(Phase.MITIGATE, option.steps, scope=option.id)
        self._steps.before_acting = None
        acted = any(one.state is ActionState.DONE for one in done)
        optional = {step.id for step in option.steps if step.optional}
        # An option that was denied or only suggested is no attempt: the guard limits what was done to the system.
        if not acted:
            return False
        self._tried = True
        self._steps.attempts += 1
        # No verification after a failed step: the option did not happen as it was meant.
        broken = any(one.state is ActionState.FAILED and one.step not in optional for one in done)
        if not broken and await self._verified(option.id):
            return True
        if not option.keep:
            for action in reversed(done):
                await self._steps.undo(action)
        await self._report("did-not-help", partial(self._updates.did_not_help, self.execution, option))
        return False

    async def _announce(self, option: Option) -> None:
        """Report an option as tried once it really acts: one that only waits for an approval has not been tried."""
        self._steps.before_acting = None
        await self._report("mitigate", partial(self._updates.mitigating, self.execution, option))

    async def _verified(self, scope: str) -> bool:
        """Check repeatedly until what should hold has held for long enough. False when the time is up, or as soon as
        the playbook's condition of failure holds."""
        verify = self._playbook.verify
        if verify is None:
            return False
        await self._report("verify", partial(self._updates.verifying, self.execution))
        # Counted, not read from a clock: a replay has to take the same path as the first execution.
        elapsed = held = 0.0
        number = 0
        # What begins to hold in the last moment still gets the time in which it has to last.
        while elapsed <= verify.within + verify.stable:
            number += 1
            await self._steps.observe(Phase.VERIFY, verify.steps, scope=f"{scope}.{number}")
            if verify.fails and conditions.holds(verify.fails, self._steps.facts):
                return False
            held = held + verify.every if conditions.holds(verify.holds, self._steps.facts) else 0.0
            # Greater, not equal: the first look that holds adds an interval that has not passed yet.
            if held > verify.stable:
                return True
            if elapsed > verify.within and not held:
                return False
            await self._flow.sleep(verify.every)
            elapsed += verify.every
        return False

    async def _report(self, name: str, report: Callable[[], Awaitable[None]]) -> None:
        await self._flow.step(name, NOTHING, report)


def in_order(options: Sequence[Option], causes: Sequence[RankedHypothesis]) -> list[Option]:
    """The options, those that the likeliest causes point to first."""
    pointed = [cause.points_to for cause in causes]
    return sorted(options, key=lambda option: pointed.index(option.id) if option.id in pointed else len(pointed))

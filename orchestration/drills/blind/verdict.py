"""The verdict on a blind drill: each demand is judged apart from the others. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestration.drills.blind.observation import BlindObservation, SeenIncident
from orchestration.drills.blind.plan import BlindPlan
from orchestration.drills.blind.primitives import DrawnFault

# Of the actions that change something, these can do no harm to work that goes well. All others need a reason in the
# truth, those that will be added as well.
HARMLESS = frozenset(
    {
        *("log.debug", "limit.restore", "run.resume-paused", "run.resume-waiting", "run.recover"),
        *("provider.reset-breaker", "people.remind", "people.redirect", "database.backup", "database.replay"),
    }
)


@dataclass(frozen=True, slots=True)
class BlindVerdict:
    """What a drill has shown. Counts go with the number of cases: `(hits, cases)`. `ended` is whether everything was
    repaired, or handed over to the right person; None without a fault. The tuples list what went wrong, in words."""

    detected: tuple[int, int] = (0, 0)
    first_cause: tuple[int, int] = (0, 0)
    cause: tuple[int, int] = (0, 0)
    ended: bool | None = None
    unended: tuple[str, ...] = ()
    harm: tuple[str, ...] = ()
    false_incidents: tuple[str, ...] = ()
    silently_wrong: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    problem: str = ""

    @property
    def misses(self) -> tuple[str, ...]:
        """Everything that was not as it should be."""
        return (
            *((f"not carried out: {self.problem}",) if self.problem else ()),
            *self.missed,
            *(f"not ended: {one}" for one in self.unended),
            *(f"harm: {one}" for one in self.harm),
            *(f"false incident: {one}" for one in self.false_incidents),
            *(f"silently wrong: {one}" for one in self.silently_wrong),
        )


def judge(plan: BlindPlan, seen: BlindObservation) -> BlindVerdict:
    """The verdict on one drill. One that could not be carried out counts nowhere else."""
    if seen.problem:
        return BlindVerdict(problem=seen.problem)
    demanding = [fault for fault in plan.faults if fault.truth.demands]
    found = [(fault, _reported(fault, seen)) for fault in demanding]
    detected = [(fault, incidents) for fault, incidents in found if incidents]
    unended = tuple(_unended(plan, seen))
    return BlindVerdict(
        detected=(len(detected), len(demanding)),
        first_cause=(sum(_named(fault, incidents, 1) for fault, incidents in detected), len(detected)),
        cause=(sum(_named(fault, incidents, 2) for fault, incidents in detected), len(detected)),
        ended=not unended if plan.faults else None,
        unended=unended,
        harm=tuple(_harm(plan, seen)),
        false_incidents=tuple(_false(plan, seen)),
        silently_wrong=seen.differs if seen.work.succeeded else (),
        missed=tuple(_missed(found)),
    )


def _missed(found: Sequence[tuple[DrawnFault, Sequence[SeenIncident]]]) -> Iterator[str]:
    for fault, incidents in found:
        if not incidents:
            yield f"not detected: {fault}"
        elif not _named(fault, incidents, 2):
            named = ", ".join(incidents[0].causes[:2]) or "no cause"
            yield f"wrong cause: {fault}: {incidents[0].scenario.value} names {named}"


def _reported(fault: DrawnFault, seen: BlindObservation) -> list[SeenIncident]:
    return [one for one in seen.incidents if one.scenario in fault.truth.detected_as]


def _named(fault: DrawnFault, incidents: Sequence[SeenIncident], first: int) -> bool:
    return any(fault.truth.causes.intersection(one.causes[:first]) for one in incidents)


def _unended(plan: BlindPlan, seen: BlindObservation) -> Iterator[str]:
    if not plan.faults:
        return
    called = {level for one in seen.incidents for level in one.levels}
    for fault in plan.faults:
        # A fault that is none of a person's business calls nobody.
        if fault.truth.levels and not called & fault.truth.levels:
            wanted = " or ".join(f"level {level}" for level in sorted(fault.truth.levels))
            yield f"{fault}: {wanted} was not called"
    for one in seen.incidents:
        if one.is_open and not one.called:
            yield f"{one.title}: neither resolved nor handed over"
    # What was judged and refused is an outcome: the run says so, and how to go on with it.
    if not seen.work.judged and not any(one.called for one in seen.incidents):
        yield f"the work ended as {seen.work.status or 'nothing'}, and nobody was called"
    if not seen.work.succeeded and not any(fault.truth.fails_work for fault in plan.faults):
        yield f"the work ended as {seen.work.status or 'nothing'}, although it could have been done"


def _harm(plan: BlindPlan, seen: BlindObservation) -> Iterator[str]:
    impaired = frozenset[str]().union(*(fault.truth.providers for fault in plan.faults))
    permitted = frozenset[str]().union(*(fault.truth.permits for fault in plan.faults))
    for one in seen.incidents:
        for act in one.actions:
            if act.action not in HARMLESS | permitted:
                yield f"{act.action} of {', '.join(act.targets) or 'everything'}, without a reason"
            elif act.action == "provider.route" and (healthy := set(act.targets) - impaired):
                yield f"routed around {', '.join(sorted(healthy))}, which works"
    if unharmed := seen.opened - impaired:
        yield f"{', '.join(sorted(unharmed))} was taken out of use and works"
    if seen.work.lost and not any(fault.truth.fails_work for fault in plan.faults):
        yield f"{seen.work.lost} committed steps lost"
    if seen.work.repeated:
        yield f"{seen.work.repeated} committed steps repeated"
    if not any(fault.truth.detected_as for fault in plan.faults):
        yield from (f"level {level} paged for nothing" for one in seen.incidents for level in one.levels)
    yield from (f"left behind: {what}" for what in seen.left)


def _false(plan: BlindPlan, seen: BlindObservation) -> Iterator[str]:
    explained = {scenario for fault in plan.faults for scenario in fault.truth.detected_as}
    for one in seen.incidents:
        if one.scenario not in explained:
            yield f"{one.severity.value} {one.scenario.value}: {one.title}"

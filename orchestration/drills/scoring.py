"""Whether a drill went as expected. Pure: compares the expectation with the observation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from orchestration.drills.expectation import (
    DETECTED_SECONDS,
    RESOLVED_SECONDS,
    STOPPED_SECONDS,
    DrillExpectation,
    DrillOutcome,
)
from orchestration.drills.observation import DrillObservation, ObservedResponse, ObservedWork

_HANDED_OVER = "handed-over"


@dataclass(frozen=True, slots=True)
class ScoringMiss:
    """One deviation from the expectation; `what` is a stable name."""

    what: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, got {self.got}"


def score(expects: DrillExpectation, seen: DrillObservation) -> tuple[ScoringMiss, ...]:
    """Every deviation from the expectation; none if the drill passed.

    The times that our own processes need (the 2, 15 and 1 s of the limits) are widened by the measured slowness of the
    machine; the times that a rule or a setting prescribes are not, because they pass by the clock.
    """
    return tuple(_misses(expects, seen))


def median_resolution(seen: Sequence[DrillObservation]) -> float | None:
    """The median time from the fault to the resolution, without the stability window, of what was resolved
    automatically."""
    times = [
        one.response.resolved_after - one.response.stable
        for one in seen
        if one.response is not None and one.response.resolved_after is not None
    ]
    return median(times) if times else None


def _misses(expects: DrillExpectation, seen: DrillObservation) -> Iterator[ScoringMiss]:
    if seen.problem:
        yield ScoringMiss("drill", "a drill that can be held", seen.problem)
    if seen.early_incidents:
        yield ScoringMiss("quiet before", "no incident before the fault", ", ".join(seen.early_incidents))
    if seen.paged:
        yield ScoringMiss("paged", "nobody paged", f"{seen.paged} messages on channels that reach people")
    yield from _effort(expects, seen.work, seen.slowness)
    yield from _others(expects, seen)
    if expects.ending is DrillOutcome.ABSORBED:
        if seen.response is not None:
            yield ScoringMiss("incident", "none", _described(seen.response))
    elif seen.response is None:
        yield ScoringMiss("detected", f"an incident within {expects.detected_within:g} s", "none")
    else:
        yield from _response(expects, seen.response, seen.slowness)


def _effort(expects: DrillExpectation, work: ObservedWork, slowness: float) -> Iterator[ScoringMiss]:
    if expects.work_succeeds and work.succeeded is False:
        yield ScoringMiss("work", "a run that succeeds", work.status or "one without an end")
    if work.lost:
        yield ScoringMiss("steps lost", "0", str(work.lost))
    if work.repeated:
        yield ScoringMiss("committed steps repeated", "0", str(work.repeated))
    if work.calls_repeated > expects.calls_repeated:
        yield ScoringMiss("model calls repeated", f"at most {expects.calls_repeated}", str(work.calls_repeated))
    if expects.stopped_within is not None:
        soon = expects.stopped_within + (slowness - 1) * STOPPED_SECONDS
        # Zero means that no tool call has ended at all, which is worse than a late one.
        if not 0 < work.longest_tool <= soon:
            yield ScoringMiss("stopped", f"within {soon:.3g} s", f"{work.longest_tool:.1f} s")


def _others(expects: DrillExpectation, seen: DrillObservation) -> Iterator[ScoringMiss]:
    for scenario, title in seen.other_incidents:
        if scenario not in expects.beside:
            yield ScoringMiss("other incident", "none", f"{scenario.value}: {title}")


def _response(expects: DrillExpectation, response: ObservedResponse, slowness: float) -> Iterator[ScoringMiss]:
    if expects.scenario is not None and response.scenario is not expects.scenario:
        yield ScoringMiss("scenario", expects.scenario.value, response.scenario.value)
    if expects.severity is not None and response.severity is not expects.severity:
        yield ScoringMiss("severity", expects.severity.value, response.severity.value)
    soon = expects.detected_within + (slowness - 1) * DETECTED_SECONDS
    if response.detected_after > soon:
        yield ScoringMiss("detected", f"within {soon:.3g} s", f"{response.detected_after:.1f} s")
    if not response.drill:
        yield ScoringMiss("marked", "an incident that is marked as a drill", "one that counts")
    yield from _evidence(expects, response)
    yield from _contained(expects, response)
    if expects.ending is DrillOutcome.REPAIRED:
        yield from _repair(expects, response, slowness)
    else:
        yield from _call(expects, response)


def _repair(expects: DrillExpectation, response: ObservedResponse, slowness: float) -> Iterator[ScoringMiss]:
    yield from _resolution(expects, response, slowness)
    if expects.helped is not None and response.helped != expects.helped:
        yield ScoringMiss("helped", expects.helped, response.helped or "nothing")
    if expects.level is not None and response.level != expects.level:
        yield ScoringMiss("level called", str(expects.level), str(response.level or "nobody"))
    yield from _answers(expects, response)


def _resolution(expects: DrillExpectation, response: ObservedResponse, slowness: float) -> Iterator[ScoringMiss]:
    """In time, which counts from the moment at which nothing but the system was in the way, and never before that."""
    widened = (slowness - 1) * RESOLVED_SECONDS
    mitigated, resolved = response.mitigated_after, response.resolved_after
    soon = expects.mitigated_within + widened
    if expects.mended and mitigated is not None and mitigated - response.stable > soon:
        yield ScoringMiss("mitigated", f"within {soon:.3g} s", f"{mitigated - response.stable:.1f} s")
    soon = expects.resolved_within + widened
    if resolved is None:
        yield ScoringMiss("resolved", "by itself", _described(response))
        return
    waited_for = [each for each in (response.repaired_after, response.duties_done_after) if each is not None]
    waits = expects.mended or expects.duties or expects.closed_by_person
    begun = max(waited_for, default=0.0) if waits else 0.0
    if resolved < begun:
        yield ScoringMiss("resolved", f"not before {begun:.1f} s, when the cause was gone", f"{resolved:.1f} s")
    elif resolved - begun - response.stable > soon:
        beyond = f"within {soon:.3g} s beyond the {response.stable:g} s of watching"
        yield ScoringMiss("resolved", beyond, f"{resolved - begun - response.stable:.1f} s")
    if expects.mended and response.repaired_after is None:
        yield ScoringMiss("mended", "an incident that is open until its cause is gone", "one that ended before")


def _answers(expects: DrillExpectation, response: ObservedResponse) -> Iterator[ScoringMiss]:
    """A person has said yes to what was expected, to nothing else, and before it was resolved."""
    said_yes = {act.action: act.step for act in response.actions if act.state == "done" and act.mode == "ask"}
    if by_people := [step for action, step in said_yes.items() if action not in expects.answers]:
        yield ScoringMiss("by itself", "no hand on it", f"a person's word for {', '.join(by_people)}")
    if missing := [action for action in expects.answers if action not in said_yes]:
        yield ScoringMiss("answered", f"a question about {', '.join(missing)}", ", ".join(said_yes) or "none")
    resolved, answered = response.resolved_after, response.answered_after
    if expects.answers and resolved is not None and answered is not None and resolved < answered:
        yield ScoringMiss("resolved", "after the answer", f"{answered - resolved:.1f} s before it")


def _call(expects: DrillExpectation, response: ObservedResponse) -> Iterator[ScoringMiss]:
    called = response.level or response.asked or response.state == _HANDED_OVER
    if not called:
        yield ScoringMiss("person", "a person called", _described(response))
    if expects.level is not None and response.level != expects.level:
        yield ScoringMiss("level called", str(expects.level), str(response.level or "nobody"))


def _contained(expects: DrillExpectation, response: ObservedResponse) -> Iterator[ScoringMiss]:
    if expects.contains is None:
        return
    done = {act.option for act in response.actions if act.state == "done"}
    failed = {act.option for act in response.actions if act.state == "failed"}
    if expects.contains not in done - failed:
        got = ", ".join(sorted(filter(None, done))) or "none"
        yield ScoringMiss("contained", f"the option {expects.contains} carried out", got)


def _evidence(expects: DrillExpectation, response: ObservedResponse) -> Iterator[ScoringMiss]:
    for action in expects.asks:
        if action not in response.asked:
            yield ScoringMiss("asks", f"for approval of {action}", ", ".join(response.asked) or "no question")
    found = {act.step for act in response.actions if act.findings}
    if missing := [step for step in expects.finds if step not in found]:
        yield ScoringMiss("evidence", f"findings of {', '.join(missing)}", ", ".join(sorted(found)) or "none")
    offered = {act.action for act in response.actions if act.state in ("suggested", "done")} | set(response.asked)
    if missing := [action for action in expects.offers if action not in offered]:
        yield ScoringMiss("options", ", ".join(missing), ", ".join(sorted(offered)) or "none")


def _described(response: ObservedResponse) -> str:
    played = f", playbook {response.playbook} {response.state}" if response.playbook else ", no playbook"
    left = f", open duties: {', '.join(response.open_duties)}" if response.open_duties else ""
    return f"{response.scenario.value} {response.severity.value}, {response.status}{played}{left}"

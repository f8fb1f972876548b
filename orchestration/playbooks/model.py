"""What a playbook is: six phases that people read and the runner carries out. Immutable once loaded."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from orchestration.domain.scenario import Scenario
from orchestration.playbooks import conditions

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Mode(StrEnum):
    """How far the machine may go by itself with a step."""

    # In order of how far the machine may go: `at_most` compares by position.
    OFF = "off"
    SUGGEST = "suggest"
    ASK = "ask"
    AUTO = "auto"

    def at_most(self, other: Mode) -> Mode:
        """The more careful of the two."""
        order = list(Mode)
        return self if order.index(self) <= order.index(other) else other


class Risk(StrEnum):
    """What an action can do: only read, make a change that can be undone, or one that cannot."""

    READS = "reads"
    REVERSIBLE = "reversible"
    DESTRUCTIVE = "destructive"


class Phase(StrEnum):
    """The phases in their order."""

    IDENTIFY = "identify"
    DIAGNOSE = "diagnose"
    MITIGATE = "mitigate"
    VERIFY = "verify"
    RECOVER = "recover"
    DOCUMENT = "document"


class PlaybookPart(BaseModel):
    """Common behaviour of every part of a playbook. Unknown keys are errors: a misspelt guard would not guard."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _checked(condition: dict[str, Any]) -> dict[str, Any]:
    for place, problem in conditions.problems(condition):
        raise ValueError(f"{place}: {problem}" if place else problem)
    return condition


class Step(PlaybookPart):
    """One action. `with` may refer to known facts as `$name` (`$incident.providers`, `$probe.down`).

    `why` is for people; `by_hand` lists the commands with which a person would do the same. Neighbouring steps that are
    marked `together` run side by side. An `optional` step may fail without stopping the phase; if it belongs to the
    recovery and needs approval, it becomes a follow-up: the incident is resolved while the question is still open.
    """

    id: Name = Field(alias="step")
    action: str = Field(alias="do", pattern=r"^[a-z][a-z-]*\.[a-z][a-z-]*$")
    parameters: dict[str, Any] = Field(default_factory=dict, alias="with")
    why: str = ""
    manual_steps: tuple[str, ...] = Field(default=(), alias="by_hand")
    when: dict[str, Any] = Field(default_factory=dict)
    mode: Mode = Mode.AUTO
    timeout: Seconds = 60.0
    together: bool = False
    optional: bool = False

    _check_when = field_validator("when")(_checked)


class Option(PlaybookPart):
    """One way to mitigate. Its steps are taken in order; when it does not help they are undone in reverse."""

    id: Name = Field(alias="option")
    summary: str = Field(alias="says")
    when: dict[str, Any] = Field(default_factory=dict)
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    # For options whose undo would do harm, or nothing: isolation mode stays in force, and a restarted run goes on.
    keep: bool = False

    _check_when = field_validator("when")(_checked)


class Hypothesis(PlaybookPart):
    """A cause that would explain what was found; `weight` from 1 to 100 is how well."""

    id: Name = Field(alias="hypothesis")
    summary: str = Field(alias="says")
    when: dict[str, Any]
    weight: Annotated[int, Field(ge=1, le=100)] = 50
    evidence: tuple[str, ...] = ()
    points_to: Name | None = None

    _check_when = field_validator("when")(_checked)


class ProofPart(PlaybookPart):
    """How to see that the thing reported itself is repaired, and not only worked around: with a fallback in use work
    goes on, but the provider is still down. `steps` look once, after the mitigation has helped."""

    steps: tuple[Step, ...] = ()
    holds: dict[str, Any]

    _check_holds = field_validator("holds")(_checked)


class VerificationPart(PlaybookPart):
    """How to see that a mitigation helped: `steps` look, until `holds` for `stable` seconds, at most `within`. When
    `fails` is seen it has not helped, and nobody waits any longer.

    Without a `proof`, `holds` is the proof that what was reported is repaired.
    """

    steps: tuple[Step, ...] = ()
    holds: dict[str, Any]
    fails: dict[str, Any] = Field(default_factory=dict)
    proof: ProofPart | None = None
    within: Seconds = 60.0
    stable: Annotated[float, Field(ge=0, le=3600)] = 10.0
    # Each check is a checkpoint in the database, so ten in a second are enough.
    every: Annotated[float, Field(ge=0.1, le=60)] = 1.0

    _check_holds = field_validator("holds", "fails")(_checked)

    @property
    def conditions(self) -> tuple[dict[str, Any], ...]:
        """All that is asked of what the steps find."""
        return (self.holds, self.fails, *((self.proof.holds,) if self.proof else ()))

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps that look, those of the proof included."""
        return (*self.steps, *(self.proof.steps if self.proof else ()))


class GuardSettings(PlaybookPart):
    """Limits on what this playbook may do by itself; see `playbooks.guards`."""

    runs_per_hour: Annotated[int, Field(ge=0, le=100)] = 3
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    cooldown: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    fleet_percent: Annotated[float, Field(gt=0, le=100)] = 50.0


class EscalateWhen(PlaybookPart):
    """When to call a person at once, and of which level."""

    when: dict[str, Any]
    level: Annotated[int, Field(ge=1, le=4)] = 2
    reason: str

    _check_when = field_validator("when")(_checked)


class HandOver(PlaybookPart):
    """Who continues when the playbook can do no more, and why. At level 1 nobody is paged anew: the people on call were
    notified when the incident was opened, and escalation goes on by itself if nobody acknowledges it."""

    level: Annotated[int, Field(ge=1, le=4)] = 2
    reason: str = ""


class Playbook(PlaybookPart):
    """One playbook. `applies_when` narrows it down within its scenario; the most specific one that fits is used.

    One without `verify` never ends an incident: it gathers evidence, and hands over to people.
    """

    name: Name = Field(alias="playbook")
    title: str
    scenario: Scenario
    version: Annotated[int, Field(ge=1)] = 1
    about: str
    symptoms: tuple[str, ...] = ()
    applies_when: dict[str, Any] = Field(default_factory=dict)
    guards: GuardSettings = GuardSettings()
    identify: tuple[Step, ...] = ()
    diagnose: tuple[Step, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    mitigate: tuple[Option, ...] = ()
    verify: VerificationPart | None = None
    hand_over: HandOver = HandOver()
    recover: tuple[Step, ...] = ()
    document: tuple[Step, ...] = ()
    escalate: tuple[EscalateWhen, ...] = ()
    prevention: tuple[str, ...] = ()

    _check_applies = field_validator("applies_when")(_checked)

    def steps(self) -> Iterator[tuple[Phase, Step]]:
        """Every step with its phase, in the order of the text."""
        yield from ((Phase.IDENTIFY, step) for step in self.identify)
        yield from ((Phase.DIAGNOSE, step) for step in self.diagnose)
        yield from ((Phase.MITIGATE, step) for option in self.mitigate for step in option.steps)
        yield from ((Phase.VERIFY, step) for step in (self.verify.all_steps if self.verify else ()))
        yield from ((Phase.RECOVER, step) for step in self.recover)
        yield from ((Phase.DOCUMENT, step) for step in self.document)

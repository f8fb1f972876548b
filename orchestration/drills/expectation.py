"""What is expected to come of a drill's fault, and the limits that follow from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestration.domain.duty import DutyKind
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity


class DrillOutcome(StrEnum):
    """How a fault is expected to end.

    `repaired`: an incident that the system resolves without a person. `handed-over`: an incident for which a person is
    called. `absorbed`: retries and checkpoints cope with it, so there is no incident at all.
    """

    REPAIRED = "repaired"
    HANDED_OVER = "handed-over"
    ABSORBED = "absorbed"


# The limits for every drill, in seconds, from the requirements: an outage has to be detected within 2 s and repaired
# within 15 s plus the stability window, and a step that is stuck has to be stopped within 1 s of its limit.
DETECTED_SECONDS = 2.0
RESOLVED_SECONDS = 15.0
STOPPED_SECONDS = 1.0
# What no playbook has proved is resolved once its alerts have stayed clear for so long: the drills' `stabilitySeconds`.
SETTLED_SECONDS = 15.0
# The sample's goal has two steps that are worked on at once, and each may be just between an answer and its record.
CALLS_UNDER_WAY = 2


@dataclass(frozen=True, slots=True)
class DrillExpectation:
    """What has to come of a fault; times are in seconds from its injection.

    No drill sets limits of its own. It describes its fault, and the limits follow (`detected_within`,
    `resolved_within`, `stopped_within`): `holds` is how long the condition has to last before it counts (the hold of
    the alert rule, a limit without progress, a measuring window), `every` how often it is checked, `lasts` how long the
    fault stays whatever the system does, and `limit` how long a tool call may take by its own setting.

    `answers` are the questions, by their action, to which the person on call says yes. `duties` are the kinds of duties
    that the person on call does. `mended` says that somebody removes the cause once the incident is mitigated by a
    workaround, such as a provider's operator. `closed_by_person` is for what only a person may know to be over: they
    resolve it once nothing else is in the way. Before all of this nothing may be resolved.

    `helped` is the option of the playbook that has to help, `contains` the one that has to be carried out although only
    a person can end the incident; `level` the escalation level that has to be called; `asks` are the actions that have
    to be put to a person, `offers` those that have to be suggested or put to one; `finds` the steps that have to leave
    findings as evidence. `beside` are the scenarios of further incidents that the same fault may rightly open.
    `channels` are channels to this machine that messages may go to, beside the log. `calls_repeated` bounds the model
    calls that were answered and made again.
    """

    ending: DrillOutcome
    scenario: Scenario | None = None
    severity: Severity | None = None
    helped: str | None = None
    contains: str | None = None
    level: int | None = None
    asks: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    duties: tuple[DutyKind, ...] = ()
    mended: bool = False
    closed_by_person: bool = False
    channels: frozenset[str] = frozenset()
    offers: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()
    holds: float = 0.0
    every: float = 1.0
    lasts: float = 0.0
    limit: float | None = None
    deadline: float = 120.0
    beside: frozenset[Scenario] = frozenset()
    work_succeeds: bool = True
    calls_repeated: int = 0

    @property
    def needs_person(self) -> bool:
        """Whether the drill's person has to do anything before the incident may end."""
        return bool(self.mended or self.duties or self.answers or self.closed_by_person)

    @property
    def detected_within(self) -> float:
        """Two seconds, plus how long the condition has to last and the interval of checking it."""
        return DETECTED_SECONDS + self.holds + self.every

    @property
    def mitigated_within(self) -> float:
        """Fifteen seconds, plus how long the condition has to last, and how long the fault stays; the stability window
        comes on top."""
        return RESOLVED_SECONDS + self.holds + self.lasts

    @property
    def resolved_within(self) -> float:
        """As long as mitigating may take, plus how long everything has to stay clear after what a person did."""
        return self.mitigated_within + (SETTLED_SECONDS if self.needs_person else 0.0)

    @property
    def stopped_within(self) -> float | None:
        """How long the longest tool call may have taken; None if its limit is not under test."""
        return None if self.limit is None else self.limit + STOPPED_SECONDS

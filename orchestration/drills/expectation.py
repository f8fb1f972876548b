"""What is expected to come of a drill's fault, and the limits that follow from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity


class DrillOutcome(StrEnum):
    """How a fault is expected to end.

    `repaired`: an incident that the system resolves with no hand on it. `handed-over`: an incident that a person is
    called for. `absorbed`: the layers below carry on, so that there is nothing to respond to.
    """

    REPAIRED = "repaired"
    HANDED_OVER = "handed-over"
    ABSORBED = "absorbed"


# The limits that every drill has to keep, in seconds. Where they come from: an outage has to be detected within 2 s and
# repaired within 15 s beyond the window of watching, and a step that is stuck stopped within 1 s of its limit.
DETECTED_SECONDS = 2.0
RESOLVED_SECONDS = 15.0
STOPPED_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DrillExpectation:
    """What has to come of a fault, times in seconds from the moment at which it struck.

    No drill has limits of its own. It says what its fault is like: `holds` is for how long the trouble has to last
    before it is trouble at all (the rule's hold, a limit without progress, a window of measuring), `every` how often it
    is looked at, `lasts` for how long the fault stays by itself, so that nothing can be well before, and `limit` what a
    tool call may take by its own setting. The limits follow: see `detected_within`, `resolved_within` and
    `stopped_within`.

    `helped` is the option of the playbook that has to be the one that helped; `level` the one that has to be called;
    `asks` the actions for which a person's approval has to be asked, `offers` those that have to be suggested or asked
    for; `finds` the steps whose findings have to be there as evidence. `beside` are scenarios of further incidents that
    the same fault may rightly open. `calls_repeated` bounds the model calls that were answered and made again all the
    same.
    """

    ending: DrillOutcome
    scenario: Scenario | None = None
    severity: Severity | None = None
    helped: str | None = None
    level: int | None = None
    asks: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()
    holds: float = 0.0
    every: float = 1.0
    lasts: float = 0.0
    limit: float | None = None
    deadline: float = 75.0
    beside: frozenset[Scenario] = frozenset()
    work_succeeds: bool = True
    calls_repeated: int = 0

    @property
    def detected_within(self) -> float:
        """Two seconds, beyond what the trouble has to last and the interval at which it is looked at."""
        return DETECTED_SECONDS + self.holds + self.every

    @property
    def resolved_within(self) -> float:
        """A quarter of a minute, beyond the window of watching, what the trouble has to last, and what it lasts by
        itself."""
        return RESOLVED_SECONDS + self.holds + self.lasts

    @property
    def stopped_within(self) -> float | None:
        """How long the longest tool call may have taken; None where it has no limit that counts here."""
        return None if self.limit is None else self.limit + STOPPED_SECONDS

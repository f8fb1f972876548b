"""What a drill is: a fault, the work during which it strikes, and what is expected to come of it. Immutable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity

if TYPE_CHECKING:
    from orchestration.drills.environment import DrillEnvironment


Inject = Callable[["DrillEnvironment"], Awaitable[None]]
Possible = Callable[[], str]


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


@dataclass(frozen=True, slots=True)
class DrillWork:
    """What runs while the fault strikes: the sample's goal, or a goal of the drill's own by one agent alone.

    The fault strikes when `calls` model calls have been answered and the workspace holds the file `sign`; without a
    goal the system stands idle.
    """

    goal: str | None = None
    agent: str | None = None
    calls: int = 0
    sign: str = ""
    sample: bool = False
    priority: str = "normal"


@dataclass(frozen=True, slots=True)
class DrillSetting:
    """The project in which a drill takes place. `configuration` is laid over that of every drill; `providers` are
    rehearsal servers, the first is the default and the others its fallbacks; `latency_ms` lies between two pieces of
    their answers. `files` are written into the project; `environment` into its `.env`.

    `disk_mb` puts the project onto a file system of its own of that size. `programs` are scripts that it finds on its
    PATH before all others. `database_url` is a server's database, in the place of a file; `own_server` has a PostgreSQL
    server started for the drill alone.
    """

    providers: tuple[str, ...] = ("primary", "second")
    latency_ms: float = 20.0
    workers: int = 1
    configuration: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    disk_mb: int | None = None
    database_url: str | None = None
    own_server: bool = False


@dataclass(frozen=True, slots=True)
class Drill:
    """A rehearsed failure. `prepare` is done before the work begins, `inject` is the fault itself. `impossible` says
    why it cannot be held on this machine; nothing where it can. `quick` ones take a few seconds, `sqlite_only` ones
    lay hands on the database's file."""

    name: str
    fault: str
    expects: DrillExpectation
    inject: Inject
    scenario: Scenario
    work: DrillWork = DrillWork(sample=True, calls=2)
    setting: DrillSetting = DrillSetting()
    prepare: Inject | None = None
    impossible: Possible = lambda: ""
    quick: bool = False
    sqlite_only: bool = False

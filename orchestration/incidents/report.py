"""Reports: a problem as it is seen from outside, with the facts by which its severity is assessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from orchestration.domain.duty import DutyRequest
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity

# The source of what this system has seen itself. Whatever has another source was reported from outside.
OWN_SOURCE = "monitoring"
# The source of what a person has declared.
PERSON_SOURCE = "person"
# More addresses than this help nobody who was just woken.
MAX_LINKS = 10
# Of what is named of a problem beyond that, nobody reads the names.
MAX_NAMES = 50
MAX_FINGERPRINTS = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that decide the severity; unknown ones keep their defaults.

    `failure_rate` and `latency_ratio` are over the rule's window: the share of failed steps, and the present latency
    over its own baseline. `providers_usable` counts what is left of the fallback chain. `declared` is the severity
    that a person or an external alert claims; it can only make things worse.
    """

    agents_failing: int = 0
    agents_total: int = 0
    failure_rate: float | None = None
    latency_ratio: float | None = None
    providers_down: int = 0
    providers_usable: int | None = None
    runs_affected: int = 0
    database_unreachable: bool = False
    corruption: bool = False
    data_loss: bool = False
    breach: bool = False
    secret_exposed: bool = False
    secret_suspected: bool = False
    access_refused: bool = False
    vulnerability: bool = False
    resource_exhausted: bool = False
    has_workaround: bool = False
    declared: Severity | None = None


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What a problem affects, by name."""

    agents: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IncidentLink:
    """An address that a sender gave with its alert: the runbook, a dashboard, where the alert comes from."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Storm:
    """So many alerts of one group that they have an incident in common. `total` have joined it so far; `group` is what
    their sender, `source`, calls the group, empty where it names none."""

    total: int
    group: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class TroubleReport:
    """A problem, seen now. Reports with the same `key` are about the same problem and end up in one incident.

    `fingerprints` are those of the alerts in it; `started_at` is when the impact began, None where that is not known.
    `evidence` is JSON for the timeline: log lines, samples, a refused call. `duties` are what has to be done before the
    problem counts as repaired, even when its symptom is gone; `causes` tell unlike problems of one key apart.
    `asserted_by` is the person on whose word the report rests; it then has no alerts. `impact` is that person's. Of a
    `storm` the report names only the worst alerts.
    """

    # Reports wait in journal files, which may be from before the field was renamed.
    __pydantic_config__: ClassVar = {"alias_generator": lambda name: {"blast_radius": "blast"}.get(name, name)}

    key: str
    scenario: Scenario
    title: str
    summary: str
    facts: Facts
    at: datetime
    source: str = OWN_SOURCE
    fingerprints: tuple[str, ...] = ()
    started_at: datetime | None = None
    blast_radius: BlastRadius = BlastRadius()
    evidence: tuple[dict[str, object], ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    drill: bool = False
    causes: tuple[str, ...] = ()
    links: tuple[IncidentLink, ...] = ()
    duties: tuple[DutyRequest, ...] = ()
    impact: str = ""
    asserted_by: str = ""
    storm: Storm | None = None

"""What is known of a drawn fault because we inject it: its true cause, and which reactions to it are right. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.domain.scenario import Scenario


@dataclass(frozen=True, slots=True)
class FaultTruth:
    """The truth about one fault.

    `detected_as` are the scenarios under which it may be reported, none for a fault that calls for no incident; with
    `demands` there has to be one. `causes` are the hypotheses of the playbooks that name it rightly. `levels` are the
    levels of which one has to be called, none where nobody is needed. `permits` are the actions that change something
    and are justified by it; every other one does harm. `providers` are those that are really impaired. `fails_work`
    tells that the work may rightly fail, as long as a person hears of it.
    """

    detected_as: frozenset[Scenario] = frozenset()
    demands: bool = False
    causes: frozenset[str] = frozenset()
    levels: frozenset[int] = frozenset()
    permits: frozenset[str] = frozenset()
    providers: frozenset[str] = frozenset()
    fails_work: bool = False

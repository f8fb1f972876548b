"""How reliable the options of a playbook have been: tried, helped, undone, denied. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestration.domain.playbook_state import ActionState
from orchestration.playbooks.model import Playbook
from orchestration.storage.playbooks import MitigationStep, PlaybookRun

_TRIED = frozenset({ActionState.STARTED, ActionState.DONE, ActionState.FAILED, ActionState.UNDONE})


@dataclass(frozen=True, slots=True)
class OptionUse:
    """An incident in which an option was tried or denied, and what came of it in the last run of the playbook there."""

    incident: str
    helped: bool
    undone: bool
    denied: bool


@dataclass(frozen=True, slots=True)
class OptionRecord:
    """An option over several runs of its playbook. `tried` counts the runs in which it changed something, `helped`
    those in which the verification held after it, `undone` those in which it was taken back, and `denied` those in
    which a person said no. `uses` are the incidents of these runs, in the order of the runs."""

    playbook: str
    option: str
    summary: str
    tried: int
    helped: int
    undone: int
    denied: int
    uses: tuple[OptionUse, ...] = ()

    @property
    def share(self) -> float | None:
        """The share of the tries that helped, from 0 to 1; None of none."""
        return self.helped / self.tried if self.tried else None


def option_records(
    playbook: Playbook, runs: Sequence[PlaybookRun], steps: Iterable[MitigationStep]
) -> tuple[OptionRecord, ...]:
    """The record of each option, in the order of the playbook. Drills are left out: their faults are chosen."""
    counted = {run.id: run for run in runs if not run.drill}
    options = {step.id: option.id for option in playbook.mitigate for step in option.steps}
    states: defaultdict[str, defaultdict[str, set[ActionState]]] = defaultdict(lambda: defaultdict(set))
    for one in steps:
        if one.run_id in counted and one.step in options:
            states[options[one.step]][one.run_id].add(one.state)
    return tuple(
        _record(playbook.name, option.id, option.summary, states[option.id], counted) for option in playbook.mitigate
    )


def _record(
    playbook: str,
    option: str,
    summary: str,
    states: Mapping[str, set[ActionState]],
    runs: Mapping[str, PlaybookRun],
) -> OptionRecord:
    tried = [name for name, found in states.items() if found & _TRIED]
    uses: dict[str, OptionUse] = {}
    for name, run in runs.items():
        found = states.get(name, set())
        if found & _TRIED or ActionState.DENIED in found:
            undone, denied = ActionState.UNDONE in found, ActionState.DENIED in found
            uses.setdefault(run.incident_id, OptionUse(run.incident_id, run.helped == option, undone, denied))
    return OptionRecord(
        playbook=playbook,
        option=option,
        summary=summary,
        tried=len(tried),
        helped=sum(runs[name].helped == option for name in tried),
        undone=sum(ActionState.UNDONE in states[name] for name in tried),
        denied=sum(ActionState.DENIED in found for found in states.values()),
        uses=tuple(uses.values()),
    )

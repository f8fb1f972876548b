"""What an incident teaches about its playbook: a change, as a unified diff against the playbook's file. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestration.domain.playbook_state import ActionState
from orchestration.errors import UsageError
from orchestration.incidents.reviews.dossier import PlaybookChange
from orchestration.playbooks import source_edits
from orchestration.playbooks.catalogue import checked
from orchestration.playbooks.document import parse
from orchestration.playbooks.model import Phase, Playbook
from orchestration.storage.playbooks import ActionRun, PlaybookRun

_ACTED = frozenset({ActionState.DONE, ActionState.UNDONE, ActionState.FAILED})
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class PlaybookSource:
    """The text of a playbook, and the path under which a diff names it."""

    playbook: Playbook
    text: str
    path: str


def propose(
    source: PlaybookSource, run: PlaybookRun, actions: Sequence[ActionRun], by_hand: Sequence[str], at: datetime
) -> PlaybookChange:
    """The change that this run suggests; `by_hand` is what people did themselves, in order."""
    if source.playbook.verify is None:
        return PlaybookChange("None: the playbook only hands over, and changes nothing itself.")
    tried = tried_options(source.playbook, actions)
    failed = [option for option in tried if option != run.helped]
    if run.helped and failed:
        return _tried_too_early(source, run, failed[0], run.helped)
    if run.helped:
        return PlaybookChange(f"None: `{run.helped}` helped at the first attempt.")
    if by_hand:
        return _done_by_hand(source, run, failed, by_hand[-1], at)
    if failed:
        names = ", ".join(f"`{option}`" for option in failed)
        return PlaybookChange(
            f"None yet: {names} did not help, and nobody has recorded what did. "
            f'Record it with: orchestrator incidents mitigate {run.incident_id} "…"'
        )
    return PlaybookChange("None: no option of the playbook acted, and nobody has recorded that anything was done.")


def tried_options(playbook: Playbook, actions: Sequence[ActionRun]) -> list[str]:
    """The options that really acted, in order."""
    options = {(step.id, step.action): option.id for option in playbook.mitigate for step in option.steps}
    acted = (one for one in actions if one.phase == Phase.MITIGATE.value and one.state in _ACTED)
    found = (options.get((one.step, one.action)) for one in acted)
    return list(dict.fromkeys(name for name in found if name is not None))


def _tried_too_early(source: PlaybookSource, run: PlaybookRun, failed: str, helped: str) -> PlaybookChange:
    """Let what was found point to what helped; where nothing pointed to the option that failed, change their order."""
    reason = f"`{failed}` was tried before `{helped}` and did not help."
    text: str | None = source.text
    pointing = [cause.id for cause in run.hypotheses if cause.points_to == failed]
    for hypothesis in pointing:
        text = None if text is None else source_edits.point_hypothesis(text, hypothesis, helped)
    if pointing:
        reason += f" What pointed to it: {', '.join(f'`{name}`' for name in pointing)}."
    else:
        text = source_edits.move_option(source.text, helped, failed)
    return _change(source, reason, text)


def _done_by_hand(
    source: PlaybookSource, run: PlaybookRun, failed: Sequence[str], done: str, at: datetime
) -> PlaybookChange:
    tried = f"{', '.join(f'`{name}`' for name in failed)} did not help" if failed else "No option acted"
    option = f"by-hand-{at:%Y-%m-%d}"
    taken = {one.id for one in source.playbook.mitigate}
    option = next(name for name in (option, *(f"{option}-{n}" for n in range(2, 100))) if name not in taken)
    text = source_edits.add_option(source.text, option, done[:_LONGEST], done[:_LONGEST], _condition(source, run))
    return _change(source, f"{tried}, and a person did something by hand: {done[:_LONGEST]}", text)


def _condition(source: PlaybookSource, run: PlaybookRun) -> Mapping[str, Any]:
    """The condition of the likeliest cause, so that the new option is offered in like cases only."""
    likeliest = run.hypotheses[0].id if run.hypotheses else ""
    return next((one.when for one in source.playbook.hypotheses if one.id == likeliest), {})


def _change(source: PlaybookSource, reason: str, text: str | None) -> PlaybookChange:
    if text is None:
        return PlaybookChange(f"{reason} The file is not laid out in a way that could be edited; change it by hand.")
    text = source_edits.raise_version(text, source.playbook.version + 1)
    try:
        checked(parse(text, source.path), source.path, text)
    except UsageError as error:  # a proposal that could not be used is none
        return PlaybookChange(f"{reason} No change is proposed, because it would not be valid: {error}")
    return PlaybookChange(reason, "".join(_diff(source, text)))


def _diff(source: PlaybookSource, text: str) -> Iterator[str]:
    before, after = (each.splitlines(keepends=True) for each in (source.text, text))
    for line in difflib.unified_diff(before, after, f"a/{source.path}", f"b/{source.path}"):
        # The format's own mark for a last line that does not end.
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"

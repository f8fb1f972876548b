"""The change that an incident suggests to its playbook applies to the file, and leaves a valid playbook."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.domain.playbook_state import ActionState
from orchestration.playbooks import lessons
from orchestration.playbooks.catalogue import PlaybookCatalogue, PlaybookEntry, load
from orchestration.playbooks.hypotheses import rank
from orchestration.playbooks.lessons import PlaybookSource
from orchestration.playbooks.model import Option, Playbook
from orchestration.playbooks.runner import in_order
from orchestration.storage.playbooks import ActionRun, PlaybookRun

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
SHIPPED = {entry.playbook.name: entry for entry in PlaybookCatalogue(Path("no", "playbooks")).all()}
ACTING = [entry for entry in SHIPPED.values() if entry.playbook.verify is not None]
CHOICES = [entry for entry in SHIPPED.values() if len(entry.playbook.mitigate) > 1]


def acted(option: Option, number: int, state: ActionState) -> ActionRun:
    step, at = option.steps[0], NOON + timedelta(seconds=number)
    return ActionRun(
        f"k-{number}", "run", "inc-1", "mitigate", step.id, step.action, "reversible", "auto", state, at, "playbook"
    )


def proposed(
    entry: PlaybookEntry, tried: list[Option], helped: Option | None, by_hand: tuple[str, ...] = (), **facts: object
) -> lessons.PlaybookChange:
    actions = [
        acted(option, number, ActionState.DONE if option is helped else ActionState.UNDONE)
        for number, option in enumerate(tried)
    ]
    causes = rank(entry.playbook.hypotheses, facts)
    run = PlaybookRun(
        "run", "inc-1", entry.playbook.name, 1, NOON, hypotheses=causes, helped=helped.id if helped else None
    )
    source = PlaybookSource(entry.playbook, entry.text, f"config/playbooks/{entry.playbook.name}.yaml")
    return lessons.propose(source, run, actions, by_hand, NOON)


def applied(folder: Path, entry: PlaybookEntry, diff: str) -> Playbook:
    """The playbook after `patch` has applied the diff to a copy of its file."""
    file = folder / "config" / "playbooks" / f"{entry.playbook.name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(entry.text, encoding="utf-8")
    command = ("patch", "-p1", "--fuzz=0", "--batch")
    done = subprocess.run(command, cwd=folder, input=diff.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()
    return load(file).playbook


def option(entry: PlaybookEntry, name: str) -> Option:
    return next(one for one in entry.playbook.mitigate if one.id == name)


def test_a_hypothesis_that_pointed_to_what_did_not_help_points_to_what_did(tmp_path: Path) -> None:
    entry = SHIPPED["provider-unavailable"]
    tried = [option(entry, "wait-with-fewer-calls"), option(entry, "use-fallback")]
    facts = {"probe.outcomes": ["overloaded"], "probe.down": ["first"]}
    change = proposed(entry, tried, tried[1], **facts)
    assert "`wait-with-fewer-calls` was tried before `use-fallback`" in change.reason
    after = applied(tmp_path, entry, change.diff)
    assert after.version == entry.playbook.version + 1
    assert in_order(after.mitigate, rank(after.hypotheses, facts))[0].id == "use-fallback"
    assert len(change.diff.splitlines()) < 30, "the rest of the file is left as it is"


@settings(max_examples=15, deadline=None)
@given(entry=st.sampled_from(CHOICES), data=st.data())
def test_where_nothing_pointed_to_it_what_helped_is_moved_before_what_did_not(
    tmp_path_factory: pytest.TempPathFactory, entry: PlaybookEntry, data: st.DataObject
) -> None:
    first, second = data.draw(st.permutations(entry.playbook.mitigate).map(lambda options: options[:2]))
    change = proposed(entry, [first, second], second)
    after = applied(tmp_path_factory.mktemp("p"), entry, change.diff)
    names = [one.id for one in after.mitigate]
    assert names.index(second.id) < names.index(first.id)
    assert sorted(names) == sorted(one.id for one in entry.playbook.mitigate)


@settings(max_examples=15, deadline=None)
@given(entry=st.sampled_from(ACTING), done=st.text(max_size=80))
def test_what_a_person_did_by_hand_becomes_an_option_whatever_they_wrote(
    tmp_path_factory: pytest.TempPathFactory, entry: PlaybookEntry, done: str
) -> None:
    tried = list(entry.playbook.mitigate[:1])
    change = proposed(entry, tried, None, ("something else", done))
    after = applied(tmp_path_factory.mktemp("p"), entry, change.diff)
    added = after.mitigate[-1]
    assert (added.id, added.steps[0].mode.value) == ("by-hand-2026-03-03", "suggest")
    printable = "".join(character if character.isprintable() else " " for character in done)
    assert "".join(added.summary.split()) == "".join(printable.split()) or not done.isprintable()
    assert after.mitigate[:-1] == entry.playbook.mitigate


def test_what_helped_at_once_or_was_never_recorded_changes_nothing() -> None:
    entry = SHIPPED["provider-unavailable"]
    fallback = option(entry, "use-fallback")
    cases: Mapping[str, lessons.PlaybookChange] = {
        "helped at the first attempt": proposed(entry, [fallback], fallback),
        "nobody has recorded what did": proposed(entry, [fallback], None),
        "no option of the playbook acted": proposed(entry, [], None),
    }
    for reason, change in cases.items():
        assert reason in change.reason
        assert change.diff == ""

"""What holds for every action, and for the playbooks that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.config.revocations import RevokedValues, load, restore, revoke
from orchestration.config.secrets import names_a_secret
from orchestration.errors import UsageError
from orchestration.playbooks import conditions
from orchestration.playbooks.actions import Action, Parameters, action
from orchestration.playbooks.actions.registry import REGISTRY
from orchestration.playbooks.catalogue import PlaybookCatalogue, PlaybookEntry
from orchestration.playbooks.catalogue import load as load_playbook
from orchestration.playbooks.document import PlaybookError
from orchestration.playbooks.model import Risk
from tests.support.project import ROOT
from tests.support.reference_pages import PAGES, shipped_actions

KINDS = shipped_actions()
LIBRARY = PlaybookCatalogue(Path("/nowhere")).all()
GENERATED = [page for page in PAGES if "playbook" in str(page) or page.name == "actions.md"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_action_says_what_it_does_and_what_taking_it_back_means(kind: type[Action[Any]]) -> None:
    assert kind.summary
    assert kind.summary[0].islower()
    assert not kind.summary.endswith(".")
    assert kind.parameters.__doc__
    assert bool(kind.undo_summary) == (kind.risk is Risk.REVERSIBLE)
    assert kind.parameters.model_config["extra"] == "forbid"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.risk is Risk.REVERSIBLE], ids=lambda kind: kind.name)
def test_what_is_reversible_has_an_undo_unless_only_a_person_may(kind: type[Action[Any]]) -> None:
    assert (kind.undo is not Action.undo) == ("only by a person" not in kind.undo_summary)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.risk is not Risk.READS], ids=lambda kind: kind.name)
def test_what_changes_something_by_name_has_targets_that_can_be_empty(kind: type[Action[Any]]) -> None:
    names = {"runs", "agents", "providers", "workers", "processes", "artifacts", "credentials", "packages", "channels"}
    if names & set(kind.parameters.model_fields):
        assert kind.targets is not Action.targets


def test_a_name_is_given_once() -> None:
    with pytest.raises(UsageError, match=r"an action named 'limit\.lower' exists already"):

        @action
        class Other(Action[Any]):
            name = "limit.lower"
            summary = "something else"
            parameters = Parameters


def facts_named(entry: PlaybookEntry) -> Iterator[str]:
    """Every fact that a playbook asks for, in a condition or as a parameter."""
    playbook = entry.playbook
    for part in (*playbook.hypotheses, *playbook.mitigate, *playbook.escalate, *(step for _, step in playbook.steps())):
        yield from conditions.names(part.when)
    for condition in playbook.verify.conditions if playbook.verify else ():
        yield from conditions.names(condition)
    for cause in playbook.hypotheses:
        yield from cause.evidence
    for _, step in playbook.steps():
        yield from (value[1:] for value in step.parameters.values() if isinstance(value, str) and value[0] == "$")


@pytest.mark.parametrize("entry", LIBRARY, ids=lambda entry: entry.playbook.name)
def test_a_playbook_asks_only_for_what_a_step_of_it_finds(entry: PlaybookEntry) -> None:
    steps = {step.id: REGISTRY[step.action].finds for _, step in entry.playbook.steps()}
    for fact in facts_named(entry):
        step, _, finding = fact.partition(".")
        assert step == "incident" or finding in steps[step], f"{fact} is found by no step"


@pytest.mark.parametrize("entry", LIBRARY, ids=lambda entry: entry.playbook.name)
def test_what_a_hypothesis_points_to_is_an_option(entry: PlaybookEntry) -> None:
    options = {option.id for option in entry.playbook.mitigate}
    assert {cause.points_to for cause in entry.playbook.hypotheses} - {None} <= options


def test_every_action_is_used_by_the_library() -> None:
    used = {step.action for entry in LIBRARY for _, step in entry.playbook.steps()}
    # One comes into a playbook with the change that a review proposes. No shipped option needs a fork, and users' may.
    assert {kind.name for kind in KINDS} - used == {"people.do-by-hand", "run.fork"}


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_the_pages_of_actions_and_playbooks_are_current(page: Path) -> None:
    make: Callable[[], str] = PAGES[page]
    assert page.read_text(encoding="utf-8") == make(), "write it anew with `python -m tests.support.reference_pages`"


def test_there_is_no_page_of_a_playbook_that_is_gone() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "reference" / "playbooks").glob("*.md")}
    assert pages == {entry.playbook.name for entry in LIBRARY}


def test_a_playbook_with_an_action_that_does_not_exist_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (ROOT / "orchestration/playbooks/library/channel-down.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("do: people.redirect", "do: people.teleport"), encoding="utf-8")
    with pytest.raises(PlaybookError, match=r"mine\.yaml:\d+:1: expected one of the actions .*, got 'people.teleport'"):
        load_playbook(path)


def test_a_retired_value_is_known_again_without_being_kept(tmp_path: Path) -> None:
    path = tmp_path / "var" / "retired.json"
    assert load(path) == RevokedValues()
    first = revoke(path, ["correct horse", "battery staple"], "inc-1")
    assert revoke(path, ["battery staple", "correct horse"], "inc-1") == first
    assert revoke(path, ["correct horse"], "inc-2") == []
    known = load(path)
    assert (known.contains("correct horse"), known.contains("correct"), "horse" in path.read_text()) == (
        True,
        False,
        False,
    )
    assert path.stat().st_mode & 0o777 == 0o600
    restore(path, first[:1])
    restore(path, ["unknown"])
    assert [load(path).contains(value) for value in ("correct horse", "battery staple")] == [False, True]


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '{"key": "00"}', '{"digests": {}}', '{"key": "x", "digests": {"a": "b"}}']
)
def test_a_broken_file_of_retired_values_retires_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "retired.json"
    path.write_text(text)
    assert not load(path).contains("correct horse")
    assert len(revoke(path, ["correct horse"], "inc-1")) == 1
    assert load(path).contains("correct horse")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_finding_or_parameter_has_a_name_under_which_everything_is_redacted(kind: type[Action[Any]]) -> None:
    for name in (*kind.finds, *kind.parameters.model_fields):
        assert not names_a_secret(name), f"{name} would be hidden"

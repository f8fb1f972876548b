"""Users' own actions, as installed packages: what the how-to says, and packages that are broken in every way."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.domain.playbook_state import ActionState
from orchestration.playbooks.actions import REGISTRY, plugins
from orchestration.playbooks.actions.registry import complete
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.catalogue import load as load_playbook
from orchestration.playbooks.document import PlaybookError
from tests.support.project import ROOT
from tests.support.response import a_ward

HOW_TO = (ROOT / "docs" / "how-to" / "own-action.md").read_text(encoding="utf-8")
PLAYBOOK = """
playbook: search-slow
title: The search is slow
scenario: control-plane
about: A service of ours.
mitigate:
  - option: drain
    says: Take the slow service out
    steps:
      - step: drain
        do: own.drain
        with: { services: [search] }
        why: Its users are served by the others meanwhile.
verify:
  holds: { drain.drained: { empty: false } }
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which packages can be installed for a test."""
    before, modules = dict(REGISTRY), set(sys.modules)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    plugins.load.cache_clear()
    yield folder
    for name in set(sys.modules) - modules:
        if name.startswith(("own_", "broken_")):
            del sys.modules[name]
    REGISTRY.clear()
    REGISTRY.update(before)
    plugins.load.cache_clear()


def install(site: Path, module: str, code: str, entry: str = "", name: str = "drain") -> None:
    """What an installer leaves behind."""
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{name} = {entry or module}\n")


def code_of_the_how_to() -> str:
    found = re.search(r"```python\n(.*?)```", HOW_TO, re.DOTALL)
    assert found is not None
    return found[1]


async def test_the_action_of_the_how_to_works_in_a_playbook_as_ours_do(site: Path, tmp_path: Path) -> None:
    entry = re.search(r'^drain = "(\S+)"$', HOW_TO, re.MULTILINE)
    assert entry is not None
    install(site, "own_actions", code_of_the_how_to(), entry[1])
    assert (plugins.load(), "own.drain" in complete()) == ((), True)
    playbook = tmp_path / "playbooks" / "search.yaml"
    playbook.parent.mkdir()
    playbook.write_text(PLAYBOOK)
    assert load_playbook(playbook).playbook.name == "search-slow"
    assert PlaybookCatalogue(playbook.parent).mistakes == []
    async with a_ward(tmp_path / "project") as ward:
        given = {"services": ["search"]}
        assert (await ward.decide("own.drain", given)).preview == "take search out of the load balancer"
        assert (await ward.decide("own.drain", {"services": []})).guard == "empty-target"
        done = await ward.act("own.drain", given)
        assert (done.state, done.findings) == (ActionState.DONE, {"drained": ["search"]})
        undone = await ward.executor.undo(ward.response(), done)
        assert (undone.state, undone.summary) == (ActionState.UNDONE, "drained; undone: put search back")


def test_a_module_makes_several_known(site: Path) -> None:
    code = (
        code_of_the_how_to()
        .replace("class Drain", "@action\nclass Drain")
        .replace("import Action,", "import action, Action,")
    )
    install(site, "own_actions", code)
    assert (plugins.load(), "own.drain" in complete()) == ((), True)


def test_nothing_of_the_users_is_loaded_before_an_action_is_looked_for(site: Path) -> None:
    install(site, "own_actions", code_of_the_how_to(), "own_actions:Drain")
    assert "own_actions" not in sys.modules
    complete()
    assert "own_actions" in sys.modules


HEAD = "from orchestration.playbooks.actions import Action, ActionOutcome, Parameters, action\n"
SOUND = "async def run(self, context, parameters): return ActionOutcome('done')"


@pytest.mark.parametrize(
    ("code", "entry", "trouble"),
    [
        ("import there_is_no_such_module", "", "ModuleNotFoundError: No module named 'there_is_no_such_module'"),
        ("def (", "", "SyntaxError: "),
        ("raise SystemExit(3)", "", "SystemExit: 3"),
        ("x = 7", "broken_one:x", "expected an action's class or a module, got 7"),
        ("x = 7", "broken_one:y", "AttributeError: "),
        (
            f"{HEAD}class A(Action):\n name='A'\n summary='s'\n parameters=Parameters\n {SOUND}",
            "broken_one:A",
            "got 'A'",
        ),
        (f"{HEAD}class A(Action):\n name='own.a'\n parameters=Parameters\n {SOUND}", "broken_one:A", "`summary`"),
        (
            f"{HEAD}class A(Action):\n name='own.a'\n summary='s'\n parameters=int\n {SOUND}",
            "broken_one:A",
            "Parameters",
        ),
        (f"{HEAD}class A(Action):\n name='own.a'\n summary='s'\n parameters=Parameters", "broken_one:A", "a `run`"),
        (
            f"{HEAD}@action\nclass A(Action):\n name='limit.lower'\n summary='s'\n parameters=Parameters\n {SOUND}",
            "",
            "an action named 'limit.lower' exists already",
        ),
        (
            f"{HEAD}@action\nclass A(Action):\n name='own.a'\n summary='s'\n parameters=Parameters\n {SOUND}\n1/0",
            "",
            "Zero",
        ),
    ],
)
def test_a_broken_package_is_told_of_and_keeps_nothing_else_from_going_on(
    site: Path, tmp_path: Path, code: str, entry: str, trouble: str
) -> None:
    install(site, "broken_one", code, entry, name="a-broken-one")
    install(site, "own_actions", code_of_the_how_to(), "own_actions:Drain")
    before = {name for name in REGISTRY if not name.startswith("own.")}
    mistakes = PlaybookCatalogue(tmp_path).mistakes
    assert len(mistakes) == 1
    assert "the actions 'a-broken-one' (" in mistakes[0].message
    assert ", of broken-one 1.0) are left out: " in mistakes[0].message
    assert trouble in mistakes[0].message
    assert set(complete()) == before | {"own.drain"}


async def test_a_response_goes_on_when_the_package_of_its_action_is_gone(site: Path, tmp_path: Path) -> None:
    install(site, "own_actions", code_of_the_how_to(), "own_actions:Drain")
    async with a_ward(tmp_path / "project") as ward:
        given = {"services": ["search"]}
        decision = await ward.decide("own.drain", given)
        done = await ward.approve("own.drain", given, decision)
        del REGISTRY["own.drain"]
        assert (
            "does not exist in this release, or its package is gone" in (await ward.decide("own.drain", given)).reason
        )
        failed = await ward.approve("own.drain", given, decision, "k-2")
        assert failed.state is ActionState.FAILED
        undone = await ward.executor.undo(ward.response(), done)
        assert (undone.state, "could not be undone" in undone.summary) == (ActionState.DONE, True)
    playbook = tmp_path / "search.yaml"
    playbook.write_text(PLAYBOOK)
    with pytest.raises(PlaybookError, match=r"got 'own\.drain'"):
        load_playbook(playbook)

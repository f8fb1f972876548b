"""A user's own drills, as installed packages: the one of the how-to, and packages that are broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.clock import SystemClock
from orchestration.drills import catalogue, runner
from orchestration.errors import NotFoundError
from tests.support.plugins import blocks, how_to, install, site_packages

PAGE = how_to("own-drill")
(CODE,) = blocks(PAGE, "python")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with site_packages(tmp_path / "site", monkeypatch, catalogue.own_drills) as folder:
        yield folder


def install_the_how_to(site: Path) -> None:
    found = re.search(r'^overloaded-once = "(\S+)"$', PAGE, re.MULTILINE)
    assert found is not None
    install(site, catalogue.GROUP, "own_drills", CODE, found[1], "overloaded-once")


@pytest.mark.slow
async def test_the_drill_of_the_how_to_is_run_and_scored_like_ours(site: Path) -> None:
    install_the_how_to(site)
    (drill,) = catalogue.find(["overloaded-once"])
    assert drill in catalogue.find(["provider-unavailable"])
    result = await runner.run_drill(drill, SystemClock())
    assert [str(miss) for miss in result.misses] == []


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("drill = 'a text'", "expected a `Drill`, got 'a text'"),
        (
            "from orchestration.drills.faults.agents import AGENT_CRASHES as drill",
            "a drill named 'agent-crashes' is shipped; choose another name",
        ),
    ],
)
def test_a_broken_drill_is_left_out_with_a_reason(site: Path, code: str, problem: str) -> None:
    install(site, catalogue.GROUP, "broken_drills", code, "broken_drills:drill", "mine")
    assert catalogue.list_drills() == catalogue.SHIPPED
    (reason,) = catalogue.own_drills().problems
    assert problem in reason
    with pytest.raises(NotFoundError, match="got 'mine'"):
        catalogue.find(["mine"])

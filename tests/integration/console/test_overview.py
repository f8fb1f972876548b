from __future__ import annotations

from pathlib import Path

from orchestration.app.overview import overview
from orchestration.app.project import project
from orchestration.storage.route_states import RouteStates
from tests.support.console import ConsoleProject


def test_a_route_that_was_seen_at_work_is_in_use_though_nothing_was_said_of_its_breaker(tmp_path: Path) -> None:
    console = ConsoleProject(tmp_path / "project")
    with project(str(console.file)) as here:
        seen = {"in_use": 1, "limit": 4, "headroom": {}}
        RouteStates(here.database).report("rehearsal", "rehearsal-1", "process-1", seen, here.clock.now())
        assert overview(here).providers == []

from __future__ import annotations

from pathlib import Path

from orchestration.app.overview import overview
from orchestration.app.project import project
from orchestration.storage.route_states import RouteStates
from tests.support.project import ProjectFolder, provider_at


def test_a_route_that_has_only_been_used_is_not_out_of_use(tmp_path: Path) -> None:
    folder = ProjectFolder(tmp_path / "project", {"main": provider_at("http://127.0.0.1:9")})
    with project(str(folder.configuration_file)) as here:
        states, now = RouteStates(here.database), here.clock.now()
        states.report("main", "rehearsal-1", "process-1", {"in_use": 1, "limit": 8, "headroom": {}}, now)
        assert list(overview(here).providers) == []
        states.save("main", "rehearsal-1", {"state": "open", "reason": "timeout", "since": now.timestamp()}, now)
        assert [(one.provider, one.state) for one in overview(here).providers] == [("main", "open")]

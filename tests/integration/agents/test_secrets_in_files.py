"""Files with passwords are files like all others: agents change them, and make them for their tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestration.monitoring.collectors.scan_record import ScanRecord
from orchestration.monitoring.collectors.secrets import SecretWatch
from orchestration.storage.artifacts import ArtifactTable
from tests.integration.agents.rooms import DONE, TOOLS, Rooms, calls, rooms
from tests.support.repositories import git, make_repository

TOKEN = "ghp_" + "A1b2C3d4E5" * 3
SETTINGS = f"""\
DEBUG = False
DB_PASSWORD = "Sommer-2026-am-See"
MAIL_PASSWORD = "Winter-im-Wald-7"
TOKEN = "{TOKEN}"
"""
LOGIN = 'def test_login():\n    assert login("ada", password="correct-horse-9")\n'
WHOLE = (
    'DEBUG = True\nDB_PASSWORD = "[redacted:password]"\nMAIL_PASSWORD = "[redacted:password]"\n'
    'TOKEN = "[redacted:github-token]"\n'
)
KEPT = '\nDB_PASSWORD = "[redacted:password]"'
PIECE = {"old": f"DEBUG = False{KEPT}", "new": f"DEBUG = True{KEPT}"}
EXECUTOR = {"id": "executor", "tools": [*TOOLS, "apply_patch"]}
PATCH = """\
--- a/settings.py
+++ b/settings.py
@@ -1,3 +1,3 @@
-DEBUG = False
+DEBUG = True
 DB_PASSWORD = "[redacted:password]"
 MAIL_PASSWORD = "[redacted:password]"
"""


def does(*steps: dict[str, Any]) -> Any:
    def script(body: dict[str, Any]) -> dict[str, Any]:
        told = [message for message in body["messages"] if message["role"] == "tool"]
        return [*steps, DONE][len(told)]

    return script


def findings(house: Rooms) -> list[tuple[str, str]]:
    """What the watch for secrets finds in the run's workspace, as `serve` looks for it."""
    app = house.app
    watch = SecretWatch(
        house.root / "artifacts",
        ArtifactTable(app.database),
        app.runs,
        app.redactor.find,
        app.clock,
        ScanRecord(house.root / "scan.json"),
        original=app.workspaces.originals.text,
    )
    return sorted((Path(one.labels["place"]).name, one.labels["kind"]) for one in watch.collect())


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(
    "edit",
    [
        ("write_file", {"path": "settings.py", "content": WHOLE}),
        ("replace_in_file", {"path": "settings.py", **PIECE}),
        ("apply_patch", {"patch": PATCH}),
    ],
    ids=lambda edit: edit[0],
)
async def test_what_an_agent_is_not_shown_stays_in_the_file_and_is_no_finding(
    tmp_path: Path, edit: Any, in_place: bool
) -> None:
    project = make_repository(tmp_path / "work", settings__py=SETTINGS)
    async with rooms(tmp_path, does(calls(("read_file", {"path": "settings.py"})), calls(edit)), [EXECUTOR]) as (
        house,
        model,
    ):
        run = await house.run(in_place=in_place)
        shown = str(model.asked[1]["messages"])
        assert "Sommer" not in shown
        assert "[redacted:password]" in shown
        expected = SETTINGS.replace("False", "True")
        assert (Path(run.folder) / "settings.py").read_text() == expected
        if not in_place:
            assert git(project, "show", f"{run.branch}:settings.py") == expected
        assert findings(house) == []


async def test_a_password_that_an_agent_makes_up_for_a_test_is_written_committed_and_only_suspected(
    tmp_path: Path,
) -> None:
    project = make_repository(tmp_path / "work", settings__py=SETTINGS)
    write = ("write_file", {"path": "test_login.py", "content": LOGIN})
    async with rooms(tmp_path, does(calls(write))) as (house, _):
        run = await house.run()
        assert git(project, "show", f"{run.branch}:test_login.py") == LOGIN
        assert findings(house) == [("test_login.py", "password")]


async def test_of_a_secret_that_is_not_written_the_agent_is_told(tmp_path: Path) -> None:
    make_repository(tmp_path / "work")
    write = ("write_file", {"path": "client.py", "content": f'TOKEN = "{TOKEN}"\n'})
    async with rooms(tmp_path, does(calls(write))) as (house, model):
        run = await house.run()
        assert (Path(run.folder) / "client.py").read_text() == 'TOKEN = "[redacted:github-token]"\n'
        assert "stand for secrets that you are not shown" in str(model.asked[1]["messages"][-1]["content"])


async def test_a_file_of_which_it_is_not_clear_which_secret_is_meant_is_left_as_it_is(tmp_path: Path) -> None:
    make_repository(tmp_path / "work", settings__py=SETTINGS)
    unclear = ("write_file", {"path": "settings.py", "content": 'SOMETHING = "[redacted:password]"\n'})
    async with rooms(tmp_path, does(calls(unclear))) as (house, model):
        run = await house.run()
        assert (Path(run.folder) / "settings.py").read_text() == SETTINGS
        assert "nothing was changed" in str(model.asked[1]["messages"][-1]["content"])

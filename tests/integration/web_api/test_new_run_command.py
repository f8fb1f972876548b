"""A new command for runs is one file: everything else is built from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.patience import patient

SAMPLE = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Text
from orchestration.runs.commands.base import RunCommand, RunHandles, ShownFor
from orchestration.security.principal import Role
from orchestration.storage.runs import Run


@dataclass(frozen=True, slots=True)
class ParkRun(RunCommand):
    """Park a run."""

    where: Annotated[Text, Input("Where it is parked.", label="Where")]

    spec: ClassVar = CommandSpec(
        summary="Park a run at a place.",
        console="park",
        role=Role.OPERATOR,
        api=ApiRoute("park_run", "park"),
        page=PageForm(
            "park", "run-parked", "The run is parked.", title="Park", button="Park", shown=ShownFor.UNFINISHED
        ),
    )

    async def apply(self, handles: RunHandles, run_id: str) -> Run:
        return await handles.control.pause(run_id, f"parked at {self.where} by {handles.by}")
'''


def test_a_command_in_one_new_file_is_on_console_api_client_and_page(tmp_path: Path) -> None:
    package = tmp_path / "commands"
    package.mkdir()
    (package / "park.py").write_text(SAMPLE)
    process = "tests.integration.web_api.sample_run_command_process"
    command = [sys.executable, "-m", process, str(tmp_path), str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(90), check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    parked = [reason.partition(" by ")[0] for reason in found["reasons"]]
    assert parked == ["parked at one", "parked at two", "parked at three"], "client, console on a server, page"
    assert (found["form"], found["confirmation"]) == (True, True)
    assert found["operation"]["operationId"] == "park_run"
    assert found["operation"]["description"] == "Park a run at a place."
    assert "Park a run at a place." in found["console"]
    assert "--where" in found["console"]

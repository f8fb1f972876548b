"""A new command is one file: everything else is built from it."""

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

from orchestration.domain.request_fields import Text
from orchestration.incidents.change import IncidentChange
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.commands.inputs import Input


@dataclass(frozen=True, slots=True)
class Bookmark(IncidentCommand):
    """Mark a page of the runbook."""

    page: Annotated[Text, Input("The page of the runbook.", label="Page", argument=True)]

    spec: ClassVar = CommandSpec(
        summary="Mark a page of the runbook.",
        console="bookmark",
        api=ApiRoute("bookmark", "bookmark"),
        page=PageForm(
            "bookmark", "bookmarked", "The page is marked.", title="Bookmark", button="Mark", shown=ShownWhile.ALWAYS
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        change.add_entry("bookmarked", page=self.page)
'''


def test_a_command_in_one_new_file_is_on_console_api_client_and_page(tmp_path: Path) -> None:
    package = tmp_path / "commands"
    package.mkdir()
    (package / "bookmark.py").write_text(SAMPLE)
    command = [sys.executable, "-m", "tests.integration.incidents.sample_command_process", str(tmp_path), str(package)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(90), check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["marked"] == ["one", "two", "three", "four"], "client, console on a server, console, page"
    assert (found["form"], found["confirmation"]) == (True, True)
    assert found["operation"]["operationId"] == "bookmark"
    assert found["operation"]["description"] == "Mark a page of the runbook."

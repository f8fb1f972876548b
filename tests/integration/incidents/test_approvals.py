"""What a response asks is answered at the console, once, and only where it is plain what is meant."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestration.app import project
from orchestration.cli import cli
from orchestration.errors import UsageError
from orchestration.storage.approvals import Approval
from tests.support.incidents import HALF, a_report

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Asked:
    """A project with an incident on which two things are asked."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "config" / "agents.config.json"
        self.config.parent.mkdir()
        runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal"}}
        self.config.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))
        with project(str(self.config)) as here:
            self.incident = here.incident_service.open_or_join(a_report(HALF, datetime.now(UTC))).id
            for name in ("rotate the key", "restore a backup"):
                here.approvals.add(Approval(name, self.incident, f"May I {name}?", NOW, role="responder"))

    def do(self, *arguments: str) -> Any:
        command = ["--config", str(self.config), "incidents", *arguments, "--json"]
        return json.loads(CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False).stdout)


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def test_a_question_is_approved_or_denied_by_a_part_of_its_text(asked: Asked) -> None:
    yes = asked.do("approve", "latest", "--question", "rotate", "--reason", "it leaked")
    no = asked.do("deny", "latest")
    assert (yes["id"], yes["decision"], yes["reason"]) == ("rotate the key", "approved", "it leaked")
    assert (no["id"], no["decision"]) == ("restore a backup", "denied")


def test_who_answered_what_and_why_stands_on_the_timeline(asked: Asked) -> None:
    asked.do("approve", "latest", "--question", "rotate", "--reason", "it leaked")
    asked.do("deny", "latest")
    with project(str(asked.config)) as here:
        last = here.incident_service.records.entries(asked.incident)[-2:]
    assert [entry.data["text"] for entry in last] == [
        "approved: May I rotate the key?; it leaked",
        "denied: May I restore a backup?",
    ]
    assert {entry.actor for entry in last} == {getpass.getuser()}


def test_with_several_questions_one_has_to_be_chosen(asked: Asked) -> None:
    with pytest.raises(
        UsageError, match=r"May I rotate the key\?; May I restore a backup\?\. Choose one with --question"
    ):
        asked.do("approve", "latest")


def test_where_nothing_is_asked_there_is_nothing_to_answer(asked: Asked) -> None:
    with pytest.raises(UsageError, match="has no open question with 'something else'"):
        asked.do("deny", "latest", "--question", "something else")

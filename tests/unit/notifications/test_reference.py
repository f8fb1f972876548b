"""The reference page says what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from orchestration.config.channels.tickets import GithubIssuesOptions
from orchestration.config.loader import ConfigLoader
from orchestration.domain.channel_kind import ChannelKind
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.templates.values import values
from tests.support.notices import a_notice

PAGE_OF_TICKETS = Path(__file__).parents[3] / "docs" / "how-to" / "tickets.md"
PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "notifications.md").read_text(encoding="utf-8")


def test_every_channel_template_and_variable_is_named() -> None:
    variables = values(a_notice(), "ada", "UTC")
    for name in (*ChannelKind, *(f"{kind.value}.txt" for kind in NoticeKind), *variables):
        assert f"`{name}`" in PAGE, name


def test_the_example_of_tickets_is_a_configuration_without_errors(tmp_path: Path) -> None:
    page = PAGE_OF_TICKETS.read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    text = json.dumps({"runtime": {"defaultProvider": "rehearsal", "rehearsal": {}}, **json.loads(f"{{{example}}}")})
    loaded = ConfigLoader(tmp_path / "config" / "agents.config.json").parse(text, ("GITHUB_ISSUES_TOKEN",))
    assert {finding.code.value for finding in loaded.findings} == {"W031"}, "levels 2 and 3 are empty"
    options = GithubIssuesOptions.model_validate(loaded.usable().response.channels["issues"].options)
    assert options.assignment({"agent": "reviewer"}).assignees == ("ada",)
    assert options.assignment({"scenario": "security-alert", "agent": "executor"}).labels == ("incident", "security")
    assert options.assignment({}).assignees == ()


def test_the_example_is_a_configuration_without_errors(tmp_path: Path) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    text = json.dumps({"runtime": {"defaultProvider": "rehearsal", "rehearsal": {}}, **json.loads(f"{{{example}}}")})
    loader = ConfigLoader(tmp_path / "config" / "agents.config.json")
    loaded = loader.parse(text, ("MAIL_PASSWORD", "SLACK_WEBHOOK"))
    assert {finding.code.value for finding in loaded.findings} == {"W031"}, "one contact is not three levels"

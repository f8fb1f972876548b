"""The reference page says what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from orchestration.config.loader import ConfigLoader
from orchestration.domain.channel_kind import ChannelKind
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.templates.values import values
from tests.support.notices import a_notice

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "notifications.md").read_text(encoding="utf-8")


def test_every_channel_template_and_variable_is_named() -> None:
    variables = values(a_notice(), "ada", "UTC")
    for name in (*ChannelKind, *(f"{kind.value}.txt" for kind in NoticeKind), *variables):
        assert f"`{name}`" in PAGE, name


def test_the_example_is_a_configuration_without_errors(tmp_path: Path) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    text = json.dumps({"runtime": {"defaultProvider": "rehearsal", "rehearsal": {}}, **json.loads(f"{{{example}}}")})
    loader = ConfigLoader(tmp_path / "config" / "agents.config.json")
    loaded = loader.parse(text, ("MAIL_PASSWORD", "SLACK_WEBHOOK"))
    assert {finding.code.value for finding in loaded.findings} == {"W031"}, "one contact is not three levels"

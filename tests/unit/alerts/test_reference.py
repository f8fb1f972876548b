from __future__ import annotations

from pathlib import Path

from orchestration.alerts.reference import rules_page
from orchestration.config.checks.alerting import KNOWN_RULES

PAGE = Path(__file__).parents[3] / "docs/reference/alert-rules.md"


def test_the_page_of_rules_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == rules_page(), "write it anew from orchestration.alerts.reference"


def test_the_page_names_every_rule() -> None:
    assert all(f"| `{name}` |" in rules_page() for name in KNOWN_RULES)

from __future__ import annotations

from orchestration.config.maintenance import DEFAULT_CRONS, JobSettings, MaintenanceSettings
from orchestration.maintenance.reports import section, table


def test_a_part_without_anything_to_say_says_so() -> None:
    assert section("Alerts", []) == "## Alerts\n\nNothing.\n"


def test_texts_cannot_break_out_of_a_table() -> None:
    *_, row = table(("title",), [("a | b\n## c <script> \\",)])
    assert row == "| a \\| b ## c &lt;script> \\\\ |"


def test_a_job_is_due_by_its_own_time_its_default_or_never() -> None:
    settings = MaintenanceSettings(
        jobs={"backup": JobSettings(cron="0 * * * *"), "retention": JobSettings(enabled=False)}
    )
    assert settings.cron_of("backup") == "0 * * * *"
    assert settings.cron_of("retention") is None
    assert settings.cron_of("daily-digest") == DEFAULT_CRONS["daily-digest"]
    assert all(MaintenanceSettings(enabled=False).cron_of(job) is None for job in DEFAULT_CRONS)

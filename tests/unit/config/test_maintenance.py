from __future__ import annotations

from typing import Any

import pytest

from tests.unit.config.conftest import Judge


def codes(judge: Judge, **section: Any) -> list[tuple[str, str]]:
    found = judge(lambda good: good.update(maintenance=section)).findings
    return [(finding.code.value, finding.path) for finding in found]


def test_the_defaults_and_a_folder_elsewhere_have_no_finding(judge: Judge) -> None:
    assert codes(judge) == []
    assert codes(judge, backups={"directory": "/mnt/backups", "daily": 14}, timeZone="Europe/Vienna") == []


@pytest.mark.parametrize(
    ("section", "code", "path"),
    [
        ({"jobs": {"back-up": {}}}, "E060", "maintenance.jobs.back-up"),
        ({"jobs": {"backup": {"cron": "often"}}}, "E021", "maintenance.jobs.backup.cron"),
        ({"jobs": {"backup": {"cron": "0 0 2 * * *"}}}, "E021", "maintenance.jobs.backup.cron"),
        ({"jobs": {"backup": {"cron": "0 0 30 2 *"}}}, "E021", "maintenance.jobs.backup.cron"),
        ({"timeZone": "Europe/Atlantis"}, "E006", "maintenance.timeZone"),
        ({"audience": ["nobody"]}, "E042", "maintenance.audience[0]"),
        ({"backups": {"directory": "logs"}}, "E024", "maintenance.backups.directory"),
        ({"backups": {"directory": "../elsewhere"}}, "E024", "maintenance.backups.directory"),
        ({"backups": {"directory": " "}}, "E024", "maintenance.backups.directory"),
        ({"reportsDirectory": "artifacts"}, "E024", "maintenance.reportsDirectory"),
        ({"backups": {"daily": 0}}, "E006", "maintenance.backups.daily"),
        ({"artifactsMegabytes": 0}, "E006", "maintenance.artifactsMegabytes"),
    ],
)
def test_what_cannot_be_is_found(judge: Judge, section: dict[str, Any], code: str, path: str) -> None:
    assert (code, path) in codes(judge, **section)

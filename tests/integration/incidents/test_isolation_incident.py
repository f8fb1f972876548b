"""An isolation by hand is an incident for as long as it lasts, with its lifting as a duty."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.app import project
from orchestration.app.isolation import isolate, lift
from orchestration.app.project import ProjectRecords
from orchestration.cli import cli
from orchestration.domain.duty import DutyKind, DutyOwner, DutyState
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import Incident, IncidentRefusedError, person
from orchestration.incidents.report import Facts, TroubleReport


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "config" / "agents.config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"runtime": {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "m"}}}))
    return str(file)


def incidents(here: ProjectRecords) -> list[Incident]:
    records = here.incident_service.records
    return [records.get(row.id) for row in records.table.list()]


def test_it_is_listed_with_its_duty_until_it_is_lifted(config: str) -> None:
    with project(config) as here:
        isolate(here, reason="a run sends files to an unknown host", actor="kim")
        isolate(here, reason="once more", actor="kim")
        (opened,) = incidents(here)
        assert (opened.scenario, opened.severity) == (Scenario.SECURITY_ALERT, Severity.P1)
        assert opened.title == "The system was isolated by kim"
        assert opened.summary.startswith("a run sends files to an unknown host")
        (duty,) = opened.open_duties
        assert (duty.kind, duty.owner) == (DutyKind.LIFT_ISOLATION, DutyOwner.ADMIN)
        # Who has isolated the system knows of it.
        assert opened.acknowledged_by == "kim"
        with pytest.raises(IncidentRefusedError, match="lift the isolation"):
            here.incident_service.execute(opened.id, person("kim"), Resolve("it is over"))
        lift(here, reason="the host is ours", actor="ada")
        (ended,) = incidents(here)
        assert (ended.duties[0].state, ended.duties[0].ended_by) == (DutyState.DONE, "ada")
        assert "the host is ours" in ended.duties[0].evidence
        # With nothing left to do it ends by itself.
        here.incident_service.fire_due_timers(here.clock.now() + timedelta(hours=1))
        assert incidents(here)[0].status.value.startswith("resolved")
        isolate(here, reason="again", actor="kim")
        assert len(incidents(here)) == 2


def test_one_that_is_done_for_an_incident_belongs_to_that_unless_it_is_over(config: str) -> None:
    with project(config) as here:
        found = here.incident_service.open_or_join(
            TroubleReport("k", Scenario.SECURITY_ALERT, "A key was found", "s", Facts(), here.clock.now())
        )
        isolate(here, reason="contain it", actor="kim", incident=found.id)
        (same,) = incidents(here)
        assert [duty.kind for duty in same.open_duties] == [DutyKind.LIFT_ISOLATION]
        lift(here, reason="contained", actor="kim")
        here.incident_service.execute(found.id, person("kim"), Resolve("rotated", anyway=True))
        assert incidents(here)[0].status is not IncidentStatus.DETECTED
        isolate(here, reason="not so sure", actor="kim", incident=found.id)
        assert len(incidents(here)) == 2


def test_the_console_lists_it_with_what_is_left_to_do(config: str) -> None:
    with project(config) as here:
        isolate(here, reason="a breach is suspected", actor="kim")
        (opened,) = incidents(here)
    for words, text in ((("list",), "isolated by kim"), (("show", opened.id), "lift the isolation")):
        done = CliRunner().invoke(cli, ["--config", config, "incidents", *words], catch_exceptions=False)
        assert text in " ".join(done.output.split()), done.output

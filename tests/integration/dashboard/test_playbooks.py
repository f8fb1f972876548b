"""What playbooks are, did and would do, and the word of a person that lets an action go on."""

from __future__ import annotations

import pytest

from orchestration.incidents.model import Incident
from orchestration.security.principal import Principal, Role
from orchestration.storage.playbooks import PlaybookRecords
from orchestration.web.pages.markdown import html
from orchestration.workflows.engine import registry
from tests.support.dashboard import Dashboard
from tests.support.dashboard_records import respond

_BOOK = "/playbooks/provider-unavailable"


@pytest.fixture(autouse=True)
def filled(incidents: dict[str, Incident]) -> None:
    """Every test here looks at pages that show something."""


def test_the_list_names_every_playbook_with_its_last_runs_and_the_guards_that_tripped(
    dashboard: Dashboard, incidents: dict[str, Incident]
) -> None:
    text = dashboard.get("/playbooks").text
    assert f'href="{_BOOK}"' in text
    assert "built-in" in text
    assert f"on {incidents['taken'].id}" in text
    assert "3 times in an hour" in text


def test_a_playbook_is_shown_as_its_runbook_with_what_it_did(dashboard: Dashboard) -> None:
    text = dashboard.get(_BOOK).text
    assert "<strong>Response steps:</strong>" in text
    assert "paused run-nightly, whose priority is low" in text
    assert "the next provider took over" in text
    assert dashboard.get("/playbooks/poetry").status_code == 404


def test_an_incident_shows_the_causes_and_every_action_with_its_undo(
    dashboard: Dashboard, incidents: dict[str, Incident]
) -> None:
    text = dashboard.get(f"/incidents/{incidents['taken'].id}").text
    assert f'href="{_BOOK}"' in text
    assert "its quota is used up <small>80 of 100" in text
    assert "probe.status" in text
    assert "hourly cap" in text
    assert "<small>the runs are resumed</small>" in text


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(
    dashboard: Dashboard, incidents: dict[str, Incident]
) -> None:
    before = dict(registry.registered)
    answer = dashboard.post(f"{_BOOK}/dry-run", incident=incidents["taken"].id)
    assert answer.status_code == 200, answer.text
    assert "in this order until one helps" in answer.text
    assert 'hx-get="/playbooks' not in answer.text, "a refresh would replace the plan"
    assert len(PlaybookRecords(dashboard.app.database).list_runs(incident_id=incidents["taken"].id)) == 1
    assert registry.registered == before, "the response of the process that serves stays in its place"


def test_a_dry_run_takes_a_responder_and_an_incident_that_is_there(dashboard: Dashboard) -> None:
    assert dashboard.post(f"{_BOOK}/dry-run", incident="inc-nowhere").status_code == 404
    dashboard.principal = Principal("vic", Role.VIEWER)
    assert dashboard.post(f"{_BOOK}/dry-run").status_code == 403


def test_a_guard_is_reset_by_an_operator_once(dashboard: Dashboard, incidents: dict[str, Incident]) -> None:
    respond(dashboard.app, incidents["worst"].id, 2)
    dashboard.principal = Principal("rae", Role.RESPONDER)
    assert dashboard.post("/playbooks/reset", action="restart-worker-2").status_code == 403
    dashboard.principal = Principal("ola", Role.OPERATOR)
    answer = dashboard.post("/playbooks/reset", action="restart-worker-2")
    assert answer.headers["location"] == "/playbooks?done=guard-reset"
    assert PlaybookRecords(dashboard.app.database).find_trip("restart-worker-2") is None
    assert dashboard.post("/playbooks/reset", action="restart-worker-2").status_code == 409


def test_markdown_can_do_nothing_but_be_read() -> None:
    made = html(
        "# t\n\n<script>x</script> [go](javascript:x) ![p](http://x/y)\n\n| a |\n| --- |\n| b |\n\n```\nc\n```\n"
    )
    assert "<script" not in made
    assert "<a" not in made
    assert "<img" not in made
    assert 'aria-label="Table 1"' in made
    assert '<pre tabindex="0">' in made

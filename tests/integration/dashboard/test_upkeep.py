"""The pages about drills, maintenance and the audit trail."""

from __future__ import annotations

import re
from html import unescape

import pytest
import sqlalchemy as sa

from orchestration.drills.catalogue import SHIPPED
from orchestration.incidents.model import Incident
from orchestration.maintenance.jobs import SIGN_OFFS
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Principal, Role
from orchestration.storage.audit import AuditTable
from orchestration.storage.maintenance import MaintenanceRecords
from orchestration.storage.outbox import Outbox
from orchestration.storage.runs import Run
from orchestration.storage.tables import audit
from tests.support.dashboard import Dashboard
from tests.support.dashboard_records import hold_drills
from tests.support.project import wait_until


@pytest.fixture(autouse=True)
def filled(incidents: dict[str, Incident]) -> None:
    """Every test here looks at pages that show something."""


def test_drills_are_listed_with_what_each_expects_and_how_it_went(dashboard: Dashboard) -> None:
    text = dashboard.get("/drills").text
    assert all(f'href="/drills?drill={drill.name}"' in text for drill in SHIPPED)
    assert "4.25 s" in text
    assert "expected an incident within 2 s, got none" in text
    assert "spring" in text


def test_the_history_of_one_drill_is_chosen_by_name(dashboard: Dashboard) -> None:
    assert "spring" in dashboard.get("/drills?drill=provider-killed").text
    assert "spring" not in dashboard.get("/drills?drill=agent-crashes").text
    assert dashboard.get("/drills?drill=poetry").status_code == 422


def test_drills_that_are_under_way_are_followed_and_no_others_are_begun(dashboard: Dashboard) -> None:
    assert 'action="/drills/begin"' in dashboard.get("/drills").text
    hold_drills(dashboard.app)
    try:
        text = dashboard.get("/drills").text
        for said in ("started by ben", "autumn", "running</span>", "detected after 750 ms", "skipped: it has no wings"):
            assert said in text
        assert "queued</span>" in text
        assert 'action="/drills/begin"' not in text
        refused = dashboard.post("/drills/begin", drills="agent-crashes")
        assert (refused.status_code, "expected no drills under way, got some" in refused.text) == (409, True)
    finally:
        dashboard.app.leases.release("drills", "drills-1")


def test_only_operators_begin_drills_and_only_known_ones(dashboard: Dashboard) -> None:
    assert dashboard.post("/drills/begin", drills="poetry").status_code == 404
    assert dashboard.post("/drills/stop").status_code == 409
    dashboard.principal = Principal("rae", Role.RESPONDER)
    assert dashboard.post("/drills/begin", drills="quick").status_code == 403
    assert "<button disabled>Start</button>" in dashboard.get("/drills").text


def test_a_drill_is_begun_and_stopped_on_the_page_and_the_page_follows_it(dashboard: Dashboard) -> None:
    # Asked of the timeline, since to make the page again and again takes more of the machine than the drill.
    timeline = dashboard.app.timeline
    before = timeline.last_sequence()

    def has_come(kind: str) -> bool:
        return kind in [event.kind for _, event in timeline.list_since(before)]

    answer = dashboard.post("/drills/begin", drills="edit-refused", game_day="by hand")
    assert answer.headers["location"] == "/drills?done=drills-begun"
    wait_until(lambda: has_come("drill.started"), "for the drill to begin")
    text = dashboard.get("/drills").text
    assert ("running</span>" in text, "by hand" in text) == (True, True)
    assert dashboard.post("/drills/stop").status_code == 303
    wait_until(lambda: has_come("drill.concluded"), "for its end", seconds=60)
    assert 'class="running"' not in dashboard.get("/drills").text


def test_a_set_that_could_not_be_held_is_told(dashboard: Dashboard) -> None:
    dashboard.app.bus.emit("drill.concluded", session="drills-2", exit_code=2, message="expected a folder, got none")
    wait_until(lambda: "expected a folder, got none" in dashboard.get("/drills").text, "for the page to say it")


def test_a_job_is_begun_on_the_page_and_what_it_said_stands_there(dashboard: Dashboard) -> None:
    answer = dashboard.post("/maintenance/run", job="contacts-test")
    assert answer.headers["location"] == "/maintenance?done=job-begun"
    records = MaintenanceRecords(dashboard.app.database)
    wait_until(lambda: records.list_runs("contacts-test")[0].outcome.value == "succeeded", "for the job")
    assert "sent to" in dashboard.get("/maintenance").text
    assert dashboard.post("/maintenance/run", job="poetry").status_code == 404
    dashboard.principal = Principal("rae", Role.RESPONDER)
    assert dashboard.post("/maintenance/run", job="backup").status_code == 403


def test_maintenance_shows_jobs_backups_and_reports(dashboard: Dashboard) -> None:
    text = dashboard.get("/maintenance").text
    assert "restore the newest backup into a scratch database" in text
    assert "not tested" in text
    assert 'href="/maintenance/reports/daily-digest-2026-03-02"' in text


def test_a_report_is_rendered_and_no_other_file_is_reached(dashboard: Dashboard) -> None:
    text = dashboard.get("/maintenance/reports/daily-digest-2026-03-02").text
    assert "<h1>The night, 2026-03-02</h1>" in text
    assert "<td>timeout</td>" in text
    for name in ("nothing", "..%2f..%2f.env", "%2e%2e"):
        assert dashboard.get(f"/maintenance/reports/{name}").status_code == 404


def test_a_restore_is_rehearsed_and_the_backup_says_so(dashboard: Dashboard) -> None:
    answer = dashboard.post("/maintenance/rehearse")
    assert answer.headers["location"] == "/maintenance?done=rehearsed"
    wait_until(lambda: "not tested" not in dashboard.get("/maintenance").text, "for the sign of it")


def test_a_duty_is_signed_off_once_with_a_note_by_an_operator(dashboard: Dashboard) -> None:
    records = MaintenanceRecords(dashboard.app.database)
    dashboard.principal = Principal("rae", Role.RESPONDER)
    assert dashboard.post("/maintenance/sign-off", duty="contacts", note="all right").status_code == 403
    dashboard.principal = Principal("ola", Role.OPERATOR)
    assert SIGN_OFFS["contacts"] in dashboard.get("/maintenance").text
    assert dashboard.post("/maintenance/sign-off", duty="contacts", note=" ").status_code == 422
    answer = dashboard.post("/maintenance/sign-off", duty="contacts", note="each was reached")
    assert answer.headers["location"] == "/maintenance?done=signed"
    assert [(one.signed_by, one.note) for one in records.list_sign_offs()] == [("ola", "each was reached")]
    assert dashboard.post("/maintenance/sign-off", duty="contacts", note="again").status_code == 409
    assert dashboard.post("/maintenance/sign-off", duty="poetry", note="n").status_code == 404


def test_the_audit_trail_is_for_admins_and_so_is_its_place_in_the_menu(dashboard: Dashboard) -> None:
    assert 'href="/audit"' in dashboard.get("/runs").text
    dashboard.principal = Principal("ola", Role.OPERATOR)
    assert dashboard.get("/audit").status_code == 403
    assert 'href="/audit"' not in dashboard.get("/runs").text


def test_the_audit_trail_is_read_page_by_page_and_by_who_did_it(dashboard: Dashboard) -> None:
    app = dashboard.app
    trail = AuditTrail(AuditTable(app.database), app.bus, app.clock, app.redactor.data)
    for number in range(60):
        trail.write("cleo", f"POST /number/{number}", "done", {})
    text = dashboard.get("/audit?actor=cleo").text
    assert "POST /number/59" in text
    assert "POST /number/9<" not in text
    assert "/cancel" not in text
    last = trail.table.list(actor="cleo", limit=50)[-1].sequence
    assert f"before={last}&amp;actor=cleo" in text
    assert "POST /number/9<" in dashboard.get(f"/audit?before={last}&actor=cleo").text
    assert dashboard.get("/audit?before=x").status_code == 422


def test_a_line_of_the_audit_trail_that_was_changed_is_named(dashboard: Dashboard) -> None:
    assert "verified" in dashboard.get("/audit").text
    with dashboard.app.database.write() as connection:
        connection.execute(sa.update(audit).where(audit.c.sequence == 2).values(actor="nobody"))
    assert "Entry 2 was changed or removed" in dashboard.get("/audit").text
    with dashboard.app.database.write() as connection:
        connection.execute(sa.update(audit).where(audit.c.sequence == 2).values(actor="ben"))


def test_the_figures_are_compared_lead_to_their_incidents_and_leave_as_a_file(
    dashboard: Dashboard, run: Run, incidents: dict[str, Incident]
) -> None:
    assert run.id
    text = dashboard.get("/figures", params={"range": "7 d"}).text
    assert 'href="/incidents?range=7%20d"' in text
    assert "in the 7 d before" in text
    assert "its quota is used up" in text, "the likeliest cause"
    for name in ("planner", "ollama/small"):
        assert name in text
    assert 'href="/usage?range=7%20d&amp;agent=planner"' in text
    assert 'href="/usage?range=7%20d&amp;provider=ollama&amp;model=small"' in text
    cause = text.partition('id="causes"')[2]
    assert f'href="/incidents/{incidents["taken"].id}"' in cause.partition("</section>")[0]
    for address in set(re.findall(r'href="(/(?:incidents|usage|playbooks)[^"]*)"', text)):
        assert dashboard.get(unescape(address)).status_code == 200, address
    file = dashboard.get("/figures.csv", params={"range": "7 d"})
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    rows = [line.split(",") for line in file.text.splitlines()]
    assert rows[0][:4] == ["by", "group", "incidents", "measure"]
    assert {row[0] for row in rows[1:]} == {"all", "severity", "scenario", "month"}
    assert dashboard.get("/figures", params={"scenario": "poetry"}).status_code == 422
    assert dashboard.get("/incidents", params={"range": "7 d"}).status_code == 200


def test_alerts_lead_to_their_incident_and_back(dashboard: Dashboard, incidents: dict[str, Incident]) -> None:
    found = incidents["taken"]
    text = dashboard.get("/alerts", params={"incident": found.id}).text
    assert f'Of <a href="/incidents/{found.id}">' in text
    assert dashboard.get("/alerts", params={"incident": "inc-nowhere"}).status_code == 404


def test_people_are_shown_with_their_channels_and_can_be_sent_a_test(dashboard: Dashboard) -> None:
    text = dashboard.get("/on-call").text
    assert "Send a test<span" in text
    known = {row.key for row in Outbox(dashboard.app.database).list_pending()}
    assert dashboard.post("/on-call/test", contact="ben").headers["location"] == "/on-call?done=test-sent"
    rows = [one for one in Outbox(dashboard.app.database).list_pending() if one.key not in known]
    assert {(row.contact, row.channel) for row in rows} == {("ben", "log")}
    assert dashboard.post("/on-call/test", contact="nobody").status_code == 404
    assert dashboard.get("/on-call", params={"person": "ben"}).status_code == 200

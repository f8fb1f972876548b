from __future__ import annotations

import re

import pytest
from sqlalchemy.exc import OperationalError

from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.incidents.model import Incident
from orchestration.incidents.report import Facts
from orchestration.security.principal import Principal, Role
from orchestration.storage.runs import Run
from orchestration.storage.timeline import Timeline
from tests.support.dashboard import Dashboard
from tests.support.dashboard_records import declare, finished_run
from tests.support.work_in_progress import a_run_at_work

PAGES = (
    "/", "/runs", "/incidents", "/alerts", "/on-call", "/providers", "/playbooks", "/playbooks/provider-unavailable",
    "/drills",
    "/maintenance", "/maintenance/reports/daily-digest-2026-03-02", "/resources", "/figures", "/configuration",
    "/audit", "/usage", "/usage/calls",
)  # fmt: skip


@pytest.fixture(autouse=True)
def filled(incidents: dict[str, Incident], run: Run) -> None:
    """Every test here looks at pages that show something."""


@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_the_menu_is_there_and_nobody_keeps_it(dashboard: Dashboard, path: str) -> None:
    answer = dashboard.get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert 'aria-current="page"' in answer.text


def test_pages_hold_no_script_and_no_style_of_their_own(dashboard: Dashboard, run: Run) -> None:
    for path in (*PAGES, f"/runs/{run.id}"):
        text = dashboard.get(path).text
        assert "<style" not in text
        assert " style=" not in text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"\son[a-z]+=", text)
        addresses = re.findall(r'(?:src|href|action)="([^"]*)"', text)
        assert all(re.match(r"#|/(?!/)", address) for address in addresses)


def test_a_page_that_is_not_there_says_what_was_asked_for(dashboard: Dashboard) -> None:
    answer = dashboard.get("/runs/run-nowhere")
    assert answer.status_code == 404
    assert "run-nowhere" in answer.text
    assert dashboard.get("/incidents/inc-nowhere").status_code == 404


def test_what_people_and_models_write_is_shown_and_never_obeyed(dashboard: Dashboard) -> None:
    declare(dashboard.app, "xss", '<script>alert("x")</script>', Facts(), summary="<img src=x onerror=alert(1)>")
    text = dashboard.get("/incidents").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_the_overview_says_what_needs_somebody_the_worst_first(dashboard: Dashboard) -> None:
    text = dashboard.get("/").text
    assert "items need attention" in text
    assert text.index("P0: the database does not answer") < text.index("No control process is running")


def test_the_overview_counts_all_runs_under_way_and_shows_the_newest(dashboard: Dashboard) -> None:
    now = dashboard.app.clock.now()
    for number in range(70):
        stopped = Run(f"run-stopped{number}", "g", "/tmp", now, RunStatus.STOPPED, "its worker was stopped")
        dashboard.app.runs.add(stopped)
    text = dashboard.get("/").text
    assert "70 unfinished runs" in text
    assert "Show all 70" in text


def test_an_incident_that_somebody_has_needs_nobody_else(dashboard: Dashboard) -> None:
    needs = dashboard.get("/").text.partition("Open incidents")[0]
    assert "the executor fails repeatedly" not in needs


def test_rehearsals_and_drills_are_labelled_wherever_they_show(dashboard: Dashboard) -> None:
    rehearsed = Run(
        id="run-rehearsed", goal="g", workspace="/tmp", created_at=dashboard.app.clock.now(),
        status=RunStatus.SUCCEEDED, outcome={"use": {"rehearsal": True, "tokens": 3, "usd": 0.0}},
    )  # fmt: skip
    dashboard.app.runs.add(rehearsed)
    for path in ("/", "/runs", "/runs/run-rehearsed", "/providers"):
        assert ">rehearsal</span>" in dashboard.get(path).text, path
    assert ">drill</span>" in dashboard.get("/incidents").text


def test_a_run_at_work_shows_what_is_heard_for_how_long_and_its_plan(dashboard: Dashboard) -> None:
    at_work = a_run_at_work(dashboard.app, "run-at-work")
    text = dashboard.get(f"/runs/{at_work.id}").text
    assert "a/m answers: 100 tokens" in text
    assert re.search(r"data-elapsed>3\d s<", text)
    assert "Now I count &lt;b&gt;to&lt;/b&gt;\ntwo." in text
    assert '<progress value="1" max="3"' in text
    assert "1 of 3 steps done" in text
    dashboard.app.runs.set_status(at_work.id, RunStatus.CANCELLED)
    assert "a/m answers" not in dashboard.get(f"/runs/{at_work.id}").text


def test_a_run_is_shown_with_its_calls_their_retries_fallbacks_tokens_and_money(dashboard: Dashboard, run: Run) -> None:
    text = dashboard.get(f"/runs/{run.id}").text
    assert text.count("1 retry, fallback") == 2
    tries = dashboard.get(f"/runs/{run.id}/calls/planner/0").text
    assert "ollama/small: " in tries
    assert "rate limited</span> status 429" in tries
    assert "700 prompt, 200 completion" in text
    assert "3,600" in text
    assert "$0.0200" in text


def test_long_runs_are_shown_a_part_at_a_time(dashboard: Dashboard) -> None:
    long = finished_run(dashboard.app, 77, calls=400)
    text = dashboard.get(f"/runs/{long.id}").text
    assert text.count('class="call"') == 99
    earlier = re.search(r"\?before=(\d+)", text)
    assert earlier
    assert dashboard.get(f"/runs/{long.id}?before={earlier[1]}").text.count('class="call"') == 100


def test_the_list_of_runs_is_filtered_and_turned_over(dashboard: Dashboard) -> None:
    for number in range(200, 260):
        finished_run(dashboard.app, number, calls=0)
    first = dashboard.get("/runs?status=succeeded").text
    older = re.search(r'before=([^"]+)">Older', first)
    assert older
    shown, rest = (set(re.findall(r'id="row-([^"]+)"', text)) for text in (
        first, dashboard.get(f"/runs?status=succeeded&before={older[1]}").text,
    ))  # fmt: skip
    assert len(shown) == 50
    assert rest
    assert not shown & rest
    assert dashboard.get("/runs?status=nonsense").status_code == 422


@pytest.mark.parametrize("number", ["9" * 40, "9" * 5000, "-1", "٣", "x"])
def test_a_number_in_an_address_that_means_nothing_is_passed_over(dashboard: Dashboard, run: Run, number: str) -> None:
    assert dashboard.get(f"/runs/{run.id}", params={"before": number}).status_code == 200
    assert dashboard.get("/configuration", params={"from": number}).status_code == 200
    assert dashboard.post("/runs/any/fork", number=number).status_code in (404, 422)


def test_a_word_of_what_was_done_cannot_be_put_into_our_mouth(dashboard: Dashboard) -> None:
    assert "Incident acknowledged" in dashboard.get("/incidents?done=acknowledged").text
    assert "wire money" not in dashboard.get("/incidents?done=wire+money+now").text


def test_an_artifact_is_handed_out_as_text_that_no_browser_takes_for_a_page(dashboard: Dashboard, run: Run) -> None:
    events: list[Event] = []
    dashboard.app.bus.subscribe(events.append)
    dashboard.app.artifacts.write(run.id, "plan.html", "<script>alert(1)</script>", "planner")
    answer = dashboard.get(f"/runs/{run.id}/artifacts/plan.html")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert dashboard.get(f"/runs/{run.id}/artifacts/..%2f..%2f.env").status_code == 404
    assert dashboard.get(f"/runs/{run.id}/artifacts/other.md").status_code == 404
    read = [(event.run_id, event.actor, event.data["name"]) for event in events if event.kind == "artifact.read"]
    assert read == [(run.id, "ada", "plan.html")]


def test_a_changed_artifact_is_told_apart(dashboard: Dashboard, run: Run) -> None:
    dashboard.app.artifacts.write(run.id, "kept.md", "as it was", "planner")
    dashboard.app.artifacts.write(run.id, "spoilt.md", "as it was", "planner")
    dashboard.app.artifacts.path(run.id, "spoilt.md").write_text("otherwise")
    text = dashboard.get(f"/runs/{run.id}").text
    assert ">unchanged</span>" in text
    assert ">changed</span>" in text


def test_the_plots_have_tables_behind_them(dashboard: Dashboard) -> None:
    text = dashboard.get("/resources").text
    assert 'id="plot-cpu_percent"' in text
    assert text.count("data-x=") > 100
    assert "No measurements" in text
    assert dashboard.get("/resources?range=1y").status_code == 422


def test_the_configuration_shows_differences_and_no_secret(dashboard: Dashboard) -> None:
    text = dashboard.get("/configuration").text
    assert "Current configuration" in text
    assert dashboard.get("/configuration?from=999&to=1").status_code == 404


def test_whoever_is_not_signed_in_sees_nothing(dashboard: Dashboard, run: Run) -> None:
    dashboard.principal = None
    for path in (*PAGES, f"/runs/{run.id}", "/stream", f"/runs/{run.id}/artifacts/plan.html"):
        answer = dashboard.get(path)
        assert answer.status_code == 401
        assert run.goal not in answer.text


def test_a_token_for_one_area_opens_no_other(dashboard: Dashboard) -> None:
    dashboard.principal = Principal("bot", Role.ADMIN, frozenset({"runs"}))
    assert dashboard.get("/runs").status_code == 200
    assert dashboard.get("/incidents").status_code == 403


def test_a_viewer_is_offered_nothing_that_is_refused(dashboard: Dashboard, incidents: dict[str, Incident]) -> None:
    dashboard.principal = Principal("eve", Role.VIEWER)
    text = dashboard.get(f"/incidents/{incidents['worst'].id}").text
    buttons = [one for one in re.findall(r"<button[^>]*>", text) if "data-copy" not in one]
    assert buttons
    assert all("disabled" in button for button in buttons)


def test_without_the_database_a_page_says_so(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Timeline) -> int:
        raise OperationalError("SELECT", {}, Exception("away"))

    monkeypatch.setattr(Timeline, "last_sequence", fail)
    answer = dashboard.get("/")
    assert answer.status_code == 503
    assert "The database is not available" in answer.text


def test_files_may_be_kept_because_their_address_changes_with_them(dashboard: Dashboard) -> None:
    address = re.search(r"/static/dashboard\.css\?v=\w{12}", dashboard.get("/").text)
    assert address
    answer = dashboard.get(address[0])
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/css")

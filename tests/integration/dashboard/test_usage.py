"""The usage page: a period in the address, figures that lead to their calls, files, and how budgets stand."""

from __future__ import annotations

import csv
import json
import re
from datetime import timedelta

import pytest
from click.testing import CliRunner

from orchestration.cli import cli
from orchestration.security.access import AccessControl
from orchestration.security.principal import Role
from orchestration.storage.charge import Charge
from orchestration.storage.runs import Run
from orchestration.storage.spend import Spend
from tests.support.dashboard import Dashboard


@pytest.fixture(scope="module")
def token(served: Dashboard, run: Run) -> str:
    """A client whose calls cost something, one of which was refused."""
    app = served.app
    access = AccessControl(app.database, app.bus, app.clock)
    limits = {"daily_usd": 2.0, "soft_percent": 50.0, "monthly_tokens": 10_000}
    _, made = access.add_token("ci-bot", Role.OPERATOR, actor="ada", scopes=["gateway"], limits=limits, team="red")
    now = app.clock.now()
    for number, outcome in enumerate(("ok", "ok", "budget")):
        used = (400, 100, 0.75) if outcome == "ok" else (0, 0, None)
        Spend(app.database).add(
            Charge(
                f"call-{number}", None, f"client:{made.id}", "ollama", "=small", *used,
                now - timedelta(seconds=number), "red", outcome, 300 if outcome == "ok" else 0, 0, 40,
            )
        )  # fmt: skip
    return made.id


def test_figures_lead_to_their_calls_and_those_to_their_runs(dashboard: Dashboard, token: str, run: Run) -> None:
    text = dashboard.get("/usage?range=7%20d").text
    address = re.search(rf'/usage/calls\?([^"]*key={token}[^"]*)">3<', text)
    assert address
    assert f"key={token}" in text
    calls = dashboard.get(f"/usage/calls?{address[1].replace('&amp;', '&')}").text
    assert calls.count("ci-bot") >= 3
    refused = re.search(rf'/usage/calls\?([^"]*outcome=refused[^"]*key={token}[^"]*)">1<', text)
    assert refused
    shown = dashboard.get(f"/usage/calls?{refused[1].replace('&amp;', '&')}").text
    assert "Refused calls" in shown
    assert shown.count("ci-bot") == 2, "in the one row, and in what the page is about"
    planner = dashboard.get("/usage/calls?agent=planner").text
    assert f'href="/runs/{run.id}"' in planner


def test_the_period_and_what_it_is_about_are_in_the_address(dashboard: Dashboard, token: str) -> None:
    today = f"{dashboard.app.clock.now():%Y-%m-%d}"
    text = dashboard.get(f"/usage?first={today}&last={today}&team=red").text
    assert "$1.50" in text
    assert "ci-bot" in text
    assert "Nothing was used in this time" in dashboard.get("/usage?first=2020-01-01&last=2020-01-31").text
    for wrong in ("first=yesterday", "first=2026-03-02&last=2026-03-01", "first=0001-01-01&last=9999-12-31"):
        assert dashboard.get(f"/usage?{wrong}").status_code == 422
    assert dashboard.get("/usage/calls?before=now").status_code == 422
    assert dashboard.get("/usage?key=nobody%27%3Cb%3E").status_code == 200


def test_budgets_say_what_is_left(dashboard: Dashboard, token: str) -> None:
    text = dashboard.get("/usage").text
    rows = [re.sub(r"<[^>]*>", "|", row) for row in re.findall(r"<tr>.*?</tr>", text, re.DOTALL) if "key ci-bot" in row]
    assert len(rows) == 2
    assert any("over soft limit" in row and "$1.50" in row and "$0.50" in row for row in rows)
    assert any("within" in row and "9,000" in row for row in rows)


def test_the_figures_leave_as_files_that_a_spreadsheet_takes_for_text(dashboard: Dashboard, token: str) -> None:
    today = f"{dashboard.app.clock.now():%Y-%m-%d}"
    answer = dashboard.get(f"/usage.csv?first={today}&last={today}&key={token}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(answer.text.splitlines()))
    (key,) = [row for row in rows if row["by"] == "key"]
    assert (key["name"], key["requests"], key["refused"], key["prompt_tokens"]) == ("ci-bot", "3", "1", "800")
    assert (key["cached_tokens"], key["usd"], key["first_day"]) == ("600", "1.5", today)
    assert not any(value.startswith(("=", "+", "@")) for row in rows for value in row.values())
    found = dashboard.get(f"/usage.json?key={token}").json()
    assert found["total"]["requests"] == 3
    assert found["groups"]["team"][0]["name"] == "red"
    dashboard.principal = None
    assert dashboard.get("/usage.csv").status_code == 401


def test_the_console_shows_the_same(served: Dashboard, token: str) -> None:
    def console(*arguments: str) -> str:
        command = ["--config", str(served.app.config_file), "usage", *arguments]
        result = CliRunner().invoke(cli, command, standalone_mode=False)
        assert result.exception is None, result.exception
        return result.stdout

    shown = console("--team", "red", "--since", "2d")
    assert "3 requests, 1,000 tokens, $1.50" in shown
    assert "ci-bot" in shown
    states = {(one["owner"], one["period"]): one for one in json.loads(console("--budgets", "--json"))}
    assert states["key ci-bot", "day"]["used_usd"] == 1.5
    assert "ci-bot" in console("--budgets")
    assert f"key,{token},ci-bot,3,1" in console("--csv", "--key", token)

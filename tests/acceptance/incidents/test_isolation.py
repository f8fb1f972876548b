"""A stranger's alert reaches people and touches nothing; and an isolated system can still be looked after."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from orchestration.client import Client, ConflictError, RefusedError
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.note import AddNote
from tests.acceptance.incidents.conftest import Watch
from tests.support.patience import patient
from tests.support.project import Command, wait_until
from tests.support.watched import Watched

STRANGER = {
    "name": "Ext",
    "severity": "critical",
    "scenario": "security-alert",
    "labels": {"host": "web-9", "agent": "planner", "run": "latest", "provider": "first"},
    "links": {"runbook_url": "https://wiki.example/ext"},
}
PAGES = ("/", "/incidents", "/runs", "/alerts", "/providers", "/configuration", "/isolation", "/incidents/inc-none")


class Site:
    """The server of a watched project, seen from outside."""

    def __init__(self, project: Watched, serve: Command) -> None:
        self.project = project
        wait_until(lambda: "dashboard and API: " in serve.output, "for the address")
        self.url = re.findall(r"dashboard and API: (\S+)", serve.output)[-1]

    def token(self, role: str) -> str:
        return self.project.call("tokens", "create", f"for-{role}", "--role", role, "--expires", "1d").split()[0]

    def alert(self, **values: Any) -> None:
        headers = {"Authorization": "Bearer intake"}
        sent = httpx2.post(
            f"{self.url}/api/v1/intake/webhook", json={**STRANGER, **values}, headers=headers, timeout=patient(30)
        )
        assert sent.status_code == 200, sent.text

    def get(self, path: str, token: str = "") -> httpx2.Response:
        return httpx2.get(
            self.url + path, headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=patient(30)
        )


def a_served(project: Watched) -> Site:
    return Site(project, project.serve(workers=0))


def outcomes(project: Watched) -> list[tuple[str, str]]:
    return [tuple(row) for row in project.rows("SELECT playbook, state FROM playbook_runs")]


@pytest.mark.timeout(240)
def test_a_stranger_isolates_nothing_and_an_isolated_system_is_looked_after(watch: Watch, tmp_path: Path) -> None:
    automated = {"alerting": {"intake": {"tokenEnv": "INTAKE_TOKEN"}}, "automation": {"enabled": True}}
    with watch(**automated) as project:
        project.write_env(INTAKE_TOKEN="intake")
        site = a_served(project)
        site.alert()
        # Whatever it claims, the alert is of another system: it is handed over, with its runbook, and stays open.
        assert project.wait_for_incident()[:2] == ("external-alert", "P0")
        wait_until(lambda: ("external-alert", "handed-over") in outcomes(project), f"for it; {outcomes(project)}")
        wait_until(lambda: project.mails("INCIDENT"), "for the mail")
        assert "runbook: https://wiki.example/ext" in project.mails("INCIDENT")[0].get_content()
        assert project.rows("SELECT COUNT(*) FROM overrides") == [(0,)]
        (incident,) = project.call_json("incidents", "list")
        shown = project.call("incidents", "show", incident["id"])
        assert "likely causes" not in shown
        assert not shown.startswith("The system is isolated")
        assert not incident["status"].startswith("resolved")

        admin = site.token("admin")
        with Client(site.url, admin) as client:
            with Client(site.url, site.token("operator")) as operator, pytest.raises(RefusedError):
                operator.isolate("I may not")
            with Client(site.url, "nobody-s-token") as nobody, pytest.raises(RefusedError):
                nobody.isolate("nobody knows me")
            assert client.isolate("a breach is suspected", incident["id"])["changed"]
            assert not client.isolate("once more")["changed"]
            check_surfaces(site, admin, incident["id"])
            # Looking after incidents goes on; work does not start.
            assert client.execute(incident["id"], Acknowledge()).acknowledged_by == "for-admin"
            client.execute(incident["id"], AddNote("looking at web-9"))
            for refused in (
                lambda: client.start_run("make it better", str(project.root)),
                lambda: client.send("POST", "/providers/first/probe", {}),
                lambda: client.begin_drills("secret-in-artifact"),
            ):
                with pytest.raises(ConflictError, match=r"isolated since .* by for-admin .*a breach .*isolate off"):
                    refused()
            body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
            headers = {"Authorization": f"Bearer {admin}"}
            answer = httpx2.post(f"{site.url}/v1/chat/completions", json=body, headers=headers, timeout=patient(30))
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "isolated")
            # It survives the process, and only a person with a reason ends it.
            project.close()
            site = a_served(project)
            assert site.get("/readyz").json()["isolated"]
        assert "takes a reason" in refusal(site, admin)
        lifted = project.call("isolate", "off", "--reason", "web-9 was rebuilt")
        assert lifted == "The isolation is lifted.\n"
        wait_until(lambda: "isolated" not in site.get("/readyz").json(), "for the server to know")
        kinds = [
            kind for (kind,) in project.rows("SELECT kind FROM events WHERE kind LIKE 'isolation.%' ORDER BY sequence")
        ]
        assert kinds == ["isolation.started", "isolation.lifted"]
        notices = ["[REPORT] The system was isolated", "[REPORT] The isolation of the system was lifted"]
        wait_until(lambda: len(project.mails("REPORT")) >= 8, "for everybody to be notified of both")
        assert all(any(str(mail["Subject"]).startswith(one) for mail in project.mails("REPORT")) for one in notices)
        assert "web-9 was rebuilt" in project.call("incidents", "show", incident["id"])
        site.alert(status="resolved")
        wait_until(lambda: project.incidents()[0][2] == "resolved", f"for its end; {project.incidents()}")


def check_surfaces(site: Site, token: str, incident: str) -> None:
    """Every status surface begins with the isolation."""
    sentence = re.compile(r"The system is isolated since .* UTC, by for-admin \(inc-\S+\): a breach is suspected")
    lines = {
        "status": site.project.call("status"),
        "isolate status": site.project.call("isolate", "status"),
        "incidents show": site.project.call("incidents", "show", incident),
    }
    for name, text in lines.items():
        assert sentence.match(text), (name, text)
    assert sentence.search(site.project.call("doctor", code=1).splitlines()[0])
    for path in ("/readyz", "/healthz"):
        assert next(iter(site.get(path).json())) == "isolated"
    for path in PAGES:
        page = site.get(path, token).text
        # The banner comes before the header, on pages of errors as well.
        assert sentence.search(page.partition('<header class="top">')[0]), path
    state = site.get("/api/v1/status", token).json()
    assert next(iter(state)) == "isolation"
    assert sentence.match(state["isolation"]["summary"])
    assert "orchestration_isolated 1.0" in site.get("/metrics", token).text


def refusal(site: Site, token: str) -> str:
    """What the API says to ending the override without a reason."""
    headers = {"Authorization": f"Bearer {token}"}
    (override,) = site.get("/api/v1/overrides", token).json()
    answer = httpx2.delete(f"{site.url}/api/v1/overrides/{override['id']}", headers=headers, timeout=patient(30))
    assert answer.status_code == 409, answer.text
    return str(answer.json()["detail"])

"""The tickets of an incident are made by the running system, and shown wherever the incident is."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from orchestration.domain.severity import Severity
from orchestration.incidents.commands.action_items import AddActionItem
from orchestration.incidents.commands.declaration import Declare
from orchestration.incidents.model import person
from tests.support.patience import until
from tests.support.ticket_servers import GithubServer, TicketServer, ticket_server
from tests.support.web import a_web_server


def response_to(github: TicketServer) -> dict[str, Any]:
    return {
        "channels": {"issues": {**github.settings(), "tokenEnv": "TICKETS", "perSecond": 100}},
        "contacts": [
            {"id": "ada", "level": 1, "channels": [{"channel": "log"}]},
            {"id": "tickets", "channels": [{"channel": "issues", "address": github.address}]},
        ],
        "audience": {"P3": ["tickets"]},
        "actionItems": ["tickets"],
    }


def test_tickets_are_shown_by_api_page_and_console(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / ".env").write_text(f"TICKETS={GithubServer().token}\n")
    with (
        ticket_server(GithubServer) as github,
        a_web_server(tmp_path / "project", settings={"response": response_to(github)}) as server,
    ):
        service, client = server.app.incident_service, server.client()
        incident = service.declare("ada", Declare("a gap in the handbook", severity=Severity.P3))
        service.execute(incident.id, person("ada"), AddActionItem("fill the gap", "grace", date(2026, 12, 24)))

        def tickets() -> Any:
            return client.get(f"/api/v1/incidents/{incident.id}").json()["tickets"]

        shown = until(lambda: found if len(found := tickets()) == 2 else None, 60, "there are no tickets")
        assert [(one["channel"], one["item"]) for one in shown] == [("issues", None), ("issues", 1)]
        addresses = [f"{github.url}/acme/shop/issues/{number}" for number in (1, 2)]
        assert [one["url"] for one in shown] == addresses
        page = client.get(f"/incidents/{incident.id}").text
        said = server.project.call("incidents", "show", incident.id).out
        assert all(f'href="{one}"' in page for one in addresses)
        assert all(one in said for one in addresses)

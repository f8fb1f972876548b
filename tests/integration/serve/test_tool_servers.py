"""A server of tools that does not work is an incident, which its playbook ends when it works again."""

from __future__ import annotations

import json
from pathlib import Path

from orchestration.events.tools import ToolServerFailed, ToolServerRecovered
from tests.support.patience import until
from tests.support.web import RunningWebServer, a_web_server


def the_incident(server: RunningWebServer) -> dict[str, str]:
    """The first incident of a server of tools; empty if there is none yet."""
    found = server.client().get("/api/v1/incidents").json()["items"]
    return next((one for one in found if "tool server" in one["title"]), {})


def test_a_server_that_is_down_opens_an_incident_and_its_playbook_sees_it_come_back(tmp_path: Path) -> None:
    with a_web_server(tmp_path / "project") as server:
        settings = json.loads(server.project.file.read_text())
        settings["mcpServers"] = {"tickets": {"command": ["false"]}}
        settings["agents"][0]["tools"] = ["tickets__*"]
        settings["alerting"] = {"rules": {"tool-server-down": {"hold": 1, "keepFiring": 1}}}
        server.project.file.write_text(json.dumps(settings))
        until(lambda: server.app.configuration.mcp_servers, 30, "the configuration was not read")
        server.portal.call(server.app.bus.publish, ToolServerFailed("tickets", "it has ended"))
        found = until(lambda: the_incident(server), 60, "there is no incident")
        assert (found["title"], found["scenario"]) == ("The tool server tickets does not work", "control-plane")
        details = server.client().get(f"/api/v1/incidents/{found['id']}").json()
        assert "it has ended" in json.dumps(details)
        server.portal.call(server.app.bus.publish, ToolServerRecovered("tickets"))
        until(lambda: the_incident(server)["status"] == "resolved", 90, "the incident was not resolved")

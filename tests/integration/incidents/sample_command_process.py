"""A process in which the package of commands has one more module: `sample_command_process.py FOLDER MODULE_FOLDER`.

Prints, as JSON, what each surface makes of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from orchestration.incidents import commands

commands.__path__.append(sys.argv[2])  # before anything reads the table

from click.testing import CliRunner  # noqa: E402

from orchestration.cli import cli  # noqa: E402
from orchestration.client import Client  # noqa: E402
from orchestration.incidents.commands.table import COMMANDS  # noqa: E402
from orchestration.security.principal import Role  # noqa: E402
from tests.support.incidents import a_report  # noqa: E402
from tests.support.web import a_web_server  # noqa: E402


def main(folder: Path) -> None:
    with a_web_server(folder / "project") as server:
        incident = server.app.incident_service.open_or_join(a_report(at=server.app.clock.now())).id
        token = server.token(Role.ADMIN)
        with Client(server.url, token) as client:
            bookmark: Any = COMMANDS["Bookmark"]
            client.execute(incident, bookmark(page="one"))
        there = CliRunner(env={"ORCHESTRATOR_TOKEN": token})
        there.invoke(cli, ["--server", server.url, "incidents", "bookmark", incident, "two"], catch_exceptions=False)
        here = ["--config", str(server.project.file), "incidents", "bookmark", incident, "three"]
        CliRunner().invoke(cli, here, catch_exceptions=False)
        web = server.client()
        web.post(f"/incidents/{incident}/bookmark", data={"page": "four"})
        page = web.get(f"/incidents/{incident}?done=bookmarked").text
        entries = server.app.incident_service.records.entries(incident)
        found = {
            "marked": [entry.data["page"] for entry in entries if entry.kind == "bookmarked"],
            "operation": web.get("/api/v1/openapi.json").json()["paths"]["/incidents/{incident}/bookmark"]["post"],
            "form": f'action="/incidents/{incident}/bookmark"' in page,
            "confirmation": "The page is marked." in page,
        }
    print(json.dumps(found))


main(Path(sys.argv[1]))

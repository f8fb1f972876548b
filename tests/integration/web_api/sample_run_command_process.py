"""A process in which the package of run commands has one more module: `sample_run_command_process.py FOLDER MODULES`.

Prints, as JSON, what each surface makes of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from orchestration.runs import commands

commands.__path__.append(sys.argv[2])  # before anything reads the table

from click.testing import CliRunner  # noqa: E402

from orchestration.cli import cli  # noqa: E402
from orchestration.client import Client  # noqa: E402
from orchestration.runs.commands.table import RUN_COMMANDS  # noqa: E402
from orchestration.security.principal import Role  # noqa: E402
from orchestration.storage.runs import Run  # noqa: E402
from tests.support.web import a_web_server  # noqa: E402


def main(folder: Path) -> None:
    with a_web_server(folder / "project") as server:
        run = Run("run-sample", "a goal", str(folder), server.app.clock.now())
        server.app.runs.add(run)
        token = server.token(Role.ADMIN)
        reasons = []

        def read_reason() -> None:
            reasons.append(server.app.runs.get(run.id).reason)

        with Client(server.url, token) as client:
            park: Any = RUN_COMMANDS["ParkRun"]
            client.execute_on_run(run.id, park("one"))
        read_reason()
        there = CliRunner(env={"ORCHESTRATOR_TOKEN": token})
        arguments = ["--server", server.url, "runs", "park", run.id, "--where", "two"]
        there.invoke(cli, arguments, catch_exceptions=False)
        read_reason()
        web = server.client()
        web.post(f"/runs/{run.id}/park", data={"where": "three"})
        read_reason()
        page = web.get(f"/runs/{run.id}?done=run-parked").text
        shown = CliRunner().invoke(cli, ["--config", str(server.project.file), "runs", "park", "--help"])
        found = {
            "reasons": reasons,
            "operation": web.get("/api/v1/openapi.json").json()["paths"]["/runs/{run}/park"]["post"],
            "form": f'action="/runs/{run.id}/park"' in page,
            "confirmation": "The run is parked." in page,
            "console": shown.output,
        }
    print(json.dumps(found))


main(Path(sys.argv[1]))

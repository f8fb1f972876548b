from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from orchestration.storage.database import Database
from orchestration.storage.route_states import RouteStates
from tests.support.console import ConsoleProject, wait_for_line
from tests.support.patience import patient


@contextmanager
def server(code: int, together: threading.Barrier | None = None) -> Iterator[str]:
    """A provider that answers every probe with this status, once as many have been asked as `together` waits for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if together is not None:
                together.wait(patient(20))
            body = b'{"data": []}'
            self.send_response(code)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        thread = threading.Thread(target=one.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{one.server_port}/v1"
        one.shutdown()
        thread.join()


def checks(project: ConsoleProject) -> dict[str, dict[str, str]]:
    return {one["subject"]: one for one in project.call("doctor", "--json").json()["checks"]}


def test_a_project_in_order_passes_and_nothing_is_made(project: ConsoleProject) -> None:
    project.document["runtime"]["ollama"]["enabled"] = False
    project.write()
    answer = project.call("doctor")
    assert (answer.code, answer.out.rstrip().splitlines()[-1]) == (0, "0 problems, 1 warnings"), answer
    assert sorted(path.name for path in project.root.iterdir()) == ["config", "work"]
    found = checks(project)
    assert "never audited" in found["advisories"]["found"], "nothing was fetched for a new project"
    assert all(one["health"] == "ok" for subject, one in found.items() if subject != "advisories")


def test_providers_are_asked_at_once_and_each_failure_says_what_to_do(project: ConsoleProject) -> None:
    both = threading.Barrier(2)  # one after the other would be waited for in vain
    with (
        server(200) as good,
        server(401) as locked,
        server(410) as gone,
        server(200, both) as slow,
        server(200, both) as slower,
    ):
        runtime = project.document["runtime"]
        for name, address in {"good": good, "locked": locked, "gone": gone, "slow": slow, "slower": slower}.items():
            runtime[name] = {"type": "openai", "baseUrl": address, "defaultModel": "m"}
        runtime["locked"]["apiKeyEnv"] = "LOCKED_KEY"
        runtime |= {"defaultProvider": "gone", "fallbackProviders": ["good", "slow"]}
        (project.root / ".env").write_text("LOCKED_KEY=swordfish-2000\n", encoding="utf-8")
        project.write()
        found = checks(project)
    assert {found[f"provider {name}"]["health"] for name in ("good", "slow", "slower")} == {"ok"}
    assert "put a valid LOCKED_KEY=… into .env" in found["provider locked"]["advice"]
    assert "shut down for good" in found["provider gone"]["advice"]
    assert found["provider ollama"]["advice"] == "start it with: ollama serve"
    assert found["fallback chain"]["found"] == "good answers first of gone, good, slow"
    assert "swordfish-2000" not in str(found)


def test_what_is_broken_is_a_problem_and_the_rest_is_still_examined(project: ConsoleProject) -> None:
    (project.root / "var").mkdir()
    (project.root / "var" / "orchestrator.db").write_bytes(b"x" * 900)
    (project.root / "artifacts").write_bytes(b"")
    project.file.write_text("{", encoding="utf-8")
    answer = project.call("doctor")
    assert answer.code == 1
    found = checks(project)
    problems = {subject for subject, one in found.items() if one["health"] == "problem"}
    assert {"database", "artifactsDirectory", "configuration"} <= problems
    assert found["python"]["health"] == found["git"]["health"] == "ok"
    assert all(one["advice"] for one in found.values() if one["health"] != "ok")


def test_status_shows_runs_questions_and_who_serves(project: ConsoleProject) -> None:
    assert "0 unfinished runs, 0 questions wait for an answer, nobody serves" in project.call("status").out
    run_id = project.call("run", "x", "--workspace", "work", "--queue", "--json").json()["id"]
    overview = project.call("status", "--json").json()
    assert [(run["id"], run["status"]) for run in overview["runs"]] == [(run_id, "queued")]
    assert overview["questions"] == overview["providers"] == overview["processes"] == overview["control"] == []


def test_status_shows_routes_out_of_use_and_those_of_which_only_the_use_is_known(project: ConsoleProject) -> None:
    project.call("status")
    database = Database(f"sqlite:///{project.root / 'var' / 'orchestrator.db'}")
    states, now = RouteStates(database), datetime.now(UTC)
    states.report("rehearsal", "in-use", "process-1", {"in_use": 1, "limit": 8}, now)
    states.save("rehearsal", "broken", {"state": "open", "reason": "timeout", "since": now.timestamp()}, now)
    database.close()
    said = project.call("status", "--json")
    assert said.code == 0
    assert [(one["model"], one["reason"]) for one in said.json()["providers"]] == [("broken", "timeout")]


def test_status_shows_a_question_and_it_can_be_answered(project: ConsoleProject) -> None:
    with project.started("run", "x", "--workspace", "work", "--approve", "planner") as process:
        wait_for_line(process, "waits for approval")
        overview = project.call("status")
        assert "question of run-" in overview.out
        assert "a console command" in overview.out
        assert project.call("runs", "approve", "latest").code == 0
        said, _ = process.communicate(timeout=patient(60))
        assert (process.returncode, "succeeded" in said) == (0, True)

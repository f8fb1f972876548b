from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta

from orchestration.config.overrides import LimitProvider, Override
from orchestration.storage.configuration import Overrides
from orchestration.storage.database import Database
from tests.support.console import COMMAND, REPOSITORY, ConsoleProject, environment

SECRET = "gho_" + "a1B2" * 9


def test_validate_shows_every_finding_with_its_place_and_fails_for_errors_alone(project: ConsoleProject) -> None:
    fine = project.call("config", "validate")
    assert (fine.code, "can be used: 0 errors" in fine.out) == (0, True)

    project.document["runtime"]["defaultProvider"] = "olama"
    project.document["agents"][0]["tools"] = ["fly"]
    project.document["unheardOf"] = 1
    project.write()
    answer = project.call("config", "validate")
    assert answer.code == 2
    assert all(code in answer.out for code in ("E009", "E020", "W001"))
    assert "expected: a section of runtime" in answer.out
    assert "do: " in answer.out
    findings = project.call("config", "validate", "--json").json()["findings"]
    (unknown,) = [finding for finding in findings if finding["code"] == "E009"]
    line = project.file.read_text(encoding="utf-8").splitlines()[unknown["line"] - 1]
    assert line[unknown["column"] - 1 :].startswith('"olama"')
    assert not (project.root / "var").exists(), "looking at the file touches nothing else"


def test_a_file_that_is_missing_is_a_finding_too(project: ConsoleProject) -> None:
    project.file.unlink()
    answer = project.call("config", "validate", "--json")
    assert (answer.code, answer.json()["usable"]) == (2, False)
    assert [finding["code"] for finding in answer.json()["findings"]] == ["E001"]


def test_show_prints_what_is_in_force_with_overrides_and_their_end_and_never_a_secret(project: ConsoleProject) -> None:
    (project.root / ".env").write_text(f"GITHUB_TOKEN={SECRET}\n", encoding="utf-8")
    project.document["metadata"]["description"] = f"the key is {SECRET[:4]} and so on"
    project.write()
    project.call("status")
    now = datetime.now(UTC)
    database = Database(f"sqlite:///{project.root}/var/orchestrator.db")
    Overrides(database).add(
        Override(
            id="o-1",
            change=LimitProvider(target="rehearsal", concurrency=3),
            reason=f"leaked {SECRET}",
            actor="ada",
            created_at=now,
            expires_at=now + timedelta(hours=1),
        )
    )
    database.close()
    shown = project.call("config", "show", "--json").json()
    assert shown["configuration"]["runtime"]["providers"]["rehearsal"]["concurrency"] == 3
    assert [one["id"] for one in shown["overrides"]] == ["o-1"]
    plain = project.call("config", "show")
    assert json.loads(plain.out)["runtime"]["providers"]["rehearsal"]["concurrency"] == 3
    assert "override o-1: limit_provider rehearsal concurrency=3, until 20" in plain.err
    assert SECRET not in plain.out + plain.err

    listed = project.call("config", "overrides", "list")
    assert "by ada: leaked [redacted" in listed.out
    assert project.call("config", "overrides", "remove", "o-1", "--json").json() == {"removed": "o-1"}
    assert project.call("config", "overrides", "list", "--json").json() == []
    assert project.call("config", "show", "--json").json()["overrides"] == []


def test_the_schema_printed_is_the_one_published() -> None:
    printed = subprocess.run((*COMMAND, "config", "schema"), env=environment(), capture_output=True, check=True).stdout
    assert printed == (REPOSITORY / "config" / "agents.config.schema.json").read_bytes()


def test_versions_are_listed_compared_and_gone_back_to(project: ConsoleProject) -> None:
    project.call("status")
    before = project.file.read_bytes()
    project.document["runtime"]["ollama"]["concurrency"] = 7
    project.write()
    project.call("status")
    assert [one["number"] for one in project.call("config", "history", "--json").json()] == [2, 1]
    change = {"path": "runtime.ollama.concurrency", "before": 1, "after": 7}
    assert project.call("config", "diff", "--json").json() == {"before": 1, "after": 2, "changes": [change]}
    assert "version 2 → version 1: 1 change" in project.call("config", "diff", "2", "1").out

    answer = project.call("config", "rollback", "1")
    assert "runtime.ollama.concurrency: 7 → 1" in answer.out
    assert "now holds version 1 (1 change)" in answer.out
    assert project.file.read_bytes() == before
    assert project.call("config", "rollback", "2", "--json").json()["changes"][0]["after"] == 7


def test_on_a_terminal_going_back_asks_first_unless_told_not_to(project: ConsoleProject) -> None:
    project.call("status")
    project.document["runtime"]["ollama"]["concurrency"] = 7
    project.write()
    project.call("status")
    code, said = project.on_a_terminal("config", "rollback", "1", types=b"n\n")
    assert (code, "nothing was written" in said) == (1, True)
    assert json.loads(project.file.read_text(encoding="utf-8")) == project.document
    assert project.on_a_terminal("config", "rollback", "1", types=b"y\n")[0] == 0
    assert json.loads(project.file.read_text(encoding="utf-8"))["runtime"]["ollama"]["concurrency"] == 1
    code, said = project.on_a_terminal("config", "rollback", "2", "--yes")
    assert (code, "write version" in said) == (0, False)


def test_a_broken_file_is_mended_by_going_back(project: ConsoleProject) -> None:
    project.call("status")
    good = project.file.read_bytes()
    project.file.write_text("{", encoding="utf-8")
    status = project.call("status")
    assert (status.code, "configuration file cannot be used" in status.out) == (0, True)
    assert project.call("run", "x").code == 2
    answer = project.call("config", "rollback", "1")
    assert (answer.code, "could not be read" in answer.out) == (0, True)
    assert project.file.read_bytes() == good


def test_going_back_to_what_cannot_be_used_today_is_refused_and_writes_nothing(project: ConsoleProject) -> None:
    project.call("status")
    with closing(sqlite3.connect(project.root / "var" / "orchestrator.db")) as connection, connection:
        connection.execute('UPDATE config_versions SET text = \'{"runtime": {"defaultProvider": "gone"}}\'')
    before = project.file.read_bytes()
    answer = project.call("config", "rollback", "1")
    assert (answer.code, "E009" in answer.err) == (2, True)
    assert project.file.read_bytes() == before

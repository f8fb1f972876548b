"""`orchestrator secrets scan`, on real folders and real repositories of git."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.cli import cli
from orchestration.errors import UsageError
from tests.support.console import ConsoleProject
from tests.support.credential_vendors import github, vendor_in_a_thread

Scan = Callable[..., tuple[int, str]]


def made_token() -> str:
    return "ghp_" + "a1" + secrets.token_hex(17)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


@pytest.fixture
def scan(root: Path, capsys: pytest.CaptureFixture[str]) -> Scan:
    def run(*arguments: str) -> tuple[int, str]:
        config = str(root / "config" / "agents.config.json")
        code = cli(["--config", config, "secrets", "scan", *arguments], standalone_mode=False)
        return code, capsys.readouterr().out

    return run


def findings(out: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out)["findings"]
    return found


def git(folder: Path, *arguments: str) -> None:
    identity = {f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env={**os.environ, **identity})


def test_secrets_are_found_by_kind_and_place_and_never_shown(root: Path, scan: Scan) -> None:
    token, password = made_token(), secrets.token_urlsafe(12)
    (root / ".env").write_text(f"DB_PASSWORD={password}\n")
    (root / "logs").mkdir()
    (root / "logs" / "orchestrator.log").write_text(f"one\ntwo {password.encode().hex()}\n")
    (root / "notes.md").write_text(f"use {token}\n")
    (root / "picture.bin").write_bytes(b"\0" + token.encode())
    (root / "link.md").symlink_to(root / "notes.md")
    code, out = scan("--json")
    assert code == 1
    assert findings(out) == [
        {"kind": "github-token", "place": "notes.md", "line": 1, "status": "", "evidence": ""},
        {"kind": "credential", "place": "logs/orchestrator.log", "line": 2, "status": "", "evidence": ""},
    ]
    code, text = scan()
    assert code == 1
    assert "2 secrets found in 3 files" in text
    assert token not in out + text
    assert password not in out + text


def test_a_file_that_is_named_is_read_whatever_its_name(root: Path, scan: Scan) -> None:
    (root / ".env").write_text(f"X={made_token()}\n")
    assert scan() == (0, "0 secrets found in 0 files\n")
    assert scan(str(root / ".env"))[0] == 1


def test_what_was_accepted_is_not_reported_and_what_is_new_is(root: Path, scan: Scan) -> None:
    old, new = made_token(), made_token()
    (root / "old.txt").write_text(old)
    code, out = scan("--write-baseline")
    assert code == 0
    assert "1 secrets accepted" in out
    baseline = root / ".secrets-baseline.json"
    assert old not in baseline.read_text()
    (root / "moved.txt").write_text(f"x\n{old}")
    (root / "new.txt").write_text(new)
    code, out = scan("--json")
    assert code == 1
    assert [one["place"] for one in findings(out)] == ["new.txt"]
    assert json.loads(out)["accepted"] == 2
    (root / "new.txt").unlink()
    assert scan()[0] == 0
    baseline.write_text("{}")
    with pytest.raises(UsageError, match="write-baseline"):
        scan()


def test_the_history_is_read_and_nothing_that_the_repository_configures_is_executed(root: Path, scan: Scan) -> None:
    deleted, stashed, said, marker = made_token(), made_token(), made_token(), root / "executed"
    git(root, "init", "-q")
    (root / ".env").write_text(f"TOKEN={deleted}\n")
    git(root, "add", "-f", ".env")
    git(root, "commit", "-qm", f"First\n\nsent {said}")
    git(root, "rm", "-q", ".env")
    git(root, "commit", "-qm", "Second")
    (root / "draft.txt").write_text(stashed)
    git(root, "add", "draft.txt")
    git(root, "stash")
    program = root / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\ncat\n")
    program.chmod(0o755)
    (root / ".gitattributes").write_text("* filter=x diff=x textconv=x\n")
    for name in (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "diff.x.textconv",
        "filter.x.smudge",
        "gpg.program",
    ):
        git(root, "config", name, str(program))
    hooks = root / ".git" / "hooks"
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / hook).write_text(program.read_text())
        (hooks / hook).chmod(0o755)
    code, out = scan("--history", "--json")
    assert code == 1
    assert {one["kind"] for one in findings(out)} == {"github-token"}
    places = sorted(one["place"].split(" ")[0] for one in findings(out))
    assert places == [".env", "commit", "draft.txt"]
    assert not marker.exists()
    assert not any(token in out for token in (deleted, stashed, said))


def test_wrong_requests_say_what_to_do(root: Path, scan: Scan) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        scan(str(root / "missing"))
    with pytest.raises(UsageError, match="expected a git repository"):
        scan("--history")
    with pytest.raises(UsageError, match="expected to write the baseline"):
        scan("--write-baseline", "--baseline", str(root / "no" / "folder"))


def test_a_vendor_is_asked_about_its_own_tokens_alone_and_once(tmp_path: Path) -> None:
    project, good, bad = ConsoleProject(tmp_path), made_token(), made_token()
    password = secrets.token_urlsafe(12)
    (tmp_path / "notes.md").write_text(f"{good}\n{bad}\nagain {good}\npassword = '{password}'\n")
    with vendor_in_a_thread(github, good) as vendor:
        project.document["revokers"] = {"main": {"vendor": "github", "baseUrl": vendor.url}}
        project.write()
        plain = project.call("secrets", "scan", "notes.md")
        assert not vendor.received, "nobody is asked without the option"
        told = project.call("secrets", "scan", "notes.md", "--verify", "--json")
        shown = project.call("secrets", "scan", "notes.md", "--verify")
        asked = [(one.method, one.path, one.bearer) for one in vendor.received]
    found = {one["line"]: (one["status"], one["evidence"]) for one in told.json()["findings"]}
    assert (plain.code, told.code, shown.code) == (1, 1, 1)
    assert found[1] == found[3] == ("accepted", "GitHub answered 200 to GET /user")
    assert found[2] == ("refused", "GitHub answered 401 Bad credentials to GET /user")
    assert found[4] == ("unknown", "its form does not tell whom to ask")
    assert sorted(asked) == sorted(2 * [("GET", "/user", good), ("GET", "/user", bad)]), "each once in each scan"
    assert "accepted: GitHub answered 200" in " ".join(shown.out.split())
    said = f"{told.out} {told.err} {shown.out} {shown.err}"
    assert not [value for value in (good, bad, password) if value in said]


def test_a_vendor_that_is_away_leaves_it_unknown_and_the_scan_done(tmp_path: Path) -> None:
    project = ConsoleProject(tmp_path)
    (tmp_path / "notes.md").write_text(f"{made_token()}\n")
    project.document["revokers"] = {"main": {"vendor": "github", "baseUrl": "http://127.0.0.1:1", "timeout": 1}}
    project.write()
    told = project.call("secrets", "scan", "notes.md", "--verify", "--json")
    (one,) = told.json()["findings"]
    assert (told.code, one["status"]) == (1, "unknown")
    assert one["evidence"] == "127.0.0.1:1 was not reached (ConnectError)"

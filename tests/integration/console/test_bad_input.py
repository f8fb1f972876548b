"""Bad input of every kind gives one clear message and exit code 2, never a traceback."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.console import COMMAND, ConsoleProject, Said

# As the tests may run as root, whom no rights stop: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH they do.
_WITHOUT_PRIVILEGES = (
    "import ctypes, os, sys\n"
    "for capability in (1, 2): ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'orchestration', *sys.argv[1:]])"
)
AS_ANYBODY = (sys.executable, "-c", _WITHOUT_PRIVILEGES)


@dataclass(frozen=True)
class Case:
    arguments: tuple[str, ...]
    says: str
    prepare: Callable[[ConsoleProject], Any] = lambda _: None
    data: bytes | None = None
    command: tuple[str, ...] = COMMAND


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[ConsoleProject], None]:
    def prepare(project: ConsoleProject) -> None:
        change(project.document)
        project.write()

    return prepare


def database_with(statement: str) -> Callable[[ConsoleProject], None]:
    def prepare(project: ConsoleProject) -> None:
        assert project.call("runs", "list").code == 0
        with closing(sqlite3.connect(project.root / "var" / "orchestrator.db")) as connection, connection:
            connection.execute(statement)

    return prepare


def put(name: str, data: bytes, mode: int = 0o644) -> Callable[[ConsoleProject], None]:
    def prepare(project: ConsoleProject) -> None:
        path = project.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)

    return prepare


def with_mode(name: str, mode: int) -> Callable[[ConsoleProject], None]:
    return lambda project: (project.root / name).chmod(mode)


NO_BOSS = "There is no agent 'boss'. Configured agents: planner, executor, reviewer."

CASES = {
    "no configuration": Case(("--config", "nope.json", "run", "x"), "E001 it cannot be read"),
    "configuration that is a folder": Case(("--config", "config", "run", "x"), "E001 this is not a regular file"),
    "wrong json": Case(("run", "x"), "E004 this is not JSON", put("config/agents.config.json", b'{"runtime": ')),
    "wrong type": Case(("run", "x"), "E006", edited(lambda it: it["runtime"].update(workers="many"))),
    "bad cron": Case(
        ("serve",),
        "E021",
        edited(lambda it: it.update(schedules=[{"name": "a", "cron": "61 * * * *", "goal": "x"}])),
    ),
    "default provider that is not described": Case(
        ("run", "x"), "E009", edited(lambda it: it["runtime"].update(defaultProvider="claud"))
    ),
    "missing credentials": Case(
        ("run", "x"), "OPENAI_API_KEY", edited(lambda it: it["runtime"].update(defaultProvider="openai") or
                                              it["runtime"]["openai"].update(enabled=True))
    ),
    "unknown provider": Case(("run", "x", "--provider", "claud"), "There is no provider 'claud'. Configured"),
    "provider that is off": Case(("run", "x", "--provider", "azure"), "Provider 'azure' is disabled. Set"),
    "unknown agent": Case(("run", "x", "--agent", "boss"), NO_BOSS),
    "unknown agent alone": Case(("agents", "run", "boss", "x"), NO_BOSS),
    "no agent": Case(("agents", "run"), "Name an agent, or use --all"),
    "no goal": Case(("run",), "There is no goal."),
    "empty goal": Case(("run", "  "), "got an empty one"),
    "empty goal on standard input": Case(("run", "-"), "got an empty one", data=b""),
    "goal of 200 kB": Case(("run", "--goal-file", "goal"), "at most 100,000", put("goal", b"a" * 200_000)),
    "binary goal file": Case(("run", "--goal-file", "goal"), "from byte 1 on", put("goal", b"\xff\xfe\x00" * 99)),
    "binary goal on standard input": Case(("run", "-"), "from byte 3 on", data=b"ab\xff\x00"),
    "goal with control characters": Case(("run", "-"), "characters that are no text", data=b"a\x00b"),
    "goal in bytes that are no text": Case(("run", os.fsdecode(b"a\xff")), "characters that are no text"),
    "goal file that is a folder": Case(("run", "--goal-file", "config"), "Is a directory"),
    "goal twice": Case(("run", "x", "--goal-file", "goal"), "not both"),
    "workspace that is not there": Case(("run", "x", "--workspace", "nope"), "does not exist"),
    "workspace that is a file": Case(("run", "x", "--workspace", "config/agents.config.json"), "which is a file"),
    "workspace above the project": Case(("run", "x", "--workspace", "/"), "which holds far more"),
    "workspace that is a home": Case(("run", "x", "--workspace", str(Path.home())), "which holds far more"),
    "workspace in the system's own state": Case(
        ("run", "x", "--workspace", "var"), "keeps its own state", lambda it: (it.root / "var").mkdir()
    ),
    "workspace that may not be read": Case(
        ("run", "x", "--workspace", "work"), "not readable", with_mode("work", 0o000), command=AS_ANYBODY
    ),
    "workspace whose name is no text": Case(
        ("run", "x", "--workspace", os.fsdecode(b"w\xff")),
        "not valid UTF-8",
        lambda it: Path(os.fsdecode(os.fsencode(it.root) + b"/w\xff")).mkdir(),
    ),
    "check that is no command": Case(("run", "x", "--check", "'"), "No closing quotation"),
    "seconds that are no number": Case(("run", "x", "--seconds", "soon"), "not a valid float"),
    "seconds that are none": Case(("run", "x", "--seconds", "nan"), "no number of seconds"),
    "seconds below one": Case(("run", "x", "--seconds", "0"), "x>=1"),
    "unknown run": Case(("runs", "show", "run-zzz"), "There is no run 'run-zzz'"),
    "unknown run to resume": Case(("runs", "resume", "run-zzz"), "There is no run 'run-zzz'"),
    "no run yet": Case(("runs", "show", "latest"), "There are no runs yet"),
    "unknown command": Case(("incidnts",), "Did you mean one of: 'incidents', 'init'?"),
    "unknown version": Case(("config", "rollback", "99"), "no configuration version 99"),
    "unknown override": Case(("config", "overrides", "remove", "o-1"), "No override o-1"),
    "too many workers": Case(("serve", "--workers", "1000"), "0<=x<=64"),
    "file where the database should be": Case(("status",), "is not a database", put("var/orchestrator.db", b"x" * 900)),
    "file where the engine's should be": Case(
        ("run", "x"), "is missing, although engine.db exists", put("var/engine.db", b"x" * 900)
    ),
    "database of a newer release": Case(
        ("status",), "written by a newer release", database_with("UPDATE alembic_version SET version_num = '9999'")
    ),
    "file where the state folder should be": Case(("status",), "cannot be used: [Errno", put("var", b"")),
    "read-only project": Case(("status",), "writable", with_mode(".", 0o555), command=AS_ANYBODY),
    "read-only log folder": Case(
        ("run", "x"), "E025", lambda it: (it.root / "logs").mkdir(mode=0o555), command=AS_ANYBODY
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Said]]]:
    """All commands, two at a time: each is a process of its own, and the machine may have but two cores."""
    folder = tmp_path_factory.mktemp("cases")

    def one(number: int, case: Case) -> Said:
        project = ConsoleProject(folder / str(number))
        case.prepare(project)
        return project.call(*case.arguments, data=case.data, command=case.command)

    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(one, number, case) for number, (name, case) in enumerate(CASES.items())}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gives_one_message_and_exit_code_2(name: str, said: dict[str, Future[Said]]) -> None:
    answer = said[name].result()
    assert CASES[name].says in answer.err
    assert "Traceback" not in answer.err
    assert (answer.code, answer.out) == (2, "")


def test_a_run_named_by_too_little_is_not_guessed(project: ConsoleProject) -> None:
    project.call("run", "x", "--queue")
    project.call("run", "y", "--queue")
    answer = project.call("runs", "show", "run-")
    assert (answer.code, "is ambiguous" in answer.err) == (2, True)


def test_a_database_that_another_program_keeps_locked_is_told_within_seconds(project: ConsoleProject) -> None:
    assert project.call("runs", "list").code == 0
    with closing(sqlite3.connect(project.root / "var" / "orchestrator.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        answer = project.call("status")
    assert (answer.code, answer.out) == (2, "")
    assert "database is locked" in answer.err
    assert "close the program that holds it" in answer.err

"""What tests start in place of the console command (`tests.support.prefork`) differs from it in its cost alone."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import prefork
from tests.support.console import COMMAND, ConsoleProject, environment, is_there
from tests.support.patience import patient, until, wait_for_end

# What a program can see of itself and its surroundings.
_ACCOUNT = """
import json, os, signal, sys, time
def led(number):
    return "own" if number == os.getpid() else number
streams = [(s.encoding, s.errors, s.line_buffering, s.isatty()) for s in (sys.stdin, sys.stdout, sys.stderr)]
account = {
    "arguments": sys.argv, "folder": os.getcwd(), "path": sys.path, "module": __name__, "variables": dict(os.environ),
    "parent": os.getppid(), "group": led(os.getpgrp()), "session": led(os.getsid(0)),
    "mask": os.umask(0o22), "zone": time.tzname,
    "open": sorted(map(int, os.listdir("/proc/self/fd")))[:-1], "streams": streams, "given": sys.stdin.read(),
    "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "line": open("/proc/self/cmdline", encoding="latin-1").read().replace("\\0", " ").strip(),
    "shown": sorted(open("/proc/self/environ", encoding="latin-1").read().rstrip("\\0").split("\\0")),
    "threads": len(os.listdir("/proc/self/task")),
}
print(json.dumps(account), flush=True)
sys.exit(7)
"""


@pytest.fixture
def account(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What a program says about itself, started as told."""
    module = tmp_path / "modules" / "account_of_itself.py"
    module.parent.mkdir()
    module.write_text(_ACCOUNT)
    (tmp_path / "account_of_itself.py").symlink_to(module)

    def account(start: Callable[..., Any], *what: str, **options: Any) -> dict[str, Any]:
        command = (sys.executable, *what, "one", "two words", "", "-x", "ä\udcff")
        with start(command, cwd=tmp_path, **options) as process:
            out, err = process.communicate(b"said to it", timeout=patient(60))
        assert process.returncode == 7, err
        found: dict[str, Any] = json.loads(out)
        return found

    return account


def test_a_forked_program_is_like_one_that_was_started(account: Callable[..., dict[str, Any]]) -> None:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    options = {**pipes, "env": environment({"A_WORD": "näch\udcff", "TZ": "Asia/Tokyo"})}
    for what, own in ((("-m", "account_of_itself"), True), (("modules/account_of_itself.py",), False)):
        started, forked = (
            account(start, *what, **options, start_new_session=own) for start in (subprocess.Popen, prefork.Program)
        )
        assert (forked["parent"], forked["session"] == "own") == (os.getpid(), own)
        assert forked == started


def test_on_a_terminal_both_are_on_a_terminal(account: Callable[..., dict[str, Any]]) -> None:
    ours, theirs = pty.openpty()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": theirs}
    options = {**pipes, "env": environment({"PYTHONUNBUFFERED": "1"})}
    started, forked = (
        account(start, "-m", "account_of_itself", **options) for start in (subprocess.Popen, prefork.Program)
    )
    assert forked["streams"][2][3] is True
    assert forked == started
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 0), (signal.SIGINT, 0)])
def test_signals_reach_a_forked_program_and_its_end_is_known(tmp_path: Path, number: signal.Signals, code: int) -> None:
    project = ConsoleProject(tmp_path / "project")
    with project.started("serve", "--port", "0", "--workers", "0") as process:
        assert process.stdout is not None
        until(lambda: "serving" in process.stdout.readline())  # type: ignore[union-attr]
        seen = psutil.Process(process.pid)
        assert (seen.ppid(), seen.cmdline()) == (os.getpid(), [*COMMAND, "serve", "--port", "0", "--workers", "0"])
        process.send_signal(number)
        assert wait_for_end(process, 20) == code
        assert not is_there(seen)


def test_what_a_fork_cannot_give_is_left_to_a_new_process(tmp_path: Path) -> None:
    command = (*COMMAND, "--version")
    others = ({"env": environment({"PYTHONUTF8": "0"})}, {"env": environment({"LONG": "x" * 9_000})}, {"umask": 0o77})
    for options in others:
        given = {"cwd": tmp_path, "stdout": subprocess.DEVNULL, "env": environment(), **options}
        with prefork.Program(command, **given) as own:
            assert own._template is None
        assert own.returncode == 0
    with pytest.raises(FileNotFoundError):
        prefork.Program(command, cwd=tmp_path / "nowhere", env=environment())

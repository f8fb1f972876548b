"""Limits of tests: they hold on a quiet machine, give way on a busy one, and never take the runner with them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from tests.support.patience import Deadline, Stopwatch, fail_after, pause, slowness, slowness_of, until, wait_for_end
from tests.support.project import ROOT


@pytest.mark.parametrize(
    ("held_up", "speed", "load", "expected"),
    [
        (1.0, 40_000, 0.0, 1.0),
        (1.0, 90_000, 0.0, 1.0),
        (1.05, 39_000, 2.1, 1.0),
        (3.0, 40_000, 1.0, 3.0),
        (1.2, 40_000, 30.0, 15.0),
        (1.0, 16_000, 1.0, 2.5),
        (3.0, 16_000, 1.0, 7.5),
        (900.0, 40_000, 1.0, 25.0),
    ],
    ids=["quiet", "quick", "noise", "busy now", "busy for a minute", "slow", "slow and busy", "no more than that"],
)
def test_how_slow_it_is(held_up: float, speed: float, load: float, expected: float) -> None:
    assert slowness_of(held_up, speed, load, 2) == expected


@pytest.mark.parametrize(("asked", "expected"), [(0.0, 0.02), (0.004, 0.02), (0.05, 0.15), (9.0, 0.25)])
def test_what_takes_long_to_ask_is_asked_less_often(asked: float, expected: float) -> None:
    assert pause(asked, 0.02) == pytest.approx(expected)


def test_it_is_measured_in_no_time_and_never_less_than_one() -> None:
    begun = time.thread_time()
    assert slowness() >= 1
    assert time.thread_time() - begun < 0.5


def test_a_limit_holds_on_a_quiet_machine_and_is_widened_on_a_busy_one() -> None:
    quiet, busy = Deadline(0.02, lambda: 1.0), Deadline(0.02, lambda: 500.0)
    time.sleep(0.03)
    assert (quiet.is_over(), busy.is_over()) == (True, False)
    assert busy.left > 5


def test_a_limit_that_was_widened_is_not_narrowed_again() -> None:
    measured = iter([500.0])
    deadline = Deadline(0.02, lambda: next(measured))
    time.sleep(0.03)
    assert [deadline.is_over() for _ in range(3)] == [False, False, False]


def test_what_never_comes_to_be_is_said_with_both_limits() -> None:
    with pytest.raises(AssertionError, match=r"for the train: .* passed; the limit was .* \(quiet: 0.05 s\)"):
        until(lambda: False, 0.05, "for the train")


def test_what_took_too_long_is_not_within_its_limit() -> None:
    watch = Stopwatch()
    assert watch.is_within(5)
    time.sleep(0.1)
    assert not watch.is_within(0.001)


async def test_what_hangs_is_broken_off() -> None:
    with pytest.raises(TimeoutError), fail_after(0.01):
        await anyio.sleep_forever()


def test_a_process_that_does_not_end_is_not_waited_for_without_end() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            wait_for_end(process, 0.05)
        process.kill()


_SUITE = """
import time, pytest

@pytest.fixture
def slow_to_end():
    yield
    time.sleep(60)

@pytest.mark.timeout(0.2)
def test_in_the_call():
    time.sleep(60)

@pytest.mark.timeout(0.2)
def test_in_the_teardown(slow_to_end):
    pass

@pytest.mark.timeout(0.2)
def test_whose_report_is_slow():
    pass

def test_that_comes_after():
    pass
"""
_CONFTEST = """
import time

def pytest_runtest_logreport(report):
    if "report_is_slow" in report.nodeid:
        time.sleep(1)
"""


def test_a_limit_ends_one_test_and_never_the_runner(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(_SUITE)
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.time_limits", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--rootdir", tmp_path, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "1 failed, 3 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr


# What measures by itself, or waits a fixed time for another process, fails on a busy machine.
_IMPATIENT = re.compile(
    r"time\.monotonic\(\) \+|time\.monotonic\(\) - \w+ <|asyncio\.timeout\(|anyio\.fail_after\("
    r"|(?<!bench|ucket)\.(?:wait|communicate|join|result)\((?:timeout=)?\d"
)
_OWN_CLOCK = {"patience.py", "time_limits.py", "test_patience.py"}


def test_no_test_has_a_time_limit_of_its_own() -> None:
    files = [file for file in (ROOT / "tests").rglob("*.py") if file.name not in _OWN_CLOCK]
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if _IMPATIENT.search(line)
    ]
    assert found == [], "use tests.support.patience: until, Deadline, Stopwatch, fail_after, patient"


_CLIENT = re.compile(r"httpx2\.(Client|AsyncClient|get|post|put|patch|delete|request|stream)\(")


def _impatient_clients(text: str) -> Iterator[int]:
    """The lines where an HTTP client is made, or a request sent without one, with httpx's own limit."""
    if _CLIENT.search(text):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and _CLIENT.fullmatch(f"{ast.unparse(node.func)}("):
                given = {keyword.arg for keyword in node.keywords}
                if given.isdisjoint({"timeout", "transport", None}):
                    yield node.lineno


def test_no_http_client_of_a_test_has_the_limit_of_a_quiet_machine() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in (ROOT / "tests").rglob("*.py")
        for line in _impatient_clients(file.read_text(encoding="utf-8"))
    ]
    assert found == [], "give `timeout=patient(…)`: httpx's own limit is five seconds"


@pytest.mark.parametrize(("waited", "expected"), [(0.0, 0.02), (1.0, 0.02), (5.0, 0.1), (60.0, 0.25)])
def test_what_has_not_come_for_long_is_asked_for_less_often(waited: float, expected: float) -> None:
    assert pause(0.001, 0.02, waited) == pytest.approx(expected)

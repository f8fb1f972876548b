"""A pytest plugin: what the run cost, at its end. It judges nothing; it lets people see what grows.

Processor time is counted, since it hardly depends on what else the machine does. The time of a test includes that of
the processes that it started and that have ended. The sum includes the checks that `./run test` makes before.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator
from typing import Any

import pytest

_SHOWN = 10


class RunReport:
    """Adds up what the phases of each test took."""

    def __init__(self) -> None:
        self._mark = _processor_seconds()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._processor_seconds: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        self._mark = _processor_seconds()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, Any, Any]:
        report: Any = yield
        now = _processor_seconds()
        # In a distributed run this goes to the controller with the report.
        report.processor_seconds, self._mark = now - self._mark, now
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        self._processor_seconds[report.nodeid] += getattr(report, "processor_seconds", 0.0)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if len(self._seconds) <= _SHOWN:
            return
        terminalreporter.section("what the run cost")
        for what, seconds in (("processor time", self._processor_seconds), ("time", self._seconds)):
            terminalreporter.write_line(f"the {_SHOWN} tests that took most {what}:")
            for test in sorted(seconds, key=seconds.__getitem__, reverse=True)[:_SHOWN]:
                terminalreporter.write_line(f"{seconds[test]:8.1f} s  {test}")
        total = _processor_seconds()
        terminalreporter.write_line(f"processor time of the whole run: {total:.0f} s ({total / 60:.1f} minutes)")


def _processor_seconds() -> float:
    """Of this process, and of its children that have ended."""
    return sum(os.times()[:4])


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RunReport(), "run-report")

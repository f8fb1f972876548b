"""A pytest plugin: the time limit of each test is widened by how slow the machine is when the limit is reached.

It takes the place of pytest-timeout's own timer. Two things differ. The limit is measured against the machine before it
counts (`tests.support.patience`). And it strikes only inside of a test's setup, call or teardown: an exception that is
raised between them, in a hook that reports to the controller of a distributed run, would end the whole runner instead
of the one test.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
import pytest_timeout

from tests.support.patience import Deadline

_AGAIN_SECONDS = 0.5


class TimeLimits:
    """The timer of the test that runs now."""

    def __init__(self) -> None:
        self._inside = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool | None:
        """Set it; pytest-timeout sets its own, in a thread, where a signal would not reach the test."""
        if settings.method != "signal" or threading.current_thread() is not threading.main_thread():
            return None
        deadline = Deadline(settings.timeout)

        def on_alarm(number: int, frame: FrameType | None) -> None:
            __tracebackhide__ = True
            if self._inside and deadline.is_over():
                pytest_timeout.timeout_sigalrm(item, settings._replace(timeout=str(deadline)))
            else:
                signal.setitimer(signal.ITIMER_REAL, max(_AGAIN_SECONDS, deadline.left))

        def cancel() -> None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

        item.cancel_timeout = cancel  # type: ignore[attr-defined]  # pytest-timeout calls it under this name
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout)
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Iterator[None]:
        return (yield from self._limited())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        return (yield from self._limited())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        return (yield from self._limited())

    def _limited(self) -> Iterator[Any]:
        self._inside = True
        try:
            return (yield)
        finally:
            self._inside = False


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(TimeLimits(), "time-limits-by-machine")

"""Whether a server's process is at work, by what was seen of it twice."""

from __future__ import annotations

import pytest

from orchestration.providers.server_process import ServerProcess, _Sample

KEY = (12, 1.0)


@pytest.mark.parametrize(
    ("seconds", "spent", "runnable", "works"),
    [
        (0.1, 0.01, (False, False), False),  # one tick: it has received a probe
        (0.1, 0.02, (False, True), False),  # and is just receiving another
        (0.1, 0.05, (False, False), True),
        (1.0, 0.02, (False, False), False),
        (1.0, 0.04, (False, False), True),
        (10.0, 0.2, (False, False), False),
        (10.0, 0.4, (False, False), True),
        (1.0, 0.0, (True, True), True),  # it waits for a processor all the time
        (1.0, 0.0, (True, False), False),
    ],
)
def test_to_receive_a_probe_is_no_work(
    monkeypatch: pytest.MonkeyPatch, seconds: float, spent: float, runnable: tuple[bool, bool], works: bool
) -> None:
    server = ServerProcess("http://127.0.0.1:1")
    seen = iter([_Sample(0.0, {KEY: 5.0}, runnable[0]), _Sample(seconds, {KEY: 5.0 + spent}, runnable[1])])
    monkeypatch.setattr(server, "_sample", lambda _: next(seen))
    assert server.works(0.0) is None
    assert server.works(seconds) is works

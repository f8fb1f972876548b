"""The dead-man address is asked for as long as the control process is well, and it is a secret."""

from __future__ import annotations

import time

from tests.acceptance.incidents.conftest import Watch
from tests.support.project import wait_until
from tests.support.receivers import http_receiver


def test_the_dead_man_hears_from_a_control_process_until_it_is_gone(watch: Watch) -> None:
    settings = {"monitoring": {"deadManSeconds": 0.2}, "response": {"deadManUrlEnv": "DEAD_MAN_URL"}}
    with http_receiver() as dead_man, watch(**settings) as project:
        project.write_env(DEAD_MAN_URL=f"{dead_man.url}/ping/k3y-0f-0ur-0wn")
        serve = project.serve(workers=0)
        wait_until(lambda: len(dead_man.received) >= 3, "for the dead man to hear of us")
        assert {request.path for request in dead_man.received} == {"/ping/k3y-0f-0ur-0wn"}
        serve.kill()
        time.sleep(0.2)
        heard = len(dead_man.received)
        time.sleep(1)
        assert len(dead_man.received) == heard
        assert "k3y-0f-0ur-0wn" not in project.log.read_text() + serve.output

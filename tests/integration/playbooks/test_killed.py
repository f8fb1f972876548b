"""A response survives SIGKILL at any moment, and does no step twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from orchestration.domain.incident_status import IncidentStatus
from tests.integration.playbooks.test_runner import CURE, WORSE, playbook
from tests.support import prefork
from tests.support.patience import patient
from tests.support.responses import EFFECTS, ResponseRoom

SCRIPT = Path(__file__).with_name("response_process.py")


def run_until(folder: Path, incident: str, marks: int) -> tuple[str, bool]:
    """Let the process run until it has said `marks` things, then kill it; the incident, and whether it ended first."""
    command = [sys.executable, str(SCRIPT), str(folder), *([incident] if incident else [])]
    with prefork.Program(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for seen, line in enumerate(process.stdout, 1):
            kind, _, rest = line.strip().partition(" ")
            if kind == "incident":
                incident = rest
            if kind == "ended":
                process.wait(timeout=patient(20))
                return incident, True
            if seen >= marks and incident:
                process.kill()
                break
        process.wait(timeout=patient(20))
    return incident, False


@pytest.mark.slow
@pytest.mark.parametrize("marks", [4, 9])
def test_killed_again_and_again_it_ends_as_it_should_and_nothing_was_done_twice(tmp_path: Path, marks: int) -> None:
    room = ResponseRoom(tmp_path)
    room.write_playbook(playbook(WORSE, CURE, pointing_to="worse"))
    incident, ended, kills = "", False, 0
    while not ended:
        incident, ended = run_until(tmp_path, incident, marks)
        kills += not ended
        assert kills < 40, "it does not get on"
    assert kills, "it came to its end before it was killed"
    done = [line.split() for line in (tmp_path / EFFECTS).read_text().splitlines()]
    assert [name for verb, name, *_ in done if verb == "do"] == ["a", "b", "cure", "tidied"]
    assert max(Counter((verb, name) for verb, name, *_ in done).values()) == 1
    after = room.incident(incident)
    assert after.status is IncidentStatus.RESOLVED
    room.database.close()

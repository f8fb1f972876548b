"""The control process is killed at every named point between "the state has changed" and "the message is marked as
sent", and started again: nothing is lost, nobody is paged after an acknowledgement, and the timers are right."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.acceptance.incidents.conftest import Watch
from tests.support import prefork
from tests.support.patience import patient
from tests.support.project import ROOT, wait_until
from tests.support.rehearsal import RehearsalProcess
from tests.support.watched import Watched

POINTS = ("committed", "announced", "after-claim", "after-send", "after-mark")
ON_CALL = [("ada", "hook"), ("ada", "mail"), ("ben", "mail")]
# The second level follows soon; the first has to be paged before.
SOON = {"escalation": {"levels": [{"level": 1, "after": 5}, {"level": 3, "after": 600}]}}


def killed_at(project: Watched, point: str, provider: RehearsalProcess) -> None:
    """Serve until the point is reached, which a provider that is gone leads to."""
    printed = project.root / f"killed-{point}.txt"
    with printed.open("wb") as output:
        process = prefork.Program(
            [sys.executable, "-m", "tests.faults.incidents.serve_process", point, "serve", "--workers", "0"],
            cwd=project.root,
            env=project.environment | {"PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: project.rows("SELECT 1 FROM leases WHERE name = 'leader'"), "for it to lead")
        provider.kill()
        assert process.wait(patient(30)) == -signal.SIGKILL, printed.read_text()
    finally:
        process.kill()


def sent(project: Watched, step: str) -> list[Any]:
    """Contact, channel and state of the messages of a step."""
    return project.rows("SELECT contact, channel, state FROM outbox WHERE key LIKE ? ORDER BY key", f"%:{step}:%")


@pytest.mark.parametrize("point", POINTS)
def test_no_page_is_lost_and_the_next_level_is_paged_in_time(
    point: str, provider: RehearsalProcess, watch: Watch
) -> None:
    with watch(response=SOON) as project:
        killed_at(project, point, provider)
        project.serve(workers=0)
        wait_until(lambda: set(told(project, "INCIDENT")) == set(ON_CALL), f"for the pages, got {project.pages()}")
        counted = told(project, "INCIDENT")
        # Only what was sent and not yet marked may come twice, with the key by which receivers know it.
        assert counted.total() - len(counted) <= (2 if point == "after-send" else 1)
        ids = {mail["Message-ID"] for mail in project.mails("INCIDENT")}
        assert len(ids) == 2, "each of two people has one mail, however often it came"
        assert len({body["id"] for body in project.hook.bodies()}) == 1
        wait_until(lambda: told(project, "ESCALATION"), "for the next level")
        assert told(project, "ESCALATION") == Counter([("cleo", "mail")])
        ((detected, paged),) = project.rows(
            "SELECT min(at), max(at) FROM incident_entries WHERE kind IN ('detected', 'paged')"
        )
        assert paged > detected
        provider.start()
        project.wait_for_incident("resolved")
        ended = Counter([*ON_CALL, ("cleo", "mail")])
        wait_until(lambda: told(project, "RESOLVED") == ended, f"for the end, got {project.pages()}")
        assert len(project.incidents()) == 1


@pytest.mark.parametrize("point", ["committed", "after-send"])
def test_nobody_is_paged_after_an_acknowledgement_that_came_while_nobody_served(
    point: str, provider: RehearsalProcess, watch: Watch
) -> None:
    with watch(response=SOON) as project:
        killed_at(project, point, provider)
        project.call("incidents", "ack", "latest")
        before = told(project, "INCIDENT")
        project.serve(workers=0)
        # They are told that somebody has it, and that is the proof that the sender has been at work since.
        wait_until(lambda: len(told(project, "ACKNOWLEDGED")) == len(ON_CALL), "for the word that somebody has it")
        provider.start()
        project.wait_for_incident("resolved")
        wait_until(lambda: len(told(project, "RESOLVED")) == len(ON_CALL), "for the end")
        assert told(project, "INCIDENT") == before
        assert not told(project, "ESCALATION")
        assert {state for *_, state in sent(project, "initial-1")} <= {"sent", "cancelled"}


def told(project: Watched, heading: str) -> Counter[tuple[str, str]]:
    return Counter((person, channel) for _, person, channel in project.pages(heading))

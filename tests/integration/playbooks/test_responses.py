"""Whole responses, as the control process carries them out: the library's playbooks on real incidents."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from orchestration.domain.duty import DutyKind
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.domain.scenario import Scenario
from orchestration.incidents.brief import briefing
from orchestration.incidents.commands.mitigation import RecordAction
from orchestration.incidents.commands.option_request import TryOption
from orchestration.incidents.commands.response import BeginResponse
from orchestration.incidents.model import Actor, person
from orchestration.incidents.report import Facts
from orchestration.playbooks.ids import response_id
from orchestration.playbooks.runner import RESPONSE
from orchestration.playbooks.step_results import ResponseRequest
from orchestration.storage.playbooks import ActionRun, PlaybookRun
from orchestration.workflows.engine import StepError
from tests.integration.playbooks.test_security_actions import KEYED, NEW, OLD, a_run, advise, leak
from tests.support.project import ROOT
from tests.support.response import Ward, a_ward

LIBRARY = ROOT / "orchestration" / "playbooks" / "library"


OPTIONAL = """
playbook: agent-failure
title: An agent fails
scenario: agent-failure
about: Of our own.
mitigate:
  - option: less
    says: Ask less
    steps:
      - { step: less, do: limit.lower, with: { providers: ["*"] } }
      - { step: backup, do: database.backup, optional: true }
verify:
  steps: [{ step: now, do: evidence.runs, with: { runs: $incident.runs } }]
  holds: { now.failed: 0 }
  stable: 0
  every: 0.1
"""


def hasten(root: Path, name: str) -> None:
    """The playbook of the library as a user's own, with less patience."""
    text = (LIBRARY / f"{name}.yaml").read_text(encoding="utf-8")
    head, found, rest = text.partition("\n  within: ")
    assert found
    _, _, after = rest.partition("\n\n")
    own = root / "config" / "playbooks" / f"{name}.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(f"{head}\n  within: 2\n  stable: 0\n  every: 0.2\n\n{after}", encoding="utf-8")


async def respond(ward: Ward) -> str:
    """Begin the response to the incident; returns its name."""
    name = response_id(ward.incident.id, ward.incident.clock.number)
    await ward.app.engine.start(RESPONSE, name, ResponseRequest(ward.incident.id))
    return name


def done(ward: Ward) -> dict[str, ActionRun]:
    """What was done, by step; what a step that was taken again did last."""
    return {one.step: one for one in ward.records.list_actions(incident_id=ward.incident.id)}


def status(ward: Ward) -> IncidentStatus:
    return ward.services.incidents.get(ward.incident.id).status


async def test_a_leaked_secret_is_quarantined_and_its_rotation_waits_for_a_person(tmp_path: Path) -> None:
    hasten(tmp_path, "security-alert")
    (tmp_path / ".env").write_text(f"PAID_KEY={OLD}\n")
    async with a_ward(tmp_path, KEYED) as ward:
        a_run(ward)
        path = leak(ward)
        ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"], facts=Facts(secret_exposed=True))
        name = await respond(ward)
        question = (await ward.until(lambda: ward.app.approvals.list_open(ward.incident.id)))[0]
        assert "refuse the exposed values of PAID_KEY from now on" in question.question
        assert (path.exists(), ward.app.store.credentials.get("PAID_KEY")) == (False, OLD)
        ward.write_env(PAID_KEY=NEW)
        ward.app.approvals.decide(question.id, "approved", by="ada", reason="go on", at=ward.app.clock.now())
        ended = await ward.app.engine.result(name)
        assert ended["state"] == "helped"
        assert (status(ward), ward.app.store.credentials.get("PAID_KEY")) == (IncidentStatus.MITIGATED, NEW)
        left = {duty.kind for duty in ward.services.incidents.get(ward.incident.id).open_duties}
        assert left == {DutyKind.CHECK_QUARANTINED_FILE}, "a person decides what becomes of the file"
        took = done(ward)
        assert {took[step].state for step in ("quarantine", "rotate", "integrity", "draft")} == {ActionState.DONE}
        assert took["restore"].summary.startswith("this process does not manage backups")
        assert took["rotate"].actor == "ada"
        assert OLD not in str(took)


async def test_a_breach_isolates_the_system_before_anything_else(tmp_path: Path) -> None:
    hasten(tmp_path, "security-alert")
    async with a_ward(tmp_path) as ward:
        a_run(ward)
        path = leak(ward)
        ward.declare(Scenario.SECURITY_ALERT, runs=["run-1"], facts=Facts(breach=True, secret_exposed=True))
        name = await respond(ward)
        question = (await ward.until(lambda: ward.app.approvals.list_open(ward.incident.id)))[0]
        assert ward.app.effective().runtime.isolated, "what closes the system off waits for nobody"
        ward.app.approvals.decide(question.id, "denied", by="ada", reason="done by hand", at=ward.app.clock.now())
        ended = await ward.app.engine.result(name)
        assert (ended["state"], ward.app.effective().runtime.isolated) == ("helped", True)
        acted = [one.step for one in ward.records.list_actions(incident_id=ward.incident.id) if one.phase == "mitigate"]
        assert acted == ["isolate", "debug", "quarantine-at-once"]
        assert not path.exists()
        assert ("isolate", "*") in ward.overrides


async def test_a_vulnerable_package_is_updated_only_by_a_persons_word(tmp_path: Path) -> None:
    hasten(tmp_path, "security-alert")
    async with a_ward(tmp_path) as ward:
        advise(ward.root, "click", "999.1")
        ward.declare(Scenario.SECURITY_ALERT, facts=Facts(vulnerability=True))
        name = await respond(ward)
        question = (await ward.until(lambda: ward.app.approvals.list_open(ward.incident.id)))[0]
        assert "pip install click==999.1`" in question.question
        ward.app.approvals.decide(question.id, "denied", by="ada", reason="not now", at=ward.app.clock.now())
        ended = await ward.app.engine.result(name)
        assert (ended["state"], done(ward)["update"].state) == ("handed-over", ActionState.DENIED)
        assert status(ward).is_open


async def test_an_optional_step_that_fails_does_not_take_back_what_helped(tmp_path: Path) -> None:
    own = tmp_path / "config" / "playbooks" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(OPTIONAL, encoding="utf-8")
    async with a_ward(tmp_path) as ward:
        ended = await ward.app.engine.result(await respond(ward))
        assert (ended["state"], ward.overrides) == ("helped", [("limit_provider", "own")])
        assert done(ward)["backup"].state is ActionState.FAILED


async def test_a_response_outlives_a_database_that_is_away_for_a_while(tmp_path: Path) -> None:
    own = tmp_path / "config" / "playbooks" / "agent-failure.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(OPTIONAL.replace("stable: 0", "stable: 2"), encoding="utf-8")
    async with a_ward(tmp_path) as ward:
        name = await respond(ward)
        await ward.until(lambda: "less" in done(ward))
        ward.app.database.suspend("it is away")
        await anyio.sleep(2)
        ward.app.database.suspend("")
        closed = await ward.app.engine.result(name)
        assert closed["state"] == "helped"
        assert ward.records.list_runs(incident_id=ward.incident.id)[0].state is PlaybookRunState.HELPED


async def test_what_a_response_that_broke_off_has_left_is_handed_over(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        name = response_id(ward.incident.id, ward.incident.clock.number)
        ward.records.add_run(PlaybookRun(name, ward.incident.id, "agent-failure", "1", ward.app.clock.now()))
        service, playbook = ward.services.incident_service, Actor("playbook:agent-failure")
        service.execute(ward.incident.id, playbook, BeginResponse(name))
        service.execute(ward.incident.id, playbook, RecordAction())
        await ward.app.engine.start(RESPONSE, name, ResponseRequest("inc-of-nobody"))
        with pytest.raises(StepError):
            await ward.app.engine.result(name)
        responder = ward.responder()
        for _ in range(2):
            await responder._give_up_broken([ward.services.incidents.get(ward.incident.id)])
        left = ward.services.incidents.get(ward.incident.id)
        assert (left.active_response, left.responding_since) == ("", None)
        calls = [one for one in ward.services.incidents.entries(left.id) if one.kind == "escalated"]
        assert [(one.data["level"], "broke off" in one.data["reason"]) for one in calls] == [(2, True)]
        assert ward.records.list_runs(incident_id=left.id)[0].state is PlaybookRunState.FAILED


ASKING = OPTIONAL.replace("{ step: less, do: limit.lower,", "{ step: less, do: limit.lower, mode: ask,")


async def test_an_option_that_was_denied_is_carried_out_when_a_person_asks_for_it(tmp_path: Path) -> None:
    own = tmp_path / "config" / "playbooks" / "agent-failure.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(ASKING, encoding="utf-8")
    async with a_ward(tmp_path) as ward:
        ward.declare(Scenario.AGENT_FAILURE, facts=Facts(agents_failing=1, agents_total=4))
        name = await respond(ward)
        question = (await ward.until(lambda: ward.app.approvals.list_open(ward.incident.id)))[0]
        ward.app.approvals.decide(question.id, "denied", by="ada", reason="not yet", at=ward.app.clock.now())
        assert (await ward.app.engine.result(name))["state"] == "handed-over"
        asked = ward.services.incident_service.execute(ward.incident.id, person("ben"), TryOption("less"))
        again = response_id(asked.id, asked.clock.number, asked.responses)
        await ward.app.engine.start(RESPONSE, again, ResponseRequest(asked.id))
        assert (await ward.app.engine.result(again))["state"] == "helped"
        assert (done(ward)["less"].state, done(ward)["less"].actor) == (ActionState.DONE, "ben")
        assert ward.app.approvals.list_open(ward.incident.id) == ()
        assert [attempt.sentence for attempt in briefing(ward.services.incidents.get(asked.id)).attempts] == [
            "Ask less: helped"
        ]

"""A response tries, proves, undoes, asks and hands over; and stops when somebody else has settled it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestration.config.automation import AutomationSettings
from orchestration.config.schema import Configuration
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.incidents.commands.resolution import Resolve
from orchestration.playbooks.actions.registry import find_action
from orchestration.playbooks.ids import response_id
from orchestration.playbooks.runner import RESPONSE
from orchestration.playbooks.step_results import ResponseRequest
from tests.support.incidents import ADA
from tests.support.patience import fail_after
from tests.support.responses import ResponseRoom

HEAD = """\
playbook: agent-failure
title: For the tests
scenario: agent-failure
about: For the tests.
guards: { runs_per_hour: 9, attempts: 9, cooldown: 0 }
identify:
  - { step: first-look, do: mark.look, with: { name: cure } }
hypotheses:
  - hypothesis: second-fits
    says: the second would help
    when: { first-look.there: false }
    weight: 60
    points_to: SECOND
"""
TAIL = """\
verify:
  steps:
    - { step: proof, do: mark.look, with: { name: cure } }
  holds: { proof.there: true }
  within: 0.4
  stable: 0
  every: 0.1
recover:
  - { step: tidy, do: mark.leave, with: { name: tidied } }
"""
WORSE = """\
  - option: worse
    says: Try what does not help
    steps:
      - { step: a, do: mark.leave, with: { name: a } }
      - { step: b, do: mark.leave, with: { name: b } }
"""
CURE = """\
  - option: cure
    says: Try the cure
    steps: [ { step: c, do: mark.leave, with: { name: cure }, mode: MODE } ]
"""
BROKEN = """\
  - option: broken
    says: Break
    steps: [ { step: x, do: mark.leave, with: { name: x, fail: true } } ]
"""


def playbook(*options: str, pointing_to: str = "cure", mode: str = "auto") -> str:
    """A playbook with these ways to mitigate, of which the likeliest cause points to one."""
    return HEAD.replace("SECOND", pointing_to) + "mitigate:\n" + "".join(options).replace("MODE", mode) + TAIL


@pytest.fixture
def room(tmp_path: Path) -> Iterator[ResponseRoom]:
    room = ResponseRoom(tmp_path)
    yield room
    room.database.close()


async def test_what_does_not_help_is_undone_in_reverse_order_and_the_next_is_tried(room: ResponseRoom) -> None:
    room.write_playbook(playbook(WORSE, CURE, pointing_to="worse"))
    incident = room.an_incident()
    ended = await room.respond(incident)
    assert ended == {"state": "helped", "says": "Try the cure", "helped": "cure"}
    assert room.effects() == ["do a", "do b", "undo b", "undo a", "do cure", "do tidied"]
    after = room.incident(incident.id)
    assert after.status is IncidentStatus.RESOLVED
    assert after.attempted_actions == ("Try what does not help", "Try the cure")
    assert after.failed_attempts == 1
    [run] = room.records.list_runs(incident_id=incident.id)
    assert run.state is PlaybookRunState.HELPED
    assert run.hypotheses[0].id == "second-fits"
    states = {
        one.step: one.state for one in room.records.list_actions(incident_id=incident.id) if one.phase == "mitigate"
    }
    assert states == {"a": ActionState.UNDONE, "b": ActionState.UNDONE, "c": ActionState.DONE}


async def test_a_verification_leaves_one_record_for_each_change_of_its_answer(room: ResponseRoom) -> None:
    room.write_playbook(playbook(WORSE, CURE, pointing_to="worse"))
    incident = room.an_incident()
    await room.respond(incident)
    checks = [one for one in room.records.list_actions(incident_id=incident.id) if one.phase == "verify"]
    # The second option begins a verification of its own, so its checks are not added to those of the first.
    assert [one.findings["there"] for one in checks] == [False, True]
    assert checks[0].count >= 4
    assert all(one.finished_at is not None and one.finished_at >= one.started_at for one in checks)
    assert len([one for one in room.events if one.data.get("phase") == "verify"]) == 2


async def test_the_option_that_the_likeliest_cause_points_to_is_tried_first(room: ResponseRoom) -> None:
    room.write_playbook(playbook(WORSE, CURE))
    await room.respond(room.an_incident())
    assert room.effects() == ["do cure", "do tidied"]


async def test_when_nothing_helps_a_person_is_called_and_the_incident_stays_open(room: ResponseRoom) -> None:
    room.write_playbook(playbook(WORSE))
    incident = room.an_incident()
    ended = await room.respond(incident)
    assert ended["state"] == "handed-over"
    after = room.incident(incident.id)
    assert after.status.is_open
    escalated = [entry for entry in room.incident_service.records.entries(incident.id) if entry.kind == "escalated"]
    assert any("has not helped" in str(entry.data.get("reason")) for entry in escalated)


async def test_a_step_that_fails_is_no_help_and_does_not_end_the_response(room: ResponseRoom) -> None:
    room.write_playbook(playbook(BROKEN, CURE, pointing_to="broken"))
    ended = await room.respond(room.an_incident())
    assert ended["state"] == "helped"
    [failed] = [one for one in room.records.list_actions() if one.step == "x"]
    assert (failed.state, failed.summary) == (ActionState.FAILED, "it was told to fail")


async def with_answer(room: ResponseRoom, decide: Any) -> tuple[Any, str]:
    """Start a response, do something once it asks, and wait for its end."""
    incident = room.an_incident()
    async with room.engine() as engine:
        flow_id = response_id(incident.id, incident.clock.number)
        await engine.start(RESPONSE, flow_id, ResponseRequest(incident.id))
        with fail_after(20):
            while not (questions := room.approvals.list_open(incident.id)):
                await anyio.sleep(0.05)
            assert "leave the mark cure" in questions[0].question
            decide(incident, questions[0])
            return await engine.result(flow_id), incident.id


async def test_a_step_that_asks_waits_and_acts_in_the_name_of_who_approved(room: ResponseRoom) -> None:
    room.write_playbook(playbook(CURE, mode="ask"))

    def approve(_: Any, question: Any) -> None:
        assert room.effects() == []
        room.approvals.decide(question.id, "approved", "ada", "go on", room.clock.now())

    ended, incident_id = await with_answer(room, approve)
    assert ended["state"] == "helped"
    [action] = [one for one in room.records.list_actions(incident_id=incident_id) if one.step == "c"]
    assert (action.state, action.actor, action.mode) == (ActionState.DONE, "ada", "ask")


async def test_a_denied_step_is_not_done(room: ResponseRoom) -> None:
    room.write_playbook(playbook(CURE, mode="ask"))

    def deny(_: Any, question: Any) -> None:
        room.approvals.decide(question.id, "denied", "ada", "not now", room.clock.now())

    ended, incident_id = await with_answer(room, deny)
    assert ended["state"] == "handed-over"
    assert room.effects() == []
    [action] = [one for one in room.records.list_actions(incident_id=incident_id) if one.step == "c"]
    assert (action.state, action.summary) == (ActionState.DENIED, "denied by ada: not now")


async def test_a_response_stops_when_a_person_has_settled_the_incident(room: ResponseRoom) -> None:
    room.write_playbook(playbook(CURE, mode="ask"))

    def settle(incident: Any, _: Any) -> None:
        room.incident_service.execute(incident.id, ADA, Resolve("mended by hand", anyway=True))

    ended, incident_id = await with_answer(room, settle)
    assert ended["state"] == "overtaken"
    assert room.effects() == []
    assert room.approvals.list_open(incident_id) == ()


async def test_with_automation_switched_off_everything_that_changes_something_asks(room: ResponseRoom) -> None:
    room.configuration = Configuration(automation=AutomationSettings(enabled=False))
    room.write_playbook(playbook(CURE))

    def deny(_: Any, question: Any) -> None:
        assert "switched off" in question.question
        room.approvals.decide(question.id, "denied", "ada", "", room.clock.now())

    await with_answer(room, deny)
    assert room.effects() == []


async def test_a_suggestion_is_only_written_down(room: ResponseRoom) -> None:
    room.write_playbook(playbook(CURE, mode="suggest"))
    incident = room.an_incident()
    ended = await room.respond(incident)
    assert ended["state"] == "handed-over"
    assert room.effects() == []
    [action] = [one for one in room.records.list_actions(incident_id=incident.id) if one.step == "c"]
    assert (action.state, action.summary) == (ActionState.SUGGESTED, "leave the mark cure")


async def test_the_hourly_cap_asks_and_stays_tripped_until_a_person_resets_it(room: ResponseRoom) -> None:
    capped = playbook(CURE).replace("runs_per_hour: 9", "runs_per_hour: 1")
    room.write_playbook(capped.replace("name: cure } }", "name: never } }"))

    async def respond_denying(key: str) -> str:
        """One response on an incident of its own; the question, empty if none was asked."""
        incident = room.an_incident(key=key)
        asked = ""
        async with room.engine() as engine:
            flow_id = response_id(incident.id, incident.clock.number)
            await engine.start(RESPONSE, flow_id, ResponseRequest(incident.id))
            with fail_after(20):
                while not room.records.list_runs(incident_id=incident.id)[:1] or (
                    room.records.list_runs(incident_id=incident.id)[0].finished_at is None
                ):
                    for question in room.approvals.list_open(incident.id):
                        asked = question.question
                        room.approvals.decide(question.id, "denied", "ada", "", room.clock.now())
                    await anyio.sleep(0.05)
        return asked

    assert await respond_denying("first") == ""
    assert "within the hour" in await respond_denying("second")
    [trip] = room.records.list_trips()
    assert (trip.guard, trip.action) == ("hourly-cap", "mark.leave")


def with_follow_up(option: str = CURE, *, optional: bool) -> str:
    """Its recovery asks before its only step."""
    asks = "{ step: tidy, do: mark.leave, with: { name: tidied }, mode: ask" + (
        ", optional: true }" if optional else " }"
    )
    return playbook(option).replace("{ step: tidy, do: mark.leave, with: { name: tidied } }", asks)


async def resolved_with_a_question(room: ResponseRoom, decide: Any) -> tuple[Any, str]:
    """The incident is resolved while the question is open; then something is done, and the response ends."""
    incident = room.an_incident()
    async with room.engine() as engine:
        flow_id = response_id(incident.id, incident.clock.number)
        await engine.start(RESPONSE, flow_id, ResponseRequest(incident.id))
        with fail_after(20):
            while room.incident(incident.id).status is not IncidentStatus.RESOLVED:
                await anyio.sleep(0.05)
            while room.records.list_runs(incident_id=incident.id)[0].state is PlaybookRunState.RUNNING:
                await anyio.sleep(0.05)
            (question,) = room.approvals.list_open(incident.id)
            decide(question)
            return await engine.result(flow_id), incident.id


async def test_a_follow_up_that_asks_keeps_no_incident_open_and_is_done_when_somebody_agrees(
    room: ResponseRoom,
) -> None:
    room.write_playbook(with_follow_up(optional=True))

    def approve(question: Any) -> None:
        assert room.effects() == ["do cure"]
        room.approvals.decide(question.id, "approved", "ada", "yes, do", room.clock.now())

    ended, incident_id = await resolved_with_a_question(room, approve)
    assert ended["state"] == "helped"
    assert room.effects() == ["do cure", "do tidied"]
    [tidied] = [one for one in room.records.list_actions(incident_id=incident_id) if one.step == "tidy"]
    assert (tidied.state, tidied.actor, tidied.phase) == (ActionState.DONE, "ada", "recover")
    asked = [
        entry for entry in room.incident_service.records.entries(incident_id) if entry.kind == "approval-requested"
    ]
    assert len(asked) == 1, "they were told of the question before it was over"


async def test_a_follow_up_that_is_refused_is_left(room: ResponseRoom) -> None:
    room.write_playbook(with_follow_up(optional=True))
    refuse = lambda question: room.approvals.decide(question.id, "denied", "ada", "no", room.clock.now())  # noqa: E731
    ended, incident_id = await resolved_with_a_question(room, refuse)
    assert (ended["state"], room.effects()) == ("helped", ["do cure"])
    [tidied] = [one for one in room.records.list_actions(incident_id=incident_id) if one.step == "tidy"]
    assert tidied.state is ActionState.DENIED


@pytest.mark.parametrize("lasting", [True, False])
async def test_what_lasts_is_asked_although_nothing_has_helped_and_until_the_incident_is_over(
    room: ResponseRoom, monkeypatch: pytest.MonkeyPatch, lasting: bool
) -> None:
    monkeypatch.setattr(find_action("mark.leave"), "lasting", lasting)
    room.write_playbook(with_follow_up(BROKEN, optional=True))
    incident = room.an_incident()
    async with room.engine() as engine:
        flow_id = response_id(incident.id, incident.clock.number)
        await engine.start(RESPONSE, flow_id, ResponseRequest(incident.id))
        with fail_after(20):
            while (run := next(iter(room.records.list_runs(incident_id=incident.id)), None)) is None or (
                run.state is PlaybookRunState.RUNNING
            ):
                await anyio.sleep(0.05)
            assert run.state is PlaybookRunState.HANDED_OVER
            assert len(room.approvals.list_open(incident.id)) == int(lasting)
            room.incident_service.execute(incident.id, ADA, Resolve("it was worthless", anyway=True))
            await engine.result(flow_id)
    assert room.approvals.list_open(incident.id) == ()
    left = [one.state for one in room.records.list_actions(incident_id=incident.id) if one.step == "tidy"]
    assert left == ([ActionState.LEFT_OUT] if lasting else [])


async def test_a_step_of_the_recovery_that_must_be_done_is_waited_for(room: ResponseRoom) -> None:
    room.write_playbook(with_follow_up(optional=False))
    incident = room.an_incident()
    async with room.engine() as engine:
        flow_id = response_id(incident.id, incident.clock.number)
        await engine.start(RESPONSE, flow_id, ResponseRequest(incident.id))
        with fail_after(20):
            while not (questions := room.approvals.list_open(incident.id)):
                await anyio.sleep(0.05)
            assert room.incident(incident.id).status.is_open
            room.approvals.decide(questions[0].id, "approved", "ada", "yes", room.clock.now())
            assert (await engine.result(flow_id))["state"] == "helped"
    assert room.incident(incident.id).status is IncidentStatus.RESOLVED
    assert room.effects() == ["do cure", "do tidied"]

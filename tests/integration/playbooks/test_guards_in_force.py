"""Each guard holds a real action back, through the executor, and lets go when it should."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.clock import FakeClock
from orchestration.config.overrides import StopAutomation
from orchestration.domain.playbook_state import ActionState
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome, Parameters
from orchestration.playbooks.actions.registry import REGISTRY
from orchestration.playbooks.model import Mode, Risk
from tests.support.response import Fleet, a_ward, a_worker

DEBUG: dict[str, Any] = {"minutes": 5}
LOWER: dict[str, Any] = {"providers": ["own"]}


async def test_an_action_runs_so_often_in_an_hour_and_then_asks_until_a_person_resets_it(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        for number in range(3):
            assert (await ward.act("log.debug", DEBUG, f"k-{number}", runs_per_hour=3)).state is ActionState.DONE
        held = await ward.act("log.debug", DEBUG, "k-3", runs_per_hour=3)
        assert (held.state, held.guard) == (ActionState.LEFT_OUT, "hourly-cap")
        assert (await ward.decide("log.debug", DEBUG, runs_per_hour=3)).mode is Mode.ASK
        assert len(ward.overrides) == 3
        clock = FakeClock(ward.app.clock.now() + timedelta(hours=2))
        ward.use(clock=clock)
        tripped = await ward.decide("log.debug", DEBUG, runs_per_hour=3)
        assert (tripped.mode, tripped.guard) == (Mode.ASK, "tripped")
        assert (await ward.decide("limit.lower", LOWER)).mode is Mode.AUTO
        assert ward.records.reset_trips("log.debug", "ada", clock.now()) == 1
        assert (await ward.act("log.debug", DEBUG, "k-4", runs_per_hour=3)).state is ActionState.DONE


async def test_what_a_person_approved_does_not_count_as_the_machines_own(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        for number in range(3):
            decision = await ward.decide("log.debug", DEBUG, Mode.ASK)
            await ward.approve("log.debug", DEBUG, decision, f"k-{number}", actor="ada")
        assert (await ward.decide("log.debug", DEBUG, runs_per_hour=1)).mode is Mode.AUTO


async def test_after_so_many_attempts_at_an_incident_a_person_decides(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        assert (await ward.decide("log.debug", DEBUG, attempts=1)).mode is Mode.AUTO
        held = await ward.decide("log.debug", DEBUG, attempts=3)
        assert (held.mode, held.guard) == (Mode.ASK, "attempts-per-incident")
        assert (await ward.decide("evidence.resources", {}, attempts=3)).mode is Mode.AUTO


async def test_a_repetition_within_the_cooldown_is_put_off_and_not_refused(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        done = await ward.act("log.debug", DEBUG, cooldown=30)
        assert done.state is ActionState.DONE
        soon = await ward.decide("log.debug", DEBUG, cooldown=30)
        assert (soon.mode, soon.guard, 20 < soon.wait <= 30) == (Mode.AUTO, "cooldown", True)
        ward.use(clock=FakeClock(ward.app.clock.now() + timedelta(seconds=31)))
        assert (await ward.decide("log.debug", DEBUG, cooldown=30)).wait == 0


async def test_nothing_is_done_by_itself_while_most_workers_are_unwell(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        fleet = Fleet(a_worker("1", healthy=False), a_worker("2", healthy=False), a_worker("3"))
        ward.use(fleet=fleet)
        held = await ward.act("worker.replace", {"workers": ["1"]}, fleet_percent=50)
        assert (held.state, held.guard, fleet.replaced) == (ActionState.LEFT_OUT, "fleet-share", [])
        ward.use(fleet=Fleet(a_worker("1", healthy=False), a_worker("2")))
        assert (await ward.decide("worker.replace", {"workers": ["1"]}, fleet_percent=50)).guard == "tripped"
        ward.records.reset_trips("worker.replace", "ada", ward.app.clock.now())
        assert (await ward.act("worker.replace", {"workers": ["1"]}, "k-2", fleet_percent=50)).state is ActionState.DONE


async def test_one_switch_stops_all_automatic_action_and_none_of_the_looking(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        switch = ward.app.store.add_override(StopAutomation(), reason="I am in there", actor="ada")
        held = await ward.decide("log.debug", DEBUG)
        assert (held.mode, held.guard) == (Mode.ASK, "kill-switch")
        assert (await ward.decide("evidence.resources", {})).mode is Mode.AUTO
        ward.app.store.remove_override(switch.id, "ada")
        assert (await ward.decide("log.debug", DEBUG)).mode is Mode.AUTO


async def test_an_empty_target_is_refused_and_never_means_everything(tmp_path: Path) -> None:
    async with a_ward(tmp_path, automation={"actions": {"process.kill": "auto"}}) as ward:
        empty = {
            "run.cancel": {"runs": []},
            "run.restart": {"runs": []},
            "run.raise-limit": {"agents": []},
            "worker.replace": {"workers": []},
            "process.kill": {"processes": []},
            "limit.lower": {"providers": []},
            "provider.route": {"providers": []},
            "provider.reset-breaker": {"providers": []},
            "provider.start-ollama": {},
            "provider.quota-text": {"providers": []},
            "security.quarantine": {"artifacts": []},
            "security.rotate": {"variables": []},
            "security.update-command": {"packages": []},
            "people.redirect": {"channels": []},
            "people.remind": {"runs": []},
        }
        for name, given in empty.items():
            held = await ward.decide(name, given)
            assert (name, held.mode, held.guard) == (name, Mode.OFF, "empty-target")


class Wipe(Action[Any]):
    """Delete the draft; a user's own action."""

    name = "own.wipe"
    summary = "delete the draft"
    risk = Risk.DESTRUCTIVE
    parameters = Parameters

    async def run(self, context: ActionContext, parameters: Parameters) -> ActionOutcome:
        draft(self.services.root).unlink(missing_ok=True)
        return ActionOutcome("deleted the draft")


def draft(root: Path) -> Path:
    return root / "work" / "draft.txt"


async def test_what_cannot_be_taken_back_asks_unless_the_configuration_lets_just_that_action(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTRY, Wipe.name, Wipe)
    async with a_ward(tmp_path) as ward:
        draft(ward.root).write_text("precious")
        held = await ward.act("own.wipe", {})
        assert (held.state, held.guard, draft(ward.root).exists()) == (ActionState.LEFT_OUT, "destructive", True)
        assert (await ward.decide("own.wipe", {})).preview == "delete the draft"
    async with a_ward(tmp_path, automation={"actions": {"own.wipe": "auto"}}) as ward:
        assert (await ward.act("own.wipe", {}, "k-2")).state is ActionState.DONE
        assert not draft(ward.root).exists()


async def test_of_what_cannot_be_taken_back_only_cleaning_up_our_own_is_let_by_itself(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        destructive = [name for name, kind in REGISTRY.items() if kind.risk is Risk.DESTRUCTIVE]
        assert sorted(destructive) == ["cleanup.artifacts", "cleanup.logs", "process.kill"]
        an_old_log(ward)
        assert (await ward.decide("cleanup.logs", {})).mode is Mode.AUTO
    async with a_ward(tmp_path, automation={"actions": {"cleanup.logs": "ask"}}) as ward:
        assert (await ward.decide("cleanup.logs", {})).mode is Mode.ASK


@pytest.mark.parametrize("automation", [{"enabled": False}, {"actions": {"cleanup.logs": "ask"}}, {}])
async def test_nobody_is_asked_whether_nothing_may_be_cleared_away(tmp_path: Path, automation: dict[str, Any]) -> None:
    async with a_ward(tmp_path, automation=automation) as ward:
        for action in ("cleanup.logs", "cleanup.artifacts"):
            decision = await ward.decide(action, {})
            assert (decision.mode, decision.guard) == (Mode.OFF, "empty-target")
        (log,) = an_old_log(ward)
        decision = await ward.decide("cleanup.logs", {})
        assert decision.targets == (log.name,)
        assert decision.mode is (Mode.ASK if automation else Mode.AUTO)
        assert (await ward.decide("cleanup.logs", {"older_than_days": 9})).mode is Mode.OFF


def an_old_log(ward: Any) -> list[Path]:
    """A rotated one of eight days ago."""
    log = ward.app.log_folder / "orchestrator.log.20261101T000000.000001Z"
    log.write_text("0123456789")
    then = ward.app.clock.now().timestamp() - 8 * 86_400
    os.utime(log, (then, then))
    return [log]


async def test_a_mode_in_the_configuration_wins_over_the_playbooks(tmp_path: Path) -> None:
    modes = {"log.debug": "off", "limit.lower": "suggest", "evidence.git": "off"}
    async with a_ward(tmp_path, automation={"actions": modes}) as ward:
        assert (await ward.decide("log.debug", DEBUG)).mode is Mode.OFF
        assert (await ward.decide("limit.lower", LOWER)).mode is Mode.SUGGEST
        assert (await ward.decide("evidence.git", {})).mode is Mode.OFF


async def test_a_step_that_was_done_is_not_done_again_after_a_crash(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        first = await ward.act("limit.lower", LOWER)
        await ward.approve("limit.lower", LOWER, await ward.decide("limit.lower", LOWER))
        assert ward.app.effective().runtime.providers["own"].concurrency == 4
        undone = await ward.executor.undo(ward.response(), first)
        assert (undone.state, ward.overrides) == (ActionState.UNDONE, [])
        assert (await ward.executor.undo(ward.response(), first)).state is ActionState.UNDONE


async def test_an_action_that_fails_in_whatever_way_is_recorded_without_secrets(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:

        class Broken(Fleet):
            async def replace(self, worker: str, reason: str) -> None:
                raise RuntimeError("no: password=hunter2hunter2")

        ward.use(fleet=Broken(a_worker("1")))
        failed = await ward.act("worker.replace", {"workers": ["1"]})
        assert failed.state is ActionState.FAILED
        assert failed.summary.startswith("failed: RuntimeError: no: ")
        assert "hunter2" not in failed.summary

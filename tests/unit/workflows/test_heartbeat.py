from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from orchestration.clock import FakeClock
from orchestration.domain.work_phase import WorkPhase
from orchestration.events import Event, EventBus
from orchestration.security.redaction import Redactor
from orchestration.workflows.heartbeat import Activity, HeartbeatEmitter

ANSWER = Activity("hears from a/m", WorkPhase.ANSWERING, "a/m")


def emitter() -> tuple[HeartbeatEmitter, FakeClock, list[Event]]:
    clock, said = FakeClock(), list[Event]()
    bus = EventBus(clock)
    bus.subscribe(said.append)
    return HeartbeatEmitter(bus, clock, Redactor(), run_id="r", agent="a", agent_run_id="r.a"), clock, said


async def ticked(clock: FakeClock, seconds: float, each: Callable[[], object] = lambda: None) -> None:
    for _ in range(int(seconds / 0.1)):
        each()
        await clock.advance(0.1)


async def test_while_nothing_comes_a_sign_of_life_is_given_every_two_seconds_and_is_no_progress() -> None:
    heartbeat, clock, said = emitter()
    heartbeat.beat(ANSWER)
    async with heartbeat.ticking():
        await ticked(clock, 20)
    assert [event.data.get("progressed", True) for event in said] == [True, *[False] * 10]
    moments = [event.at for event in said]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(moments)]
    assert max(gaps) <= 2.01
    assert [round(event.data.get("seconds", 0)) for event in said] == list(range(0, 21, 2))


async def test_tokens_are_reported_a_few_times_a_second_and_the_last_of_them_too() -> None:
    heartbeat, clock, said = emitter()
    tokens = 0

    def token() -> None:
        nonlocal tokens
        for _ in range(50):
            tokens += 1
            heartbeat.beat(Activity(ANSWER.words, ANSWER.phase, ANSWER.about, tokens), f"word{tokens} ")

    async with heartbeat.ticking():
        await ticked(clock, 2, token)
        assert len(said) <= 10
        await ticked(clock, 1)
    assert said[-1].data["tokens"] == tokens == 1000
    assert said[-1].data["tail"].endswith("word999 word1000")
    assert len(said[-1].data["tail"]) <= 1500
    assert all(event.data.get("progressed", True) for event in said[:-1])


async def test_another_activity_is_reported_at_once_and_begins_with_an_empty_text() -> None:
    heartbeat, clock, said = emitter()
    heartbeat.beat(ANSWER, "the answer ")
    await clock.advance(3)
    heartbeat.beat(Activity("uses run_command", WorkPhase.TOOL, "pytest -q"))
    assert [(event.data["activity"], event.data.get("tail", ""), event.data.get("seconds", 0)) for event in said] == [
        ("hears from a/m", "the answer", 0),
        ("uses run_command", "", 0),
    ]

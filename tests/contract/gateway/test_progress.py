"""What a call reports while it is under way: its place in the queue, the prompt that is read, the text as it comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from starlette.responses import Response

from orchestration.domain.work_phase import WorkPhase
from orchestration.providers.wire import CallProgress
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import provider
from tests.support.vendor import DONE, END, Asked, Vendor, delta, stream

BODY = {"messages": [{"role": "user", "content": "x" * 9000}]}


def slowly(_: Asked) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        await anyio.sleep(0.5)
        for thought in ("Hm", "m."):
            yield delta(reasoning_content=thought)
            await anyio.sleep(0.3)
        for word in ("It ", "is ", "up."):
            yield delta(content=word)
            await anyio.sleep(0.3)
        yield END
        yield DONE

    return stream(pieces())


async def test_a_call_tells_where_it_is_from_the_queue_to_its_last_words(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = slowly
    desk = make_desk({"a": provider(first.url, concurrency=1)})
    told: dict[int, list[CallProgress]] = {0: [], 1: [], 2: []}

    async def ask(number: int) -> None:
        await desk.ask(body=BODY, progress=told[number].append)

    async with anyio.create_task_group() as group:
        for number in told:
            group.start_soon(ask, number)
            await anyio.wait_all_tasks_blocked()
    assert [(one.about, one.ahead) for one in told[1] if one.phase is WorkPhase.QUEUED] == [("a", 0)]
    assert [one.ahead for one in told[2] if one.phase is WorkPhase.QUEUED] == [1, 0]
    for reports in told.values():
        at_work = [one for one in reports if one.phase is not WorkPhase.QUEUED]
        assert at_work[0].phase is WorkPhase.READING
        assert at_work[0].about == "a/m"
        assert 2000 <= at_work[0].prompt_tokens <= 4000
        phases = [one.phase for one in at_work]
        assert phases == sorted(phases, key=list(WorkPhase).index)
        said = {phase: "".join(one.text for one in at_work if one.phase is phase) for phase in WorkPhase}
        # What comes within a quarter of a second of the last report is left to the message itself.
        assert "Hmm.".startswith(said[WorkPhase.THINKING])
        assert said[WorkPhase.ANSWERING] in ("It is up.", "It is ")
        assert at_work[-1].completion_tokens >= 4

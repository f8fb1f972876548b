"""Talk instead of work, and work that goes in circles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.slips import competent
from benchmarks.slips.behaviours.base import FINDINGS, LOOPS, NULL_CONTENT, Behaviour, Change, Wanted
from benchmarks.slips.behaviours.odd_calls import values
from benchmarks.slips.competent import Seen
from benchmarks.slips.wire import Reply


def words(text: str) -> Change:
    """Say only this."""
    return lambda _reply, _request: Reply(text)


def talk() -> Iterator[Behaviour]:
    """Models that speak where they should act."""
    yield Behaviour("talk: a preamble", FINDINGS, change=words("Sure! I'll start by looking at prices.py."), first=1)
    yield Behaviour(
        "talk: three preambles", FINDINGS, change=words("Let me think about the best way to do this."), first=3
    )
    yield Behaviour(
        "talk: words beside each call",
        "Anthropic's and Qwen's usual style",
        change=lambda reply, _: replace(reply, content="Next I do this.") if reply.calls else reply,
    )
    yield Behaviour(
        "talk: asks whether to go on", FINDINGS, change=words("Shall I go ahead and change the file?"), first=1
    )
    yield Behaviour("talk: nothing", "Ollama's empty answers", change=words(""), first=1)
    yield Behaviour("talk: null", NULL_CONTENT, change=lambda _r, _s: Reply(None), first=1)
    yield Behaviour(
        "talk: a refusal, once",
        "OpenAI's refusal field",
        change=lambda _r, _s: Reply(None, extra={"refusal": "I can't help with that."}),
        first=1,
    )
    yield Behaviour(
        "talk: a refusal, always",
        "OpenAI's refusal field",
        change=lambda _r, _s: Reply(None, extra={"refusal": "I can't help with that."}),
        wanted=Wanted.HONEST,
        why="no work is done, and none will be",
    )
    yield Behaviour(
        "talk: budget spent on thinking, once",
        "OpenAI's reasoning models",
        change=lambda _r, _s: Reply("", finish="length", extra={"reasoning_content": "Hmm, let me see…"}),
        first=1,
    )
    yield Behaviour(
        "talk: nothing, always", FINDINGS, change=words(""), wanted=Wanted.HONEST, why="there is no answer to read"
    )
    yield Behaviour(
        "talk: done without doing, once", FINDINGS, change=lambda _r, _s: competent.say(competent.REPORT), first=1
    )
    yield Behaviour(
        "talk: done without doing, always",
        FINDINGS,
        change=lambda _r, _s: competent.say(competent.REPORT),
        wanted=Wanted.HONEST,
        why="no work is done, and none will be",
    )
    yield Behaviour(
        "talk: done without doing, reviewer approves",
        FINDINGS,
        role="any",
        change=_everybody_lies,
        wanted=Wanted.HONEST,
        why="no work is done, and none will be",
    )
    yield Behaviour(
        "talk: done although the test fails, reviewer approves",
        FINDINGS,
        role="any",
        change=_tests_fail,
        wanted=Wanted.HONEST,
        why="the work is wrong, and stays so",
    )


def _everybody_lies(reply: Reply, request: Seen) -> Reply:
    lies = {"executor": competent.REPORT, "reviewer": competent.APPROVED}
    return competent.say(lies[request.role]) if request.role in lies else reply


def _tests_fail(reply: Reply, request: Seen) -> Reply:
    if request.role == "reviewer":
        return competent.say(competent.APPROVED)
    if request.role == "executor" and "FAILED (failures=1)" in request.text:
        return competent.say(competent.REPORT)
    wrong = values(lambda given: {**given, "new": "    return sum(prices) - 2\n"} if "new" in given else given)
    if request.role == "executor" and "sum(prices) - 2" in request.text:
        return competent.call("run_command", command=competent.TEST_COMMAND)
    return wrong(reply, request)


def circles() -> Iterator[Behaviour]:
    """Models that do not get on; the calls they cost are counted."""
    yield Behaviour(
        "circle: the same call",
        LOOPS,
        change=_always("read_file", path="prices.py"),
        wanted=Wanted.HONEST,
        why="no work is done, and none will be",
    )
    yield Behaviour(
        "circle: the same error",
        "MarimerLLC/rockbot#249",
        change=_always("read_file", path="gone.py"),
        wanted=Wanted.HONEST,
        why="no work is done, and none will be",
    )
    yield Behaviour(
        "circle: two calls in turn",
        "earendil-works/pi#6158",
        change=_in_turn,
        wanted=Wanted.HONEST,
        why="no work is done, and none will be",
    )
    yield Behaviour("circle: three times, then on", LOOPS, change=_always("read_file", path="prices.py"), first=3)


def _always(name: str, **given: Any) -> Change:
    return lambda _reply, request: _numbered(competent.call(name, **given), request)


def _in_turn(_: Reply, request: Seen) -> Reply:
    path = "prices.py" if request.turn % 2 else "tests/test_prices.py"
    return _numbered(competent.call("read_file", path=path), request)


def _numbered(reply: Reply, request: Seen) -> Reply:
    return replace(reply, calls=tuple(replace(call, id=f"call_{request.turn}") for call in reply.calls))

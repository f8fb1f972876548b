"""The faults: how the provider fails, what a client does, and what its experience is worth."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.gateway_faults.client import Answer, ask
from benchmarks.gateway_faults.gateways import SECONDARY_KEY, RunningGateway
from benchmarks.gateway_faults.process import UpstreamProcess
from benchmarks.gateway_faults.upstream import (
    DONE,
    END,
    PRIMARY,
    SECONDARY,
    Behaviour,
    Call,
    delta,
    event,
    whole,
)
from benchmarks.gateway_faults.verdict import Judgement, Verdict, answered, fact, refused, worst

HANG_SECONDS = 3600.0
ODD = "odd"
LONG = "word " * 30_000


@dataclass(frozen=True)
class Trial:
    """One fault at one gateway, whole or streamed."""

    gateway: RunningGateway
    upstream: UpstreamProcess
    key: str
    streaming: bool

    async def ask(self, **more: object) -> Answer:
        return await ask(self.gateway, self.key, streaming=self.streaming, **more)  # type: ignore[arg-type]


Run = Callable[[Trial], Awaitable[Judgement]]


@dataclass(frozen=True)
class Fault:
    """A way to fail. `kind` is the family that the table groups by."""

    name: str
    kind: str
    behaviour: Behaviour
    run: Run


async def once(trial: Trial, *, sole: bool = False, within: float = 10.0, patience: float = 20.0) -> Judgement:
    """One request, which should be answered."""
    return answered(await trial.ask(sole=sole, patience=patience), within=within)


async def honest(trial: Trial, *, sole: bool = False) -> Judgement:
    """One request, which should be refused."""
    return refused(await trial.ask(sole=sole))


async def others_unharmed(trial: Trial) -> Judgement:
    """One client sends an odd request again and again; then another client's ordinary one should go where it would
    have gone."""
    for _ in range(5):
        await trial.ask(content=ODD)
    return answered(await trial.ask(), by=PRIMARY)


async def after_warm_up(trial: Trial, *, within: float, patience: float = 20.0) -> Judgement:
    """Twelve requests while the provider is well, then one that meets the fault."""
    for _ in range(12):
        await trial.ask()
    return answered(await trial.ask(content=ODD, patience=patience), within=within)


async def stale_pool(trial: Trial) -> Judgement:
    """Six requests side by side, twice: the second time, every connection that was kept open is dead."""
    await asyncio.gather(*(trial.ask(sole=True) for _ in range(6)))
    return worst([answered(one, by=PRIMARY) for one in await asyncio.gather(*(trial.ask(sole=True) for _ in range(6)))])


async def burst(trial: Trial) -> Judgement:
    """Eight requests side by side to a provider that takes two at a time."""
    return worst([answered(one) for one in await asyncio.gather(*(trial.ask() for _ in range(8)))])


async def every_one(trial: Trial) -> Judgement:
    """Twelve requests, one after the other, to a sole provider."""
    return worst([answered(await trial.ask(sole=True)) for _ in range(12)])


async def recovery(trial: Trial) -> Judgement:
    """An outage of eight seconds, asked into twice a second; how long after its end is the first answer?"""
    await trial.upstream.set_down(trial.key, True)
    began = time.monotonic()
    while time.monotonic() - began < 8:
        await trial.ask()
        await asyncio.sleep(0.5)
    await trial.upstream.set_down(trial.key, False)
    back = time.monotonic()
    while time.monotonic() - back < 30:
        if (await trial.ask()).text == PRIMARY:
            seconds = time.monotonic() - back
            return fact(seconds <= 5, f"used again {seconds:.1f} s after it was back", Verdict.PARTIAL)
        await asyncio.sleep(0.1)
    return Judgement(Verdict.PARTIAL, "not used again within 30 s")


async def leaving(trial: Trial) -> Judgement:
    """The client goes away after a second; the provider should be let go soon after."""
    await trial.ask(sole=True, patience=1)
    for _ in range(30):
        if await trial.upstream.is_left(trial.key):
            return Judgement(Verdict.PASS, "the provider's work was stopped")
        await asyncio.sleep(0.1)
    return Judgement(Verdict.FAIL, "the provider still works 3 s after the client has left")


async def odd_json(trial: Trial) -> Judgement:
    """Requests that are hardly JSON: each has an answer, or an error in OpenAI's shape that is not the server's."""
    found = []
    for content in (b'"\\ud83d"', b"NaN", b"[" * 100_000 + b"]" * 100_000, b'{"a": 1e999}'):
        raw = b'{"model": "MODEL", "messages": [{"role": "user", "content": %s}]}' % content
        answer = await trial.ask(raw=raw)
        own = answer.is_answer or (answer.is_honest and 400 <= answer.status < 500)
        found.append(fact(own, f"{content[:12]!r}: {answer}"))
    return worst(found)


async def fields_kept(trial: Trial) -> Judgement:
    """Fields that are not in the oldest form of the API should arrive."""
    answer = await trial.ask(logprobs=True)
    choice = answer.body.get("choices", [{}])[0]
    message = choice.get("message", {})
    lost = [name for name in ("reasoning_content", "annotations") if not message.get(name)]
    lost += [] if choice.get("logprobs") else ["logprobs"]
    lost += [] if (answer.usage.get("completion_tokens_details") or {}) else ["usage details"]
    return fact(not lost, f"lost: {', '.join(lost) or 'nothing'}", Verdict.PARTIAL)


async def tokens_counted(trial: Trial) -> Judgement:
    """A provider that counts no tokens: the usage should be an estimate, and not nothing."""
    answer = await trial.ask(sole=True)
    return fact(bool(answer.usage.get("total_tokens")), f"usage {answer.usage}", Verdict.PARTIAL)


async def same_text(trial: Trial, *, text: str) -> Judgement:
    """The text should arrive as the model wrote it."""
    answer = await trial.ask(sole=True)
    try:
        answer.text.encode()
    except UnicodeEncodeError:
        return Judgement(Verdict.PARTIAL, "half characters")
    return answered(answer, by=text)


async def cut_later(trial: Trial, *, patience: float = 20.0, within: float = 10.0) -> Judgement:
    """A stream that has begun cannot be answered by another any more; it has to end with an error. A whole answer
    can."""
    answer = await trial.ask(patience=patience)
    if trial.streaming and not answer.is_answer and answer.text in PRIMARY:
        return Judgement(Verdict.SAFE if answer.is_honest else Verdict.FAIL, str(answer))
    return answered(answer, within=within)


async def filter_shown(trial: Trial) -> Judgement:
    """What a filter has stopped is an error, or an answer that says so."""
    answer = await trial.ask(sole=True)
    return fact(answer.is_honest or answer.finish == "content_filter", str(answer))


# How providers behave.


def status(
    code: int, message: str = "no", error_code: str | None = None, *, times: int = 10**9, **headers: str
) -> Behaviour:
    """Refuses, the first so many times."""

    async def behave(call: Call) -> None:
        if call.number <= times:
            await call.refuse(code, message, error_code, **headers)
        else:
            await call.well()

    return behave


def only_odd(behaviour: Behaviour) -> Behaviour:
    """Misbehaves on one client's odd request alone."""

    async def behave(call: Call) -> None:
        await (behaviour(call) if call.said == ODD else call.well())

    return behave


async def hang(_: Call) -> None:
    await asyncio.sleep(HANG_SECONDS)


async def slow_start(call: Call) -> None:
    await asyncio.sleep(12)
    await call.well()


async def stall(call: Call) -> None:
    await call.begin()
    await call.part(delta(role="assistant", content="Primary "))
    await asyncio.sleep(HANG_SECONDS)


async def endless(call: Call) -> None:
    await call.begin()
    while True:
        await call.part(delta(role="assistant", content="word "))
        await asyncio.sleep(0.05)


async def cut_before(call: Call) -> None:
    await call.begin()
    await call.part(delta(role="assistant", content=""))
    call.close()


async def cut_after(call: Call) -> None:
    await call.begin()
    await call.part(delta(role="assistant", content="Primary "))
    call.close()


async def cut_cleanly(call: Call) -> None:
    if call.streaming:
        await call.events(delta(role="assistant", content="Primary "), DONE)
    else:
        await call.send(200, json.dumps(whole(PRIMARY)).encode()[:60], "application/json")


async def reset_once(call: Call) -> None:
    if call.number == 1:
        call.reset()
    else:
        await call.well()


async def reset_kept(call: Call) -> None:
    if call.fresh:
        await asyncio.sleep(0.2)
        await call.well()
    else:
        call.reset()


async def html(call: Call) -> None:
    await call.send(200, b"<!doctype html><title>Sign in</title>", "text/html")


async def garbage(call: Call) -> None:
    await call.send(200, b"data: {nonsense\n\n" if call.streaming else b"{nonsense", "application/json")


async def error_in_200(call: Call) -> None:
    await call.json(200, {"error": {"message": "upstream is down", "code": 502}})


async def error_in_stream(call: Call) -> None:
    await call.events(event({"error": {"message": "upstream is down", "code": 502}}), DONE)


async def empty(call: Call) -> None:
    if call.streaming:
        await call.events(delta(role="assistant", content=""), END, DONE)
    else:
        await call.json(200, whole(""))


async def every_third_empty(call: Call) -> None:
    await (empty(call) if call.number % 3 == 0 else call.well())


async def filtered(call: Call) -> None:
    if call.streaming:
        await call.events(delta(role="assistant", content=""), delta(finish_reason="content_filter"), DONE)
    else:
        await call.json(200, whole("", "content_filter"))


async def strict_events(call: Call) -> None:
    """Everything that the standard of event streams allows."""
    if not call.streaming:
        await call.well()
        return
    pretty = json.dumps(json.loads(delta(content="answers.")[6:]), indent=1).replace("\n", "\r\ndata: ")
    text = b"\xef\xbb\xbf: hello\r\r" + delta(role="assistant", content="Primary ").replace(b"\n", b"\r")
    text += b"id: 7\r\nretry: 10\r\ndata: " + pretty.encode() + b"\r\n\r\n" + END + DONE
    await call.begin()
    for at in range(0, len(text), 7):
        await call.part(text[at : at + 7])
    await call.end()


async def halves(call: Call) -> None:
    if not call.streaming:
        await call.json(200, whole("Yes \U0001f600."))
        return
    raw = [
        b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n' % one for one in (b"Yes \\ud83d", b"\\ude00.")
    ]
    await call.events(delta(role="assistant", content=""), *raw, END, DONE)


DETAILS = {
    "prompt_tokens": 9,
    "completion_tokens": 9,
    "total_tokens": 18,
    "completion_tokens_details": {"reasoning_tokens": 5},
}
PROBABILITIES = {"content": [{"token": "Yes", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}


async def many_fields(call: Call) -> None:
    more = {"reasoning_content": "hm", "annotations": [{"type": "url_citation"}]}
    if not call.streaming:
        await call.json(200, whole(PRIMARY, message=more, choice={"logprobs": PROBABILITIES}, usage=DETAILS))
        return
    await call.events(delta(role="assistant", **more), delta(content=PRIMARY, choice={"logprobs": PROBABILITIES}), END,
                      event({"choices": [], "usage": DETAILS}), DONE)  # fmt: skip


async def uncounted(call: Call) -> None:
    if call.streaming:
        await call.events(delta(role="assistant", content=PRIMARY), END, DONE)
    else:
        await call.json(200, whole(PRIMARY, usage=None))


async def two_at_a_time(call: Call) -> None:
    running = call.memory.get("running", 0)
    if running >= 2:
        await call.refuse(429, "too many requests", retry_after="1")
        return
    call.memory["running"] = running + 1
    await asyncio.sleep(0.3)
    call.memory["running"] -= 1
    await call.well()


async def outage(call: Call) -> None:
    await (call.refuse(503, "down") if call.memory.get("down") else call.well())


async def too_long(call: Call) -> None:
    message = "This model's maximum context length is 8192 tokens."
    await (call.refuse(400, message, "context_length_exceeded") if len(call.said) > 9000 else call.well())


async def long_conversation(trial: Trial) -> Judgement:
    return answered(await trial.ask(content=LONG), by=SECONDARY)


# fmt: off
FAULTS = (
    Fault("500 once", "status", status(500, times=1), once),
    Fault("503 always", "status", status(503), once),
    Fault("503 always, sole provider", "status", status(503), partial(honest, sole=True)),
    Fault("401", "status", status(401), once),
    Fault("404, no such model", "status", status(404, "The model `m` does not exist", "model_not_found"), once),
    Fault("400, the request is wrong", "status", status(400, "a field has a wrong value"), partial(honest, sole=True)),
    Fault("429, wait a second, sole provider", "overload", status(429, times=1, retry_after="1"),
          partial(once, sole=True)),
    Fault("429, wait a minute", "overload", status(429, retry_after="60"), partial(once, within=5)),
    Fault("503, wait a day, sole provider", "overload", status(503, retry_after="86400"), partial(honest, sole=True)),
    Fault("two at a time, eight asked", "overload", two_at_a_time, burst),
    Fault("never answers, after having been well", "silence", only_odd(hang), partial(after_warm_up, within=10)),
    Fault("first token after 12 s, usually at once", "slow start", only_odd(slow_start),
          partial(after_warm_up, within=5)),
    Fault("stalls in the middle", "stall", stall, partial(cut_later, patience=60, within=45)),
    Fault("cut before the first token", "cut", cut_before, once),
    Fault("cut after the first token", "cut", cut_after, cut_later),
    Fault("cut cleanly, without a finish reason", "cut", cut_cleanly, cut_later),
    Fault("reset once", "connection", reset_once, partial(once, sole=True)),
    Fault("all kept connections reset", "connection", reset_kept, stale_pool),
    Fault("a page of HTML", "garbage", html, once),
    Fault("not JSON", "garbage", garbage, once),
    Fault("an error under status 200", "garbage", error_in_200, once),
    Fault("an error as the first event", "garbage", error_in_stream, once),
    Fault("an empty answer", "garbage", empty, once),
    Fault("every third answer empty, sole provider", "flap", every_third_empty, every_one),
    Fault("back after an outage", "flap", outage, recovery),
    Fault("a conversation that is too long", "context", too_long, long_conversation),
    Fault("the content filter ends the answer", "filter", filtered, filter_shown),
    Fault("403 for one client's prompt", "others", only_odd(status(403, "Your input was flagged")), others_unharmed),
    Fault("402 for one client's long answer", "others", only_odd(status(402, "or fewer max_tokens")), others_unharmed),
    Fault("500 for one client's odd request", "others", only_odd(status(500)), others_unharmed),
    Fault("nothing for one client's odd request", "others", only_odd(empty), others_unharmed),
    Fault("event streams by the standard", "wire", strict_events, partial(same_text, text=PRIMARY)),
    Fault("a character in halves", "wire", halves, partial(same_text, text="Yes \U0001f600.")),
    Fault("fields of newer models", "wire", many_fields, fields_kept),
    Fault("a client's odd JSON", "wire", lambda call: call.well(), odd_json),
    Fault("no count of tokens", "accounting", uncounted, tokens_counted),
    Fault("the client leaves", "accounting", endless, leaving),
)
# fmt: on


def keys() -> dict[str, tuple[Fault, bool]]:
    """A path of the upstream server for each fault, whole and streamed."""
    both = [(fault, streaming) for fault in FAULTS for streaming in (False, True)]
    return {f"f{number}": one for number, one in enumerate(both)}


def all_behaviours() -> dict[str, Behaviour]:
    """What each path of the upstream server does."""

    async def well(call: Call) -> None:
        await call.well(SECONDARY)

    return {SECONDARY_KEY: well, **{key: fault.behaviour for key, (fault, _) in keys().items()}}

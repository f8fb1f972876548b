"""Streams as they come over the wire: whole, broken, slow, and handed on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.responses import PlainTextResponse, Response

from orchestration.domain.work_phase import WorkPhase
from orchestration.providers.failures import NoRouteError, RequestRefusedError, StreamInterruptedError
from orchestration.providers.wire import CallProgress
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import provider
from tests.support.patience import patient
from tests.support.vendor import DONE, END, Asked, Vendor, delta, event, refused, stream, streamed, whole


def limits() -> dict[str, float]:
    """Short ones, which a provider that is well keeps on a busy machine, too."""
    return {"firstToken": patient(0.25), "nextToken": patient(0.25), "call": patient(2)}


def both(first: Vendor, second: Vendor, **more: Any) -> dict[str, dict[str, Any]]:
    return {"a": provider(first.url, **more), "b": provider(second.url, **more)}


def text(chunks: list[Mapping[str, Any]]) -> str:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return "".join(one.get("content") or "" for one in deltas)


BROKEN = {
    "no finish reason": [delta(content="Ye"), DONE],
    "no end at all": [delta(content="Ye")],
    "nothing": [],
    "only a mark": [DONE],
    "an end without an answer": [delta(role="assistant"), END, DONE],
    "no JSON": [delta(content="Ye"), b"data: {nonsense\n\n"],
    "no chunk": [b"data: [1]\n\n"],
    "choices of a wrong shape": [event({"choices": ["x"]})],
    "content of a wrong shape": [delta(content={"a": 1}), END, DONE],
    "calls of a wrong shape": [delta(tool_calls=[3]), END, DONE],
    "usage of a wrong shape": [delta(content="Y"), END, event({"choices": [], "usage": {"prompt_tokens": "x"}}), DONE],
}


@pytest.mark.parametrize("pieces", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_stream_is_tried_once_more_and_then_elsewhere(
    make_desk: MakeDesk, first: Vendor, second: Vendor, pieces: list[bytes]
) -> None:
    first.answer = lambda asked: stream(pieces)
    desk = make_desk(both(first, second))
    completion = await desk.ask()
    assert [one.outcome for one in completion.tries] == ["malformed", "malformed", "ok"]
    assert completion.message["content"] == "Yes."
    assert desk.breakers("a") == [], "the request may be the cause"


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse(""),
        Response(b"\x00\xff", media_type="application/json"),
        Response(b"[]", media_type="application/json"),
        Response(b'{"choices": []}', media_type="application/json"),
        Response(b'{"choices": [1]}', media_type="application/json"),
        Response(b'{"choices": [{"message": "x"}]}', media_type="application/json"),
        whole(None),
        whole(""),
        whole("Ye", finish=None),
        Response(status_code=302, headers={"location": "/elsewhere"}),
        Response(status_code=204),
    ],
)
async def test_a_broken_whole_answer_is_tried_once_more_and_then_elsewhere(
    make_desk: MakeDesk, first: Vendor, second: Vendor, answer: Response
) -> None:
    first.answer = lambda asked: answer
    completion = await make_desk(both(first, second, streaming=False)).ask()
    assert [one.outcome for one in completion.tries] == ["malformed", "malformed", "ok"]


async def test_one_broken_answer_that_a_second_try_mends_counts_against_nobody(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    first.answer = lambda asked: stream([]) if len(first.chats) == 1 else streamed("Yes.")
    desk = make_desk(both(first, second))
    completion = await desk.ask()
    assert [(one.route.provider, one.outcome) for one in completion.tries] == [("a", "malformed"), ("a", "ok")]
    assert desk.breakers("a") == []


@pytest.mark.parametrize("line", [event({"error": {"message": "runner stopped"}}), b'{"error": "runner stopped"}\n'])
async def test_an_error_in_the_middle_of_a_stream_is_an_overload(
    make_desk: MakeDesk, first: Vendor, second: Vendor, line: bytes
) -> None:
    first.answer = lambda asked: stream([delta(content="Ye"), line])
    completion = await make_desk(both(first, second)).ask()
    assert [(one.outcome, one.detail) for one in completion.tries] == [
        *[("overloaded", "runner stopped")] * 2,
        ("ok", ""),
    ]


async def test_a_stream_that_the_filter_stops_is_refused(make_desk: MakeDesk, first: Vendor, second: Vendor) -> None:
    first.answer = lambda asked: stream([delta(content="Ye"), delta(finish_reason="content_filter"), DONE])
    with pytest.raises(RequestRefusedError, match="content filter"):
        await make_desk(both(first, second)).ask()


async def test_characters_that_end_lines_of_text_do_not_end_lines_of_a_stream(
    make_desk: MakeDesk, first: Vendor
) -> None:
    odd = "a\u2028b\x85c\u2029d\x0ce"
    first.answer = lambda asked: stream([delta(content=odd), END, DONE])
    assert (await make_desk({"a": provider(first.url)}).ask()).message["content"] == odd


async def test_lines_may_arrive_in_any_pieces_and_with_carriage_returns(make_desk: MakeDesk, first: Vendor) -> None:
    whole_text = b": comment\n\n" + delta(content="Yé") + END + DONE
    data = whole_text.replace(b"\n", b"\r\n")

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 7):
            yield data[start : start + 7]
            await anyio.lowlevel.checkpoint()

    first.answer = lambda asked: stream(pieces())
    assert (await make_desk({"a": provider(first.url)}).ask()).message["content"] == "Yé"


async def test_a_stream_that_says_that_it_is_whole_needs_no_mark_of_its_end(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: stream([delta(content="Yes."), END])
    completion = await make_desk({"a": provider(first.url)}).ask()
    assert completion.message["content"] == "Yes."
    assert completion.usage.estimated


@pytest.mark.parametrize("streaming", [True, False])
async def test_one_connection_carries_one_call_after_the_other(
    make_desk: MakeDesk, first: Vendor, streaming: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However late the server's end of the response comes on a busy machine.
    monkeypatch.setattr("orchestration.providers.endpoint._DRAIN_SECONDS", 30.0)
    desk = make_desk({"a": provider(first.url, streaming=streaming)})
    for _ in range(5):
        await desk.ask()
    # A slow machine may need a second one, for the question whether the server still works.
    assert len({one.client for one in first.asked}) <= 2


async def test_a_server_that_lingers_after_its_last_word_costs_no_time(make_desk: MakeDesk, first: Vendor) -> None:
    async def lingering() -> AsyncIterator[bytes]:
        for piece in (delta(content="Yes."), END, DONE):
            yield piece
        await anyio.sleep(30)

    first.answer = lambda asked: stream(lingering())
    completion = await make_desk({"a": provider(first.url)}).ask()
    assert completion.seconds < 1


def paused(*pieces: bytes | float) -> Response:
    """A stream with pauses in it, in seconds."""

    async def parts() -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, float):
                await anyio.sleep(piece)
            else:
                yield piece

    return stream(parts())


SLOW = {
    "no first token within 0.25 s": [delta(role="assistant", content=""), 30.0],
    "no next token within 0.25 s": [delta(content="Y"), 30.0],
    "no end within 0.6 s": [piece for _ in range(20) for piece in (delta(content="Y"), 0.1)],
}


@pytest.mark.parametrize("expected", SLOW)
async def test_each_time_limit_is_told_by_its_name(
    make_desk: MakeDesk, first: Vendor, second: Vendor, expected: str
) -> None:
    first.answer = lambda asked: paused(*SLOW[expected])
    timeouts = {"firstToken": 0.25, "nextToken": 0.25, "call": 0.6}
    desk = make_desk({"a": provider(first.url, timeouts=timeouts), "b": provider(second.url)})
    completion = await desk.ask()
    assert [(one.outcome, one.detail) for one in completion.tries] == [("timeout", expected), ("ok", "")]


async def test_a_call_may_have_less_time_than_its_provider_gives(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: paused(30.0)
    with pytest.raises(NoRouteError, match=r"no end within 0\.1 s"):
        await make_desk({"a": provider(first.url)}).ask(seconds=0.1)


async def test_thoughts_are_a_sign_of_life_and_kept_apart_from_the_answer(make_desk: MakeDesk, first: Vendor) -> None:
    thoughts = [piece for _ in range(4) for piece in (delta(reasoning_content="hm"), 0.1)]
    first.answer = lambda asked: paused(*thoughts, delta(content="Yes."), END, DONE)
    completion = await make_desk({"a": provider(first.url, timeouts=limits())}).ask()
    assert completion.message == {"role": "assistant", "content": "Yes.", "reasoning_content": "hmhmhmhm"}
    assert completion.first_token_seconds is not None
    assert completion.first_token_seconds < 0.2


async def test_a_whole_answer_has_as_long_as_the_whole_call(make_desk: MakeDesk, first: Vendor) -> None:
    async def late(asked: Asked) -> Response:
        await anyio.sleep(0.5)
        return whole("Yes.")

    first.answer = late
    completion = await make_desk({"a": provider(first.url, streaming=False, timeouts=limits())}).ask()
    assert completion.message["content"] == "Yes."


async def test_a_refusal_of_the_model_is_an_answer(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: stream([delta(refusal="I "), delta(refusal="must not."), END, DONE])
    completion = await make_desk({"a": provider(first.url)}).ask()
    assert completion.message == {"role": "assistant", "content": None, "refusal": "I must not."}


async def test_progress_is_told_for_the_first_token_and_then_now_and_then(make_desk: MakeDesk, first: Vendor) -> None:
    told: list[CallProgress] = []
    first.answer = lambda asked: paused(*[delta(content="x")] * 200, 0.3, delta(content="x"), END, DONE)
    await make_desk({"a": provider(first.url)}).ask(progress=told.append)
    assert [one.completion_tokens for one in told if one.phase is WorkPhase.ANSWERING] == [1, 201]


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_answer_is_handed_on_as_chunks(make_desk: MakeDesk, first: Vendor, streaming: bool) -> None:
    chunks: list[Mapping[str, Any]] = []

    async def on_chunk(chunk: Mapping[str, Any]) -> None:
        chunks.append(chunk)

    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    if not streaming:
        first.answer = lambda asked: whole("Yes.", tool_calls=[call])
    completion = await make_desk({"a": provider(first.url, streaming=streaming)}).ask(on_chunk)
    assert text(chunks) == completion.message["content"] == "Yes."
    assert [one["choices"][0]["finish_reason"] for one in chunks if one["choices"]][-1] == "stop"
    if not streaming:
        assert chunks[0]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **call}]


async def test_nothing_is_handed_on_of_an_answer_that_fails_before_its_first_token(
    make_desk: MakeDesk, first: Vendor, second: Vendor
) -> None:
    chunks: list[Mapping[str, Any]] = []

    async def on_chunk(chunk: Mapping[str, Any]) -> None:
        chunks.append(chunk)

    first.answer = lambda asked: paused(delta(role="assistant", content=""), 30.0)
    completion = await make_desk(both(first, second, timeouts=limits())).ask(on_chunk)
    assert completion.route.provider == "b"
    assert sum("role" in one["choices"][0]["delta"] for one in chunks if one["choices"]) == 1


@pytest.mark.parametrize("rest", [[DONE], [30.0], [event({"error": {"message": "gone"}})]])
async def test_an_answer_that_was_handed_on_in_part_is_not_begun_again(
    make_desk: MakeDesk, first: Vendor, second: Vendor, rest: list[bytes | float]
) -> None:
    chunks: list[Mapping[str, Any]] = []

    async def on_chunk(chunk: Mapping[str, Any]) -> None:
        chunks.append(chunk)

    first.answer = lambda asked: paused(delta(content="Ye"), *rest)
    desk = make_desk(both(first, second, timeouts=limits()))
    with pytest.raises(StreamInterruptedError, match="broke off"):
        await desk.ask(on_chunk)
    assert text(chunks) == "Ye"
    assert (len(first.chats), len(second.chats)) == (1, 0)
    assert desk.said("model_call.failed")[0].data["outcome"] == "broken_off"


async def test_while_a_slow_reader_takes_a_chunk_no_time_limit_runs(make_desk: MakeDesk, first: Vendor) -> None:
    async def on_chunk(chunk: Mapping[str, Any]) -> None:
        await anyio.sleep(0.3)

    first.answer = lambda asked: stream([delta(content="Ye"), delta(content="s."), END, DONE])
    completion = await make_desk({"a": provider(first.url, timeouts=limits())}).ask(on_chunk)
    assert completion.message["content"] == "Yes."


async def test_an_error_of_the_readers_own_is_not_the_providers(make_desk: MakeDesk, first: Vendor) -> None:
    async def on_chunk(chunk: Mapping[str, Any]) -> None:
        raise TimeoutError("the reader went away")

    desk = make_desk({"a": provider(first.url)})
    with pytest.raises(TimeoutError, match="reader"):
        await desk.ask(on_chunk)
    assert desk.status("a").state == "closed"
    assert desk.said("model_call.failed")[0].data["outcome"] == "error"


async def test_a_huge_error_page_is_cut(make_desk: MakeDesk, first: Vendor, second: Vendor) -> None:
    first.answer = lambda asked: PlainTextResponse("x" * 1_000_000, 500)
    completion = await make_desk(both(first, second)).ask()
    assert [one.outcome for one in completion.tries] == ["overloaded", "overloaded", "ok"]
    assert completion.tries[0].detail == "x" * 300


async def test_a_refused_request_names_the_provider_and_its_words(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: refused(422, "temperature must be a number")
    with pytest.raises(RequestRefusedError, match="a/m refused the request: temperature must be a number"):
        await make_desk({"a": provider(first.url)}).ask()

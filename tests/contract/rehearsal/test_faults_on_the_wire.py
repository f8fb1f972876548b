"""Each fault as a client meets it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx2
import pytest

from orchestration.clock import FakeClock
from orchestration.rehearsal import RehearsalServer
from tests.contract.rehearsal.chat import OLLAMA, OPENAI, events, lines, request
from tests.support.patience import patient

FAULTS = "/rehearsal/faults"
# For what never comes: the longer, the surer on a busy machine that it is what does not come.
SILENT = httpx2.Timeout(patient(5), read=patient(0.5))


def with_fault(fault: str) -> dict[str, str]:
    return {"x-rehearsal-fault": fault}


async def ask(client: httpx2.AsyncClient, fault: str = "", **more: Any) -> httpx2.Response:
    return await client.post(OPENAI, json=request(**more), headers=with_fault(fault))


async def ask_in_vain(client: httpx2.AsyncClient, fault: str) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        await client.post(OPENAI, json=request(), headers=with_fault(fault), timeout=SILENT)


@pytest.mark.parametrize(
    ("fault", "status", "kind", "code"),
    [
        ("400", 400, "invalid_request_error", None),
        ("400_content_filter", 400, "invalid_request_error", "content_filter"),
        ("401", 401, "invalid_request_error", "invalid_api_key"),
        ("403", 403, "api_error", "forbidden"),
        ("404", 404, "invalid_request_error", "model_not_found"),
        ("404_ollama", 404, "not_found_error", None),
        ("404_azure", 404, "api_error", "DeploymentNotFound"),
        ("410", 410, "api_error", "gone"),
        ("413", 413, "invalid_request_error", None),
        ("429_quota", 429, "insufficient_quota", "insufficient_quota"),
        ("500", 500, "server_error", None),
        ("502", 502, "server_error", None),
        ("503", 503, "api_error", None),
        ("529", 529, "overloaded_error", None),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_status_fault_comes_with_its_error_body(
    client: httpx2.AsyncClient, fault: str, status: int, kind: str, code: str | None, streaming: bool
) -> None:
    response = await ask(client, fault, stream=streaming)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (status, kind, code)
    assert error["message"].startswith("[rehearsal]")
    assert response.headers["x-rehearsal"] == "true"


async def test_a_retry_date_lies_in_the_future_by_the_servers_clock() -> None:
    clock = FakeClock(datetime(2026, 1, 5, 9, 0, tzinfo=UTC))
    async with (
        RehearsalServer(clock=clock, latency=0) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=patient(30)) as client,
    ):
        date = parsedate_to_datetime((await ask(client, "429_date:90")).headers["retry-after"])
    assert (date - clock.now()).total_seconds() == 90


async def test_retry_hints_come_as_seconds_as_milliseconds_or_not_at_all(client: httpx2.AsyncClient) -> None:
    assert (await ask(client, "429:3")).headers["retry-after"] == "3"
    assert (await ask(client, "429_ms:1.5")).headers["retry-after-ms"] == "1500"
    assert not [name for name in (await ask(client, "429_bare")).headers if name.startswith("retry")]


async def test_a_hanging_request_is_accepted_and_never_answered(client: httpx2.AsyncClient) -> None:
    await ask_in_vain(client, "hang")


async def test_a_slow_answer_comes_when_its_time_has_passed() -> None:
    clock = FakeClock()
    async with (
        RehearsalServer(clock=clock, latency=0) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=patient(30)) as client,
    ):
        await ask_in_vain(client, "slow:60")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_let_time_fly, clock)
            response = await client.post(OPENAI, json=request(), headers=with_fault("slow:60"), timeout=5)
            tasks.cancel_scope.cancel()
    assert response.status_code == 200


async def _let_time_fly(clock: FakeClock) -> None:
    for _ in range(1000):
        await clock.advance(60)
        await anyio.sleep(0.005)


async def _stream_until_it_breaks(client: httpx2.AsyncClient, fault: str) -> tuple[list[str], str]:
    """The lines of a stream as far as they come, and the name of the error that ends it."""
    found: list[str] = []

    async def read() -> None:
        body = request(stream=True)
        async with client.stream("POST", OPENAI, json=body, headers=with_fault(fault), timeout=SILENT) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                found.extend([line] if line else [])

    with pytest.raises(httpx2.TransportError) as caught:
        await read()
    return found, type(caught.value).__name__


async def test_a_stalled_stream_falls_silent_after_some_tokens(client: httpx2.AsyncClient) -> None:
    found, end = await _stream_until_it_breaks(client, "stall")
    assert len(found) > 2
    assert end == "ReadTimeout"


async def test_a_disconnected_stream_is_reset_after_some_tokens(client: httpx2.AsyncClient) -> None:
    found, end = await _stream_until_it_breaks(client, "disconnect")
    assert len(found) > 2
    assert end == "ReadError"


async def test_slow_tokens_stop_coming_in_time(client: httpx2.AsyncClient) -> None:
    found, end = await _stream_until_it_breaks(client, "slow_tokens:30")
    assert len(found) == 1
    assert end == "ReadTimeout"


async def test_a_truncated_stream_ends_cleanly_without_a_finish_reason(client: httpx2.AsyncClient) -> None:
    chunks = events((await ask(client, "truncate", stream=True)).text)
    assert len(chunks) > 2
    assert {chunk["choices"][0]["finish_reason"] for chunk in chunks} == {None}


async def test_a_truncated_ollama_stream_is_never_done(client: httpx2.AsyncClient) -> None:
    response = await client.post(OLLAMA, json=request(stream=True), headers=with_fault("truncate"))
    assert {line["done"] for line in lines(response.text)} == {False}


async def test_a_truncated_answer_is_half_a_json_object(client: httpx2.AsyncClient) -> None:
    response = await ask(client, "truncate")
    assert (response.status_code, response.text[:1]) == (200, "{")
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        response.json()


async def test_an_error_can_come_in_the_middle_of_a_good_stream(client: httpx2.AsyncClient) -> None:
    openai = events((await ask(client, "error_line", stream=True)).text)
    response = await client.post(OLLAMA, json=request(stream=True), headers=with_fault("error_line"))
    ollama = lines(response.text)
    assert response.status_code == 200
    assert "choices" in openai[0]
    assert openai[-1]["error"]["type"] == "api_error"
    assert "message" in ollama[0]
    assert ollama[-1] == {"error": "[rehearsal] the model runner has stopped"}


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [("empty", 200, ""), ("garbage", 200, "no JSON"), ("html", 502, "<h1>Bad gateway</h1>")],
)
@pytest.mark.parametrize("streaming", [False, True])
async def test_some_bodies_are_no_answer_at_all(
    client: httpx2.AsyncClient, fault: str, status: int, text: str, streaming: bool
) -> None:
    response = await ask(client, fault, stream=streaming)
    assert response.status_code == status
    assert text in response.text
    with pytest.raises(ValueError):
        response.json()


async def test_a_bad_answer_is_well_formed_and_matches_no_schema(client: httpx2.AsyncClient) -> None:
    choice = (await ask(client, "bad_json_answer", role="planner")).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert list(json.loads(choice["message"]["content"])) == ["unexpected"]


@pytest.mark.parametrize("path", [OPENAI, OLLAMA])
async def test_a_bad_tool_call_has_arguments_that_are_no_json(client: httpx2.AsyncClient, path: str) -> None:
    body = (await client.post(path, json=request(), headers=with_fault("bad_tool_call"))).json()
    message = body["choices"][0]["message"] if path == OPENAI else body["message"]
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(message["tool_calls"][0]["function"]["arguments"])


async def test_a_fault_may_stand_in_the_models_name(client: httpx2.AsyncClient) -> None:
    assert (await ask(client, model="rehearsal-1?fault=429:9")).headers["retry-after"] == "9"
    assert (await ask(client)).json()["model"] == "rehearsal-1"


async def test_an_unknown_fault_is_refused_with_the_list_of_those_that_exist(client: httpx2.AsyncClient) -> None:
    response = await ask(client, "418")
    assert response.status_code == 400
    assert "bad_tool_call" in response.json()["error"]["message"]


async def test_a_posted_fault_hits_the_next_requests_only(client: httpx2.AsyncClient) -> None:
    posted = await client.post(FAULTS, json={"fault": "503", "count": 2, "seconds": None, "match": None})
    assert posted.json()["faults"][0]["left"] == 2
    assert [(await ask(client)).status_code for _ in range(3)] == [503, 503, 200]
    stats = (await client.get("/rehearsal/stats")).json()
    assert stats == {"paths": {OPENAI: 3}, "faults": {"503": 2}, "most_at_once": 1}


async def test_a_sick_provider_fails_its_probes_too_and_never_the_controls(client: httpx2.AsyncClient) -> None:
    await client.post(FAULTS, json={"fault": "401"})
    assert {(await client.get(path)).status_code for path in ("/", "/api/tags", "/v1/models")} == {401}
    assert (await client.get(FAULTS)).json()["faults"][0]["fault"] == "401"
    assert (await client.delete(FAULTS)).json()["faults"] == []
    assert (await client.get("/v1/models")).status_code == 200


async def test_a_posted_fault_may_be_for_one_role(client: httpx2.AsyncClient) -> None:
    await client.post(FAULTS, json={"fault": "500", "match": {"role": "reviewer"}})
    assert (await ask(client, role="planner")).status_code == 200
    assert (await ask(client, role="reviewer")).status_code == 500


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({}, "fault is wrong: Field required"),
        ({"fault": "418"}, "expected"),
        ({"fault": "503", "count": 0}, "count is wrong: Input should be greater than or equal to 1"),
        ({"fault": "refuse"}, "expected"),
        ({"fault": "refuse", "count": 1}, "expected"),
    ],
)
async def test_a_bad_order_is_refused_and_changes_nothing(client: httpx2.AsyncClient, order: dict, reason: str) -> None:
    response = await client.post(FAULTS, json=order)
    assert (response.status_code, (await client.get(FAULTS)).json()["faults"]) == (400, [])
    assert reason in response.json()["error"]["message"]


async def test_calls_are_listed_so_that_a_repeated_one_shows(client: httpx2.AsyncClient) -> None:
    await ask(client, role="planner")
    await ask(client, "503", role="planner")
    await ask(client, text="Another question", role="executor", stream=True)
    first, again, other = (await client.get("/rehearsal/calls")).json()["calls"]
    assert (first["role"], first["fault"], again["fault"]) == ("planner", None, "503")
    assert first["fingerprint"] == again["fingerprint"] != other["fingerprint"]
    assert other == {
        "path": OPENAI,
        "model": "rehearsal-1",
        "role": "executor",
        "fingerprint": other["fingerprint"],
        "streaming": True,
        "fault": None,
    }

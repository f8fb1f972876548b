"""Every call is one event, and what is wrong with a route is another."""

from __future__ import annotations

import pytest

from orchestration.providers.failures import NoRouteError
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import provider
from tests.support.vendor import Vendor, refused

PRICES = {"b": [{"name": "m", "inputUsdPerMillion": 1, "outputUsdPerMillion": 10}]}


async def test_a_finished_call_tells_everything(make_desk: MakeDesk, first: Vendor, second: Vendor) -> None:
    first.answer = lambda asked: refused(503, "busy")
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)}, models=PRICES)
    completion = await desk.ask(run_id="r", agent="planner", key="k")
    (event,) = desk.said("model_call.finished")
    data = dict(event.data)
    assert (event.run_id, event.agent, data.pop("key")) == ("r", "planner", "k")
    tries = data.pop("tries")
    assert [(one["route"], one["outcome"], one["status"], one["detail"]) for one in tries] == [
        *[("a/m", "overloaded", 503, "busy")] * 2,
        ("b/m", "ok", None, ""),
    ]
    assert all(0 <= one["seconds"] <= data["seconds"] for one in tries)
    assert 0 <= data.pop("first_token_seconds") <= data.pop("seconds")
    assert data.pop("use") == {
        "key": "k",
        "route": "b/m",
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "usd": pytest.approx(3e-5),
        "cached_tokens": 0,
        "cache_written_tokens": 0,
        "thinking_tokens": 0,
        "team": None,
    }
    assert data == {
        "outcome": "ok",
        "route": "b/m",
        "tokens": 12,
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "cached_tokens": 0,
        "estimated": False,
        "usd": pytest.approx(3e-5),
        "rehearsal": False,
    }
    assert completion.usd == pytest.approx(3e-5)
    assert [one.outcome for one in completion.tries] == ["overloaded", "overloaded", "ok"]


async def test_a_failed_call_tells_what_was_tried(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: refused(404, "no such model")
    desk = make_desk({"a": provider(first.url)})
    with pytest.raises(NoRouteError):
        await desk.ask(run_id="r")
    with pytest.raises(NoRouteError):
        await desk.ask(run_id="r")
    failed, at_once = desk.said("model_call.failed")
    assert (failed.data["outcome"], failed.data["route"]) == ("no_route", "a/m")
    assert [one["status"] for one in failed.data["tries"]] == [404]
    assert (at_once.data["tries"], at_once.data["route"]) == ([], None)


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "authentication"), (403, "authentication"), (404, "model_missing"), (410, "retired")]
)
async def test_what_needs_a_person_is_told_once_with_its_reason(
    make_desk: MakeDesk, first: Vendor, second: Vendor, status: int, reason: str
) -> None:
    first.answer = lambda asked: refused(status, "see the documentation")
    desk = make_desk({"a": provider(first.url), "b": provider(second.url)})
    for _ in range(3):
        await desk.ask()
    (event,) = desk.said("route.opened")
    told = {name: event.data[name] for name in ("route", "provider", "reason", "detail", "openings")}
    assert told == {
        "route": "a/m",
        "provider": "a",
        "reason": reason,
        "detail": "see the documentation",
        "openings": 1,
    }
    soon = event.data["probe_at"] - event.at.timestamp() < 100
    assert soon is (reason == "model_missing")


async def test_an_answer_of_the_rehearsal_is_marked(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk({"stage": {"type": "rehearsal", "baseUrl": f"{first.url}/v1", "defaultModel": "rehearsal"}})
    assert (await desk.ask()).rehearsal
    assert desk.said("model_call.finished")[0].data["rehearsal"]
    assert desk.status("stage").rehearsal

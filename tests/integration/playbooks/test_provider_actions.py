"""Actions on providers, with real servers that are killed, slow, and refuse."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from orchestration.config.overrides import RouteTo
from orchestration.domain.duty import DutyKind, DutyOwner
from orchestration.domain.playbook_state import ActionState
from orchestration.playbooks.actions import ActionError, parse
from orchestration.playbooks.actions.providers import Reroute, used_percent
from orchestration.providers.wire import GatewayCall
from tests.support.patience import patient
from tests.support.project import provider_at
from tests.support.rehearsal import RehearsalProcess, a_provider
from tests.support.response import EXECUTOR, PLANNER, Ward, a_ward


def a_closed_port() -> str:
    """The address of a port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def a_status_page(text: str) -> Iterator[str]:
    """A page that says just this."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/status.json"
        server.shutdown()
        thread.join()


async def test_a_probe_tells_who_is_down_and_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with a_provider() as one, a_provider() as two:
        closed = {"local": {"type": "ollama", "host": a_closed_port(), "defaultModel": "m"}}
        providers = {"one": provider_at(one.url), "two": provider_at(two.url), **closed}
        async with a_ward(tmp_path, providers) as ward:
            one.kill()
            found = await ward.run("provider.probe", providers=["one", "two"])
            assert found.findings == {
                "down": ["one"],
                "up": ["two"],
                "outcomes": ["unreachable"],
                "local_ollama_down": False,
                "ollama_installed": False,
            }
            Path(tmp_path, "ollama").write_text("#!/bin/sh\n")
            Path(tmp_path, "ollama").chmod(0o755)
            every = (await ward.run("provider.probe")).findings
            assert (every["down"], every["local_ollama_down"], every["ollama_installed"]) == (
                ["one", "local"],
                True,
                True,
            )


async def test_a_probe_tells_the_ways_to_refuse_apart(tmp_path: Path) -> None:
    faults = {"401": "authentication", "410": "retired", "429": "rate_limited", "hang": "timeout"}
    limits = {"connect": patient(0.5), "firstToken": patient(0.5), "nextToken": patient(0.5), "call": patient(1)}
    with a_provider() as one:
        async with a_ward(tmp_path, {"one": provider_at(one.url, timeouts=limits)}) as ward:
            for fault, outcome in faults.items():
                one.set_fault(fault, count=2 if fault == "hang" else 1)  # a silent probe is sent once more
                assert (await ward.run("provider.probe")).findings["outcomes"] == [outcome]


async def test_all_calls_go_past_a_killed_provider_until_that_is_undone(tmp_path: Path) -> None:
    with a_provider() as one, a_provider() as two:
        async with a_ward(tmp_path, {"one": provider_at(one.url), "two": provider_at(two.url)}) as ward:
            one.kill()
            assert await ward.preview("provider.route", providers=["one"]) == (
                "send the calls of * to two first for 60 min"
            )
            assert ward.overrides == []
            routed = await ward.run("provider.route", providers=["one"])
            runtime = ward.app.effective().runtime
            assert (runtime.default_provider, runtime.fallback_providers) == ("two", ("one",))
            assert routed.findings["provider"] == "two"
            await ward.undo("provider.route", routed)
            assert ward.app.effective().runtime.default_provider == "one"


async def test_an_agent_whose_provider_works_is_left_alone(tmp_path: Path) -> None:
    with a_provider() as two:
        providers = {"one": provider_at(a_closed_port()), "two": provider_at(two.url)}
        agents = [PLANNER, {**EXECUTOR, "provider": "two"}]
        async with a_ward(tmp_path, providers, agents) as ward:
            await ward.run("provider.route", providers=["one"])
            assert ward.overrides == [("route_to", "planner")]
            agent = ward.app.effective().agent("executor")
            assert agent is not None
            assert agent.provider == "two"


async def test_a_repeated_reroute_adds_nothing_and_can_still_be_undone(tmp_path: Path) -> None:
    with a_provider() as two:
        providers = {"one": provider_at(a_closed_port()), "two": provider_at(two.url)}
        async with a_ward(tmp_path, providers) as ward:
            first = await ward.run("provider.route", providers=["one"])
            again = await ward.run("provider.route", providers=["one"])
            assert (again.findings, len(ward.overrides)) == (first.findings, 1)
            await ward.undo("provider.route", again)
            assert ward.overrides == []


async def test_a_reroute_needs_another_provider_that_answers(tmp_path: Path) -> None:
    providers = {"one": provider_at(a_closed_port()), "two": provider_at(a_closed_port())}
    async with a_ward(tmp_path, providers) as ward:
        with pytest.raises(ActionError, match="expected another provider that answers, found none"):
            await ward.run("provider.route", providers=["one"])
        with pytest.raises(ActionError, match="expected a provider of the configuration, got 'three'"):
            await ward.run("provider.route", providers=["one"], to="three")
        assert ward.overrides == []


async def test_a_reroute_ends_by_itself_when_the_provider_answers_again(tmp_path: Path) -> None:
    with a_provider() as one, a_provider() as two:
        async with a_ward(tmp_path, {"one": provider_at(one.url), "two": provider_at(two.url)}) as ward:
            up = {"one": False}
            ward.use(provider_health=lambda: {name: _Standing(up=there) for name, there in up.items()})
            done = await ward.act("provider.route", {"providers": ["one"]}, key="k-9")
            assert done.state is ActionState.DONE
            responder = ward.responder()
            await responder.end_workarounds(())
            assert ward.overrides == [("route_to", "*")]
            up["one"] = True
            await responder.end_workarounds(())
            assert ward.overrides == []
            assert [event.data["incident"] for event in ward.of("action.returned")] == [ward.incident.id]


async def test_a_reroute_for_the_sake_of_the_model_is_for_a_person_to_end(tmp_path: Path) -> None:
    with a_provider() as one, a_provider() as two:
        async with a_ward(tmp_path, {"one": provider_at(one.url), "two": provider_at(two.url)}) as ward:
            ward.use(provider_health=lambda: {"one": _Standing(up=True), "two": _Standing(up=True)})
            given = {"providers": ["one"], "agents": ["executor"], "until_it_answers": False}
            await ward.act("provider.route", given, key="k-9")
            await ward.responder().end_workarounds(())
            assert ward.overrides == [("route_to", "executor")]
            [duty] = ward.services.incidents.get(ward.incident.id).open_duties
            assert (duty.kind, duty.owner) == (DutyKind.REMOVE_WORKAROUND, DutyOwner.RESPONDER)


async def test_a_reroute_past_a_provider_that_a_person_has_to_mend_asks_for_one(tmp_path: Path) -> None:
    with a_provider() as one, a_provider() as two:
        async with a_ward(tmp_path, {"one": provider_at(one.url), "two": provider_at(two.url)}) as ward:
            one.set_fault("410")
            await ward.app.gateway.complete({"messages": [{"role": "user", "content": "hello"}]}, GatewayCall())
            await ward.act("provider.route", {"providers": ["one"]}, key="k-9")
            [duty] = ward.services.incidents.get(ward.incident.id).open_duties
            assert (duty.kind, duty.owner) == (DutyKind.REMOVE_WORKAROUND, DutyOwner.RESPONDER)
            assert "mend one (retired)" in duty.summary


class _Standing:
    """What monitoring knows of a provider."""

    def __init__(self, *, up: bool) -> None:
        self.up = up


async def test_what_a_person_routes_is_not_taken_back(tmp_path: Path) -> None:
    with a_provider() as one, a_provider() as two:
        async with a_ward(tmp_path, {"one": provider_at(one.url), "two": provider_at(two.url)}) as ward:
            ward.use(provider_health=lambda: {"one": _Standing(up=True)})
            ward.app.store.add_override(RouteTo(provider="two"), reason="I like it [more]", actor="ada")
            await ward.responder().end_workarounds(())
            assert ward.overrides == [("route_to", "*")]


async def test_a_broken_route_is_probed_now_and_used_again(tmp_path: Path) -> None:
    with a_provider() as one:
        breaker = {"failures": 1, "probeAfter": 600, "probeAtMost": 600}
        async with a_ward(tmp_path, {"one": provider_at(one.url, breaker=breaker)}) as ward:
            await _trip(ward, one)
            reset = await ward.run("provider.reset-breaker", providers=["one"])
            await ward.until(lambda: ward.services.gateway.statuses()[0].state == "closed")
            assert "stay out of use" in await ward.undo("provider.reset-breaker", reset)
            assert await ward.preview("provider.reset-breaker", providers=["one"]) == (
                "probe the broken routes of one now"
            )


async def _trip(ward: Ward, one: RehearsalProcess) -> None:
    """Have one call fail, so that the route is taken out of use."""
    one.kill()
    run = await ward.app.launcher.start("mend it", ward.root / "work", agent="executor")
    await ward.until(lambda: ward.services.gateway.statuses()[0].state == "open")
    await ward.app.control.cancel(run.id)
    one.start()


async def test_what_changes_something_has_no_target_without_a_name(tmp_path: Path) -> None:
    async with a_ward(tmp_path) as ward:
        for name in ("provider.route", "provider.reset-breaker"):
            kind = ward.action(name)
            assert kind.targets(parse(type(kind), {"providers": []})) == ()
        kind = ward.action("provider.reset-breaker")
        assert kind.targets(parse(type(kind), {"providers": ["who", "own"]})) == ("own",)
        assert isinstance(ward.action("provider.route"), Reroute)


@pytest.mark.parametrize(
    ("page", "announced", "says"),
    [
        ('{"status": {"indicator": "major"}}', True, "outage"),
        ('{"status": {"indicator": "none"}}', False, "operational"),
        ("<html>", False, "unknown: not a feed (ExpatError)"),
    ],
)
async def test_a_status_page_is_read(tmp_path: Path, page: str, announced: bool, says: str) -> None:
    with a_status_page(page) as url:
        async with a_ward(tmp_path, {"one": provider_at(a_closed_port(), statusUrl=url)}) as ward:
            found = await ward.run("provider.status-page")
            assert found.findings == {"announced": announced, "outages": []}
            assert found.evidence == {"one": {url: says}}


async def test_a_missing_credential_is_named_and_a_present_one_is_not_shown(tmp_path: Path) -> None:
    own, other = provider_at(a_closed_port()), provider_at(a_closed_port(), apiKeyEnv="KEY_ONE")
    async with a_ward(tmp_path, {"own": own}, runtime={"one": other}) as ward:
        found = await ward.run("provider.credentials", providers=["one"])
        assert (found.findings, found.summary) == ({"missing": ["one"]}, "not set: KEY_ONE (for one)")
        ward.write_env(KEY_ONE="k3y-of-the-house")
        assert (await ward.run("provider.credentials", providers=["one"])).summary == "all credentials are set"


async def test_what_is_left_of_the_chain_is_told(tmp_path: Path) -> None:
    providers = {"one": provider_at(a_closed_port()), "two": provider_at(a_closed_port(), concurrency=0)}
    async with a_ward(tmp_path, providers) as ward:
        found = await ward.run("provider.chain")
        assert found.findings == {"usable": ["one"], "unusable": ["two"], "single": True}
        assert "the next failure stops all work" in found.summary
        ward.use(provider_health=lambda: {"one": _Standing(up=False)})
        assert (await ward.run("provider.chain")).findings["usable"] == []


async def test_use_and_limits_are_compared_and_put_into_a_request(tmp_path: Path) -> None:
    with a_provider() as one:
        async with a_ward(tmp_path, {"one": provider_at(one.url)}) as ward:
            found = await ward.run("provider.limits")
            assert (found.findings["in_use"], found.summary) == (0, "one/rehearsal-1: 0 of 8 calls")
            written = await ward.run("provider.quota-text", providers=["one"])
            assert written.findings["sent"] == []
            assert written.findings["text"].splitlines() == [
                f"Please raise our quota at one ({one.url}/v1).",
                "No call to it is on record in the last seven days.",
            ]


@pytest.mark.parametrize(
    ("headroom", "percent"),
    [
        ({}, None),
        ({"limit-requests": 100.0, "remaining-requests": 25.0}, 75.0),
        ({"limit-requests": 100.0, "remaining-requests": 90.0, "limit-tokens": 10.0, "remaining-tokens": 1.0}, 90.0),
        ({"limit-requests": 0.0, "remaining-requests": 0.0}, None),
    ],
)
def test_the_fuller_of_two_limits_counts(headroom: dict[str, float], percent: float | None) -> None:
    assert used_percent(headroom) == (pytest.approx(percent) if percent is not None else None)

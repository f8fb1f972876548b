from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestration.clock import FakeClock
from orchestration.config.schema import Configuration
from orchestration.events import EventBus
from orchestration.monitoring.collectors.providers import ProviderWatch
from orchestration.monitoring.health.provider_health import ProviderHealth, ProviderHealthBoard, chain, in_use, usable

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(seconds=5)


class NoCredentials:
    def get(self, name: str) -> str | None:
        return None


def configuration(*, default: str = "ollama", fallbacks: tuple[str, ...] = ("azure",), **agents: Any) -> Configuration:
    return Configuration.model_validate(
        {
            "runtime": {
                "defaultProvider": default,
                "fallbackProviders": fallbacks,
                "ollama": {"defaultModel": "m"},
                "azure": {"defaultModel": "d", "endpoint": "http://127.0.0.1:9"},
                "github": {"enabled": False, "defaultModel": "g"},
                "openai": {"defaultModel": "o"},
                "rehearsal": {"defaultModel": "rehearsal"},
            },
            "agents": [{"id": name, "provider": provider} for name, provider in agents.items()],
        }
    )


def test_nobody_knows_how_a_provider_stands_before_it_was_looked_at() -> None:
    board = ProviderHealthBoard()
    assert board.standing("ollama", ["m"]) == ProviderHealth(None)
    board.probed("ollama", "ok")
    assert board.standing("ollama", ["m"]) == ProviderHealth(True)
    board.probed("ollama", "unreachable", "refused")
    assert board.standing("ollama", ["m"]) == ProviderHealth(False, "unreachable", "refused")


def test_a_provider_is_down_when_all_routes_are_that_it_is_used_for() -> None:
    board = ProviderHealthBoard()
    board.probed("ollama", "ok")
    board.opened("ollama", "a", NOON, "model_missing", "no such model")
    assert board.standing("ollama", ["a", "b"]).up
    assert board.standing("ollama", ["b"]).up
    assert board.standing("ollama", ["a"]) == ProviderHealth(False, "model_missing", "no such model")


def test_without_a_usual_model_every_route_that_was_heard_of_counts() -> None:
    board = ProviderHealthBoard()
    board.opened("openai", "a", NOON, "timeout")
    assert board.standing("openai", []) == ProviderHealth(False, "timeout")
    board.closed("openai", "b", NOON)
    board.probed("openai", "ok")
    assert board.standing("openai", []).up


def test_a_route_that_closes_has_been_answered() -> None:
    board = ProviderHealthBoard()
    board.probed("ollama", "unreachable")
    board.opened("ollama", "a", NOON, "unreachable")
    board.closed("ollama", "a", LATER)
    assert board.standing("ollama", ["a"]) == ProviderHealth(True)


def test_old_news_changes_nothing() -> None:
    board = ProviderHealthBoard()
    board.probed("ollama", "ok")
    board.opened("ollama", "a", LATER, "quota", "used up")
    board.closed("ollama", "a", NOON)
    board.opened("ollama", "a", NOON, "timeout")
    assert board.standing("ollama", ["a"]) == ProviderHealth(False, "quota", "used up")


@pytest.mark.parametrize(
    ("default", "fallbacks", "members"),
    [
        ("ollama", ("azure", "github", "rehearsal", "nobody"), ("ollama", "azure")),
        ("rehearsal", ("ollama",), ("rehearsal",)),
        ("github", ("azure", "azure"), ("azure",)),
    ],
)
def test_the_chain_leaves_out_what_could_not_stand_in(
    default: str, fallbacks: tuple[str, ...], members: tuple[str, ...]
) -> None:
    assert chain(configuration(default=default, fallbacks=fallbacks)) == members


def test_what_no_agent_and_no_chain_names_is_not_in_use() -> None:
    assert dict(in_use(configuration())) == {"ollama": ("m",), "azure": ("d",)}
    assert set(in_use(configuration(planner="openai", executor="github"))) == {"ollama", "azure", "openai"}
    assert set(in_use(configuration(), asked=["openai", "gone"])) == {"ollama", "azure", "openai"}


def test_the_usable_ones_are_counted_when_all_are_known() -> None:
    standings = {"a": ProviderHealth(True), "b": ProviderHealth(False), "c": ProviderHealth(None)}
    assert usable(standings, ["a", "b"]) == 1
    assert usable(standings, ["a", "b", "c"]) is None
    assert usable(standings, ["a", "unknown"]) is None


async def test_a_route_that_opens_is_told_at_once_and_only_once() -> None:
    bus = EventBus(FakeClock(NOON))
    watch = ProviderWatch(configuration, NoCredentials(), FakeClock(NOON))
    for name in ("ollama", "azure"):
        watch.board.probed(name, "ok")
    assert len(watch.on_event(bus.emit("route.closed", route="ollama/m", provider="ollama"))) == 3
    opened = {"route": "ollama/m", "provider": "ollama", "reason": "timeout", "detail": "no token in 5 s"}
    bus = EventBus(FakeClock(LATER))
    up, count = watch.on_event(bus.emit("route.opened", **opened))
    assert (up.labels, up.value, up.evidence["reason"]) == ({"provider": "ollama"}, 0.0, "timeout")
    assert (count.name, count.value, count.evidence) == ("providers_usable", 1.0, {"down": {"ollama": "timeout"}})
    assert watch.on_event(bus.emit("route.opened", **opened)) == ()
    assert watch.route_states() == [("ollama", "open"), ("azure", "closed")]
    await watch.aclose()

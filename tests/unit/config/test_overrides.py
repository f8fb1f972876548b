from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestration.config.overrides import (
    IsolateOverride,
    LimitAgent,
    LimitProvider,
    Override,
    OverrideChange,
    PinConfiguration,
    RouteTo,
    SetLogLevel,
    StopAutomation,
    SwitchOffProvider,
    effective,
)
from orchestration.config.schema import Configuration
from orchestration.config.usage_limits import UsageLimits

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CONFIGURATION = Configuration.model_validate(
    {
        "runtime": {
            "defaultProvider": "ollama",
            "fallbackProviders": ["azure", "openai"],
            "ollama": {},
            "azure": {},
            "openai": {},
            "rehearsal": {},
        },
        "agents": [
            {"id": "planner", "provider": "openai"},
            {"id": "executor", "limits": {"seconds": 60, "tokens": 1000}},
        ],
    }
)


def override(change: OverrideChange, *, after: float = 0, lasts: float | None = None) -> Override:
    start = NOW + timedelta(seconds=after)
    return Override.model_validate(
        {
            "id": f"override-{after}",
            "change": change.model_dump(),
            "reason": "a test",
            "actor": "somebody",
            "created_at": start,
            "expires_at": None if lasts is None else start + timedelta(seconds=lasts),
        }
    )


def with_change(*changes: OverrideChange, at: float = 10) -> Configuration:
    laid = [override(change, after=second) for second, change in enumerate(changes)]
    return effective(CONFIGURATION, laid, NOW + timedelta(seconds=at))


def chain(configuration: Configuration) -> tuple[str, ...]:
    return (configuration.runtime.default_provider, *configuration.runtime.fallback_providers)


def test_without_overrides_the_configuration_is_as_the_file_has_it() -> None:
    assert effective(CONFIGURATION, [], NOW) is CONFIGURATION


def test_all_calls_are_routed_to_a_provider_with_the_chain_kept_behind_it() -> None:
    routed = with_change(RouteTo(provider="azure"))
    assert chain(routed) == ("azure", "ollama", "openai")
    assert {agent.provider for agent in routed.agents} == {"azure"}


def test_one_agent_is_routed_and_the_others_stay() -> None:
    routed = with_change(RouteTo(target="executor", provider="azure"))
    assert [agent.provider for agent in routed.agents] == ["openai", "azure"]
    assert chain(routed) == chain(CONFIGURATION)


def test_the_rehearsal_model_and_real_providers_never_stand_behind_each_other() -> None:
    rehearsing = with_change(RouteTo(provider="rehearsal"))
    assert chain(rehearsing) == ("rehearsal",)
    assert chain(effective(rehearsing, [override(RouteTo(provider="ollama"))], NOW)) == ("ollama",)


def test_a_provider_that_is_switched_off_leaves_the_chain_and_its_agents() -> None:
    changed = with_change(SwitchOffProvider(target="ollama"), SwitchOffProvider(target="openai"))
    assert chain(changed) == ("azure",)
    assert changed.agents[0].provider is None
    assert [name for name, one in changed.runtime.providers.items() if not one.enabled] == ["ollama", "openai"]


def test_the_last_provider_of_the_chain_stays_in_it_so_that_the_checks_refuse_the_change() -> None:
    changed = with_change(SwitchOffProvider(target="*"))
    assert chain(changed) == ("ollama",)
    assert not changed.runtime.providers["ollama"].enabled


def test_concurrency_is_lowered_for_one_provider_or_for_all() -> None:
    one = with_change(LimitProvider(target="ollama", concurrency=1))
    assert [provider.concurrency for provider in one.runtime.providers.values()] == [1, 4, 4, 4]
    everything = with_change(LimitProvider(concurrency=0))
    assert {provider.concurrency for provider in everything.runtime.providers.values()} == {0}


def test_limits_of_an_agent_that_are_not_given_stay() -> None:
    changed = with_change(LimitAgent(target="executor", limits=UsageLimits(seconds=600)))
    assert changed.agents[1].limits == UsageLimits(seconds=600, tokens=1000)
    assert changed.agents[0] == CONFIGURATION.agents[0]


def test_log_level_and_automation_are_changed() -> None:
    changed = with_change(SetLogLevel(level="DEBUG"), StopAutomation())
    assert changed.monitoring.log_level == "DEBUG"
    assert not changed.automation.enabled


def test_an_earlier_version_comes_first_and_the_other_changes_on_top_of_it() -> None:
    document = {"runtime": {"defaultProvider": "azure", "azure": {}}}
    changed = with_change(LimitProvider(concurrency=2), PinConfiguration(number=3, document=document))
    assert changed.runtime.default_provider == "azure"
    assert changed.runtime.providers["azure"].concurrency == 2
    assert changed.agents == ()


def test_of_two_changes_of_the_same_thing_the_newer_counts_in_whatever_order_they_come() -> None:
    laid = [override(LimitProvider(concurrency=n), after=n) for n in (1, 2, 3)]
    for order in (laid, laid[::-1]):
        assert effective(CONFIGURATION, order, NOW + timedelta(seconds=9)).runtime.providers["azure"].concurrency == 3


@given(lasts=st.floats(0.001, 1000), now=st.floats(-1000, 2000))
def test_a_change_counts_from_its_start_up_to_its_end_and_no_longer(lasts: float, now: float) -> None:
    laid = override(LimitProvider(concurrency=1), lasts=lasts)
    moment = NOW + timedelta(seconds=now)
    assert laid.expires_at is not None
    limited = effective(CONFIGURATION, [laid], moment).runtime.providers["ollama"].concurrency == 1
    assert limited == (moment >= NOW and moment < laid.expires_at)


def test_a_change_of_something_that_does_not_exist_changes_nothing() -> None:
    assert with_change(LimitProvider(target="nobody", concurrency=1)) == CONFIGURATION
    assert with_change(LimitAgent(target="nobody", limits=UsageLimits(seconds=1))) == CONFIGURATION


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "make_coffee"},
        {"kind": "limit_provider", "concurrency": -1},
        {"kind": "limit_provider", "concurrency": 1, "extra": 1},
        {"kind": "set_log_level", "level": "LOUD"},
        {"kind": "pin_configuration", "number": 1, "document": {"runtime": 5}},
    ],
)
def test_a_change_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Override.model_validate({"id": "x", "change": change, "reason": "r", "actor": "a", "created_at": NOW})


@pytest.mark.parametrize("missing", ["reason", "actor"])
def test_a_change_needs_a_reason_and_an_actor(missing: str) -> None:
    fields = {"id": "x", "change": StopAutomation(), "reason": "r", "actor": "a", "created_at": NOW, missing: ""}
    with pytest.raises(ValidationError):
        Override.model_validate(fields)


EDITS: list[tuple[OverrideChange, dict[str, Any], bool]] = [
    (RouteTo(provider="azure"), {"defaultProvider": "openai"}, True),
    (RouteTo(provider="azure"), {"reviewRounds": 5}, False),
    (RouteTo(target="executor", provider="azure"), {"defaultProvider": "openai"}, False),
    (LimitProvider(target="ollama", concurrency=1), {"defaultProvider": "openai"}, False),
    (LimitProvider(target="ollama", concurrency=1), {"ollama": {"concurrency": 9}}, True),
    (LimitProvider(target="ollama", concurrency=1), {"azure": {"concurrency": 9}}, False),
    (SwitchOffProvider(target="azure"), {"azure": {"enabled": False}}, True),
    (PinConfiguration(number=1, document={}), {"reviewRounds": 5}, True),
    (StopAutomation(), {"reviewRounds": 5}, False),
]


@pytest.mark.parametrize(("change", "edit", "gives_way"), EDITS)
def test_a_change_gives_way_to_a_person_who_edits_the_same_thing(
    change: OverrideChange, edit: dict[str, Any], gives_way: bool
) -> None:
    made = change.model_copy(update={"over": change.subject(CONFIGURATION)})
    edited = Configuration.model_validate(
        {
            "runtime": {
                "defaultProvider": "ollama",
                "fallbackProviders": ["azure", "openai"],
                **{name: {} for name in ("ollama", "azure", "openai", "rehearsal")},
                **edit,
            },
            "agents": CONFIGURATION.agents,
        }
    )
    assert effective(CONFIGURATION, [override(made)], NOW) != CONFIGURATION
    assert (effective(edited, [override(made)], NOW) == edited) is gives_way


def test_a_route_to_a_provider_that_is_no_longer_described_gives_way() -> None:
    assert with_change(RouteTo(provider="nobody")) == CONFIGURATION


def test_isolation_changes_nothing_but_itself_and_is_for_people_to_lift() -> None:
    isolated = with_change(IsolateOverride())
    assert (CONFIGURATION.runtime.isolated, isolated.runtime.isolated) == (False, True)
    runtime = isolated.runtime.model_copy(update={"isolated": False})
    assert isolated.model_copy(update={"runtime": runtime}) == CONFIGURATION
    assert (IsolateOverride.for_people, StopAutomation.for_people) == (True, False)

"""Drills of the scenario "model provider unavailable"."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.faults.fixtures import provider_fault
from orchestration.drills.model import Drill, DrillExpectation, DrillOutcome, DrillSetting, Inject

_SCENARIO = Scenario.PROVIDER_UNAVAILABLE
# Past a provider that fails, all work goes to the next one. The call that was under way is made again there.
_REROUTED = DrillExpectation(
    DrillOutcome.REPAIRED, _SCENARIO, Severity.P2, helped="use-fallback", finds=("probe", "chain"), calls_repeated=2
)
# Another provider carries the work meanwhile; this one is only asked for less.
_FEWER = replace(_REROUTED, helped="wait-with-fewer-calls")
_AWAY_SECONDS = 8.0
_CALLS = {"path": "/v1/chat/completions"}
# What the playbook finds as Ollama on the PATH is a rehearsal provider, on the port that it is given.
_OLLAMA_PROGRAM = f"""\
#!/bin/sh
[ "$1" = serve ] || exit 2
exec "{sys.executable}" -m orchestration.rehearsal --port "${{OLLAMA_HOST##*:}}" --latency-ms 20
"""
_OLLAMA = DrillSetting(
    providers=("ollama",),
    configuration={"runtime": {"ollama": {"type": "ollama", "allowStart": True}}},
    programs={"ollama": _OLLAMA_PROGRAM},
)
_PASSES_BY_ITSELF = DrillExpectation(DrillOutcome.ABSORBED, calls_repeated=2)


def drills() -> Iterator[Drill]:
    """All of them."""
    yield _drill("provider-killed", "The provider's process is killed", _kill, quick=True)
    yield _drill(
        "all-providers-killed",
        "Every provider is killed, and comes back after 8 seconds",
        _kill_all_for_a_while,
        replace(
            _REROUTED,
            severity=Severity.P1,
            helped="by-itself",
            level=2,
            lasts=_AWAY_SECONDS,
            beside=frozenset({_SCENARIO}),
        ),
    )
    yield _drill(
        "provider-port-closed", "The provider's port is closed for a minute", provider_fault("refuse", seconds=60.0)
    )
    yield _drill("provider-hangs", "The provider takes requests and never answers", provider_fault("hang"))
    yield _drill("provider-stalls", "Answers stop in the middle, connections stay open", provider_fault("stall"))
    yield _drill("provider-overloaded", "The provider says that it is overloaded (503)", provider_fault("503"), _FEWER)
    yield _drill("provider-fails", "The provider's server fails (500)", provider_fault("500"), _FEWER)
    yield _drill("provider-behind-broken-proxy", "A proxy answers in HTML (502)", provider_fault("html"), _FEWER)
    yield _drill("provider-garbage", "The provider answers with bytes that are no JSON", provider_fault("garbage"))
    yield _drill("answers-truncated", "Streams end in the middle, without an error", provider_fault("truncate"))
    yield _drill("connections-reset", "Connections are reset in the middle of answers", provider_fault("disconnect"))
    yield _drill(
        "rate-limit-storm", "Every call is refused with 429 and a Retry-After", provider_fault("429", number=30.0)
    )
    yield _drill("quota-used-up", "The quota is used up (429)", provider_fault("429_quota"))
    yield _drill(
        "credentials-rotated",
        "The key is refused (401) after it was rotated elsewhere",
        provider_fault("401"),
        replace(_REROUTED, level=1, finds=("probe", "credentials", "chain")),
        quick=True,
    )
    yield _drill(
        "access-denied", "A network rule denies access (403)", provider_fault("403"), replace(_REROUTED, level=1)
    )
    yield _drill("provider-retired", "The service is retired (410), as GitHub Models is", provider_fault("410"))
    yield _drill("model-missing", "The model does not exist any more (404)", provider_fault("404"))
    yield _drill(
        "ollama-stopped",
        "The only provider is an Ollama on this machine, and it is stopped",
        _kill,
        replace(_REROUTED, severity=Severity.P1, helped="start-ollama", finds=("probe",)),
        setting=_OLLAMA,
    )
    yield _drill(
        "passing-fault", "A single call fails (500)", provider_fault("500", count=1, match=_CALLS), _PASSES_BY_ITSELF
    )


def _drill(name: str, fault: str, inject: Inject, expects: DrillExpectation = _REROUTED, **more: Any) -> Drill:
    return Drill(name, fault, expects, inject, _SCENARIO, **more)


async def _kill(ground: DrillEnvironment) -> None:
    await ground.primary.kill()


async def _kill_all_for_a_while(ground: DrillEnvironment) -> None:
    for provider in ground.providers.values():
        await provider.kill()
    await ground.clock.sleep(_AWAY_SECONDS)
    for provider in ground.providers.values():
        await provider.start()

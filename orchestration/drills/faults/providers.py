"""Drills of the scenario "model provider unavailable"."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.expectation import DrillExpectation, DrillOutcome
from orchestration.drills.faults.fixtures import provider_fault
from orchestration.drills.model import Drill, Inject
from orchestration.drills.setup import DrillSetting

_SCENARIO = Scenario.PROVIDER_UNAVAILABLE
# All work is routed around a provider that fails. The call that was in flight is made again at the next one.
_REROUTED = DrillExpectation(
    DrillOutcome.REPAIRED,
    _SCENARIO,
    Severity.P2,
    helped="use-fallback",
    finds=("probe", "chain"),
    calls_repeated=2,
    mended=True,
)
# An overloaded provider is not avoided for long: it gets fewer calls, and the next one takes the rest meanwhile.
_FEWER = replace(_REROUTED, helped="wait-with-fewer-calls")
_AWAY_SECONDS = 8.0
# A person who is awake: reads a question and gives a command, which starts a program.
_ANSWER_SECONDS = 10.0
# As many failures as take a route out of use, of which one call makes several.
_FAILURES = 6
# Calls only: a health probe could otherwise use up the single fault before any call meets it.
_CALLS = {"path": "/v1/chat/completions"}
# The `ollama` that the playbook finds on the PATH starts a rehearsal provider, on the port that it is given.
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


def _drill(name: str, fault: str, inject: Inject, expects: DrillExpectation = _REROUTED, **more: Any) -> Drill:
    return Drill(name, fault, expects, inject, _SCENARIO, **more)


async def _kill(environment: DrillEnvironment) -> None:
    await environment.primary.kill()


async def _kill_all_for_a_while(environment: DrillEnvironment) -> None:
    for provider in environment.providers.values():
        await provider.kill()
    await environment.clock.sleep(_AWAY_SECONDS)
    for provider in environment.providers.values():
        await provider.start()


async def _grant_quota(environment: DrillEnvironment) -> None:
    """As the vendor does, once the request was prepared and a person has agreed to it."""
    await environment.primary.end_faults()


async def _mend_and_probe(environment: DrillEnvironment) -> None:
    """Only a person knows that it was mended: what only calls show is not probed by itself for long, or not at all."""
    await environment.primary.end_faults()
    await environment.command("providers", "probe", "primary", "--deep")


async def _leave_for_good(environment: DrillEnvironment) -> None:
    """What is retired does not come back, so a person takes it out of the configuration."""
    document = environment.read_configuration()
    runtime = {name: value for name, value in document["runtime"].items() if name != "primary"}
    runtime |= {"defaultProvider": "second", "fallbackProviders": []}
    environment.write_configuration({**document, "runtime": runtime})


PROVIDER_KILLED = _drill("provider-killed", "The provider's process is killed", _kill, quick=True)
ALL_PROVIDERS_KILLED = _drill(
    "all-providers-killed",
    "Every provider is killed, and comes back after 8 seconds",
    _kill_all_for_a_while,
    replace(
        _REROUTED,
        severity=Severity.P1,
        helped="by-itself",
        mended=False,
        level=2,
        lasts=_AWAY_SECONDS,
        # Each provider that is down has an incident of its own, and the drill is about the first one.
        beside=frozenset({_SCENARIO}),
    ),
)
PROVIDER_PORT_CLOSED = _drill(
    "provider-port-closed", "The provider's port is closed for a minute", provider_fault("refuse", seconds=60.0)
)
# Silence counts once a second probe, which is given twice as long as the first, was not answered either.
_SILENT = replace(_REROUTED, holds=2.0)
PROVIDER_HANGS = _drill(
    "provider-hangs", "The provider takes requests and never answers", provider_fault("hang"), _SILENT
)
PROVIDER_STALLS = _drill(
    "provider-stalls", "Answers stop in the middle, connections stay open", provider_fault("stall"), _SILENT
)
PROVIDER_OVERLOADED = _drill(
    "provider-overloaded", "The provider says that it is overloaded (503)", provider_fault("503"), _FEWER
)
PROVIDER_FAILS = _drill("provider-fails", "The provider's server fails (500)", provider_fault("500"), _FEWER)
PROVIDER_BEHIND_BROKEN_PROXY = _drill(
    "provider-behind-broken-proxy", "A proxy answers in HTML (502)", provider_fault("html"), _FEWER
)
PROVIDER_GARBAGE = _drill(
    "provider-garbage", "The provider answers with bytes that are no JSON", provider_fault("garbage")
)
ANSWERS_TRUNCATED = _drill(
    "answers-truncated", "Streams end in the middle, without an error", provider_fault("truncate")
)
CONNECTIONS_RESET = _drill(
    "connections-reset", "Connections are reset in the middle of answers", provider_fault("disconnect")
)
RATE_LIMIT_STORM = _drill(
    "rate-limit-storm", "Every call is refused with 429 and a Retry-After", provider_fault("429", number=30.0), _FEWER
)
QUOTA_USED_UP = _drill("quota-used-up", "The quota is used up (429)", provider_fault("429_quota"), mend=_mend_and_probe)
CREDENTIALS_ROTATED = _drill(
    "credentials-rotated",
    "The key is refused (401) after it was rotated elsewhere",
    provider_fault("401"),
    replace(_REROUTED, level=1, finds=("probe", "credentials", "chain")),
    mend=_mend_and_probe,
    quick=True,
)
ACCESS_DENIED = _drill(
    "access-denied",
    "A network rule denies access (403)",
    provider_fault("403"),
    replace(_REROUTED, level=1),
    mend=_mend_and_probe,
)
PROVIDER_RETIRED = _drill(
    "provider-retired",
    "The service is retired (410), as GitHub Models is",
    provider_fault("410"),
    mend=_leave_for_good,
)
MODEL_MISSING = _drill(
    "model-missing", "The model does not exist any more (404)", provider_fault("404"), mend=_mend_and_probe
)
OLLAMA_STOPPED = _drill(
    "ollama-stopped",
    "The only provider is an Ollama on this machine, and it is stopped",
    _kill,
    replace(_REROUTED, severity=Severity.P1, helped="start-ollama", finds=("probe",), mended=False),
    setting=_OLLAMA,
)
PROVIDER_RECOVERED = _drill(
    "provider-recovered",
    "Calls fail until the provider is taken out of use; then it works again",
    provider_fault("500", count=_FAILURES, match=_CALLS),
    replace(_REROUTED, helped="close-breakers", finds=("chain",), mended=False),
)
QUOTA_OF_THE_ONLY_PROVIDER = _drill(
    "quota-of-the-only-provider",
    "The quota of the only provider is used up, and the vendor gives more when asked",
    provider_fault("429_quota"),
    replace(
        _REROUTED,
        mended=False,
        severity=Severity.P1,
        level=2,
        helped="ask-for-quota",
        answers=("provider.quota-text", "provider.reset-breaker"),
        finds=("probe", "limits"),
        lasts=2 * _ANSWER_SECONDS,
    ),
    setting=DrillSetting(providers=("primary",)),
    before_answering={"provider.reset-breaker": _grant_quota},
)
PASSING_FAULT = _drill(
    "passing-fault", "A single call fails (500)", provider_fault("500", count=1, match=_CALLS), _PASSES_BY_ITSELF
)

DRILLS = (
    PROVIDER_KILLED,
    ALL_PROVIDERS_KILLED,
    PROVIDER_PORT_CLOSED,
    PROVIDER_HANGS,
    PROVIDER_STALLS,
    PROVIDER_OVERLOADED,
    PROVIDER_FAILS,
    PROVIDER_BEHIND_BROKEN_PROXY,
    PROVIDER_GARBAGE,
    ANSWERS_TRUNCATED,
    CONNECTIONS_RESET,
    RATE_LIMIT_STORM,
    QUOTA_USED_UP,
    CREDENTIALS_ROTATED,
    ACCESS_DENIED,
    PROVIDER_RETIRED,
    MODEL_MISSING,
    OLLAMA_STOPPED,
    PROVIDER_RECOVERED,
    QUOTA_OF_THE_ONLY_PROVIDER,
    PASSING_FAULT,
)

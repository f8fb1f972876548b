"""The faults from which blind drills are drawn, with the truth about each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.drills.blind.dice import Dice
from orchestration.drills.blind.truth import FaultTruth

PRIMARY = "primary"
# Longer than any drill: the fault ends when the drill ends it, as a person would who repairs what is broken.
LASTING = None

_PROVIDER, _AGENT, _STUCK = Scenario.PROVIDER_UNAVAILABLE, Scenario.AGENT_FAILURE, Scenario.WORKFLOW_STUCK
_MACHINE, _ITSELF = Scenario.HIGH_RESOURCE_USAGE, Scenario.CONTROL_PLANE
_REROUTES = frozenset({"provider.route", "limit.lower"})
_RESTARTS = frozenset({"run.restart", "run.cancel", "worker.replace"})
# What an agent's or a run's own incident says if a provider is the reason.
_BEHIND = frozenset({"provider-down", "waits-for-provider", "hanging-model", "passed-already"})


@dataclass(frozen=True, slots=True)
class DrawnFault:
    """A fault with everything that was drawn: `at` seconds after the work has begun, for `lasts` seconds, or until the
    drill ends it."""

    primitive: Primitive
    at: float
    lasts: float | None
    values: Mapping[str, Any]

    @property
    def truth(self) -> FaultTruth:
        return self.primitive.truth(self)

    def __str__(self) -> str:
        how = " ".join(f"{name}={value}" for name, value in self.values.items() if value is not None)
        lasts = "until it is repaired" if self.lasts is None else f"for {self.lasts:g} s" if self.lasts else ""
        return " ".join(part for part in (self.primitive.name, how, f"at {self.at:g} s", lasts) if part)


Draw = Callable[[Dice], dict[str, Any]]
Judge = Callable[[DrawnFault], FaultTruth]


@dataclass(frozen=True, slots=True)
class Primitive:
    """One kind of fault. `lasts` are the seconds that it may take, and `lasting` is the share that does not end by
    itself. Of each `group` at most one is drawn. `needs` names what not every machine offers."""

    name: str
    group: str
    truth: Judge
    values: Draw = lambda _dice: {}
    lasts: tuple[float, float] = (0.0, 0.0)
    lasting: float = 0.0
    needs: tuple[str, ...] = field(default=())

    def draw(self, dice: Dice, at: float) -> DrawnFault:
        """One fault of this kind."""
        values = self.values(dice)
        lasts = LASTING if dice.happens(self.lasting) else dice.between(*self.lasts)
        return DrawnFault(self, at, lasts, values)


def _outage(*causes: str, levels: tuple[int, ...] = ()) -> Judge:
    """A provider that fails as long as the fault lasts. A short one may be over before anybody has to know."""

    def truth(fault: DrawnFault) -> FaultTruth:
        return FaultTruth(
            detected_as=frozenset({_PROVIDER, _AGENT, _STUCK}),
            demands=fault.lasts is LASTING and fault.values.get("count") is None,
            causes=frozenset(causes) | _BEHIND,
            levels=frozenset(levels) if fault.lasts is LASTING else frozenset(),
            permits=_REROUTES | _RESTARTS,
            providers=frozenset({PRIMARY}),
        )

    return truth


def _some_calls(*causes: str) -> Judge:
    """Single calls fail; retries cope with that. An incident may say so, and nobody has to be called."""
    whole = _outage(*causes)
    return lambda fault: replace(whole(fault), demands=False)


def _harmless(_fault: DrawnFault) -> FaultTruth:
    return FaultTruth(providers=frozenset({PRIMARY}))


def _recovered(_fault: DrawnFault) -> FaultTruth:
    """A process of ours that is replaced: the layers below cope with it."""
    causes = frozenset({"hangs", "killed", "worker-hangs", "process-died", "passing-fault"})
    return FaultTruth(frozenset({_ITSELF, _AGENT, _STUCK}), causes=causes, permits=_RESTARTS)


def _database(fault: DrawnFault) -> FaultTruth:
    """Unreachable, and never damaged: isolation would be wrong. Checks come every two seconds, and wait for a lock."""
    seconds = fault.lasts or 0.0
    return FaultTruth(
        detected_as=frozenset({_ITSELF, _AGENT, _STUCK}),
        demands=seconds > (10.0 if fault.primitive.name == "database-locked" else 6.0),
        causes=frozenset({"passed", "database", "unreachable", "process-died", "passing-fault"}),
        permits=_RESTARTS,
    )


def _disk(fault: DrawnFault) -> FaultTruth:
    ours = fault.values["whose"] == "ours"
    return FaultTruth(
        detected_as=frozenset({_MACHINE, _AGENT, _ITSELF}),
        demands=True,
        causes=frozenset({"disk-full", "machine", "machine-fault", "no-room"}),
        levels=frozenset() if ours else frozenset({1, 2}),
        permits=frozenset({"cleanup.logs", "cleanup.artifacts"}) | _RESTARTS,
        fails_work=not ours,
    )


def _memory(_fault: DrawnFault) -> FaultTruth:
    """It passes by itself, perhaps before anybody has to be called."""
    return FaultTruth(frozenset({_MACHINE}), demands=True, causes=frozenset({"others"}), permits=_RESTARTS)


def _processor(_fault: DrawnFault) -> FaultTruth:
    """A neighbour's load is a ticket at most; nothing of ours may be stopped for it."""
    return FaultTruth(frozenset({_MACHINE}), causes=frozenset({"others", "passed-already"}))


def _clock(_fault: DrawnFault) -> FaultTruth:
    return FaultTruth(frozenset({_ITSELF}), causes=frozenset({"errors", "unknown"}))


def _answers(_fault: DrawnFault) -> FaultTruth:
    """Answers that are damaged: asked again, or by another provider."""
    causes = frozenset({"malformed-answers", "passing-fault", "damaged-answers"}) | _BEHIND
    return FaultTruth(
        frozenset({_AGENT, _PROVIDER}),
        causes=causes,
        permits=_RESTARTS | _REROUTES,
        providers=frozenset({PRIMARY}),
    )


def _tools(_fault: DrawnFault) -> FaultTruth:
    """A command's result is wrong. The agent may try again or give up, but never pass it off as a success."""
    return FaultTruth(
        frozenset({_AGENT}), causes=frozenset({"passing-fault", "changed-code"}), permits=_RESTARTS, fails_work=True
    )


def _files(fault: DrawnFault) -> FaultTruth:
    lost = fault.values["which"] == "artifact"
    scenarios = frozenset({_AGENT, _ITSELF}) if lost else frozenset[Scenario]()
    return FaultTruth(
        scenarios,
        causes=frozenset({"passing-fault", "artifact-damaged", "bad-configuration"}),
        permits=_RESTARTS if lost else frozenset(),
        fails_work=lost,
    )


def _permission(fault: DrawnFault) -> FaultTruth:
    return FaultTruth(
        frozenset({_AGENT, _ITSELF, _STUCK}),
        causes=frozenset({"passing-fault", "errors", "machine-fault"}),
        permits=_RESTARTS,
        fails_work=fault.values["which"] != "logs",
    )


# Most of what goes wrong with such systems goes wrong at a provider.
SHARES: Mapping[str, int] = {
    "provider": 7,
    "database": 2,
    "machine": 2,
    "process": 2,
    "answer": 2,
    "tool": 1,
    "file": 2,
}
_SHORT = (2.0, 10.0)
PRIMITIVES: tuple[Primitive, ...] = (
    Primitive("provider-killed", "provider", _outage("unreachable"), lasts=_SHORT, lasting=0.5),
    Primitive("provider-stopped", "provider", _outage("unreachable", "overloaded"), lasts=_SHORT, lasting=0.5),
    Primitive("port-closed", "provider", _outage("unreachable"), lasts=_SHORT, lasting=0.5),
    Primitive(
        "latency", "provider", _harmless, lambda dice: {"fault": "slow", "number": dice.between(0.1, 1.2)}, lasting=1.0
    ),
    Primitive(
        "connections-dropped",
        "provider",
        _some_calls("unreachable", "damaged-answers", "overloaded"),
        lambda dice: {"fault": "disconnect", "every": dice.one_of((2, 3, 5))},
        lasts=_SHORT,
        lasting=0.5,
    ),
    Primitive(
        "status-overload",
        "provider",
        _outage("overloaded", "unreachable"),
        lambda dice: {"fault": dice.one_of(("500", "502", "503", "529", "html"))},
        lasts=_SHORT,
        lasting=0.5,
    ),
    Primitive(
        "status-once",
        "provider",
        _some_calls("overloaded", "unreachable", "rate-limited"),
        lambda dice: {"fault": dice.one_of(("500", "503", "429_bare", "hang")), "count": dice.one_of((1, 2))},
        lasting=1.0,
    ),
    Primitive(
        "rate-limited",
        "provider",
        _outage("rate-limited", "overloaded"),
        lambda dice: {"fault": dice.one_of(("429", "429_date", "429_ms")), "number": dice.between(2, 30)},
        lasts=_SHORT,
        lasting=0.5,
    ),
    Primitive(
        "service-retired",
        "provider",
        _outage("retired", "model-missing"),
        lambda dice: {"fault": dice.one_of(("410", "404"))},
        lasting=1.0,
    ),
    Primitive(
        "body-damaged",
        "provider",
        _outage("damaged-answers", "unreachable"),
        lambda dice: {"fault": dice.one_of(("garbage", "empty", "error_line"))},
        lasts=_SHORT,
        lasting=0.5,
    ),
    Primitive(
        "stream-cut",
        "provider",
        _outage("damaged-answers", "unreachable"),
        lambda dice: {"fault": dice.one_of(("truncate", "disconnect"))},
        lasts=_SHORT,
        lasting=0.5,
    ),
    Primitive(
        "stream-stalled",
        "provider",
        _outage("overloaded", "unreachable"),
        lambda dice: {"fault": dice.one_of(("stall", "hang"))},
        lasts=_SHORT,
        lasting=0.5,
    ),
    Primitive(
        "credential-refused",
        "provider",
        _outage("credentials-refused", levels=(1,)),
        lambda dice: {"fault": dice.one_of(("401", "403"))},
        lasting=1.0,
    ),
    Primitive("quota-used-up", "provider", _outage("quota-used-up"), lambda _dice: {"fault": "429_quota"}, lasting=1.0),
    Primitive(
        "answer-damaged",
        "answer",
        _answers,
        lambda dice: {
            "fault": dice.one_of(("bad_json_answer", "bad_tool_call", "flipped")),
            "count": dice.one_of((1, 2)),
            "role": dice.one_of(("planner", "executor", "reviewer")),
        },
        lasting=1.0,
    ),
    Primitive("tool-result-damaged", "tool", _tools, lambda dice: {"how": dice.one_of(("noise", "killed", "nothing"))}),
    Primitive("worker-killed", "process", _recovered),
    Primitive("worker-stopped", "process", _recovered),
    Primitive("control-killed", "process", _recovered),
    Primitive(
        "clock-offset",
        "process",
        _clock,
        lambda dice: {"seconds": dice.one_of((-3600, -40, 40, 3600))},
        lasting=1.0,
        needs=("clock",),
    ),
    Primitive(
        "disk-full",
        "machine",
        _disk,
        lambda dice: {"whose": dice.one_of(("ours", "theirs"))},
        lasting=1.0,
        needs=("mount",),
    ),
    Primitive("memory-short", "machine", _memory, lasts=(15.0, 20.0), needs=("share",)),
    Primitive("processor-busy", "machine", _processor, lasts=(8.0, 15.0), needs=("share",)),
    Primitive(
        "file-damaged",
        "file",
        _files,
        lambda dice: {
            "which": dice.one_of(("configuration", "artifact", "logs")),
            "how": dice.one_of(("cut", "removed")),
        },
    ),
    Primitive(
        "permission-lost",
        "file",
        _permission,
        lambda dice: {"which": dice.one_of(("artifacts", "logs", "work"))},
        lasts=(1.0, 6.0),
        needs=("mount",),
    ),
    Primitive("database-away", "database", _database, lasts=(1.0, 12.0)),
    Primitive("database-locked", "database", _database, lasts=(1.0, 15.0)),
)


def find_primitive(name: str) -> Primitive:
    """The primitive of that name. Raises StopIteration for a name that is not in the table."""
    return next(one for one in PRIMITIVES if one.name == name)

"""The breaker as a rule: whole lists of states, so that one transition too many fails."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestration.providers.breaker import Breaker, BreakerRules, BreakerState
from orchestration.providers.failures import Failure, FailureKind

RULES = BreakerRules(failures=2, window=60, probe_after=5, probe_at_most=60)
OPEN, CLOSED, HALF_OPEN = BreakerState.OPEN, BreakerState.CLOSED, BreakerState.HALF_OPEN
AT_ONCE = [
    FailureKind.UNREACHABLE,
    FailureKind.QUOTA,
    FailureKind.AUTHENTICATION,
    FailureKind.MODEL_MISSING,
    FailureKind.RETIRED,
]
FOR_GOOD = [FailureKind.AUTHENTICATION, FailureKind.RETIRED]
HARMLESS = [FailureKind.RATE_LIMITED, FailureKind.BAD_REQUEST, FailureKind.CONTENT_FILTER]

failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    st.just("no"),
    st.none(),
    st.none() | st.floats(min_value=0, max_value=7200),
)


def failure(kind: FailureKind, wait: float | None = None) -> Failure:
    return Failure(kind, "no", None, wait)


def states(breaker: Breaker, *steps: Any) -> list[str]:
    """The states after each step: a failure of a call, or a function of the breaker."""
    told = []
    for moment, step in enumerate(steps, start=1):
        breaker = breaker.failed(step, moment, RULES) if isinstance(step, Failure) else step(breaker)
        told.append(f"{breaker.state.value} {breaker.reason}".strip())
    return told


def test_two_overloads_within_the_window_trip_and_a_probe_decides() -> None:
    steps = [
        failure(FailureKind.OVERLOADED),
        failure(FailureKind.TIMEOUT),
        lambda breaker: breaker.half_opened(10),
        lambda breaker: breaker.probe_failed(failure(FailureKind.UNREACHABLE), 11, RULES),
        lambda breaker: breaker.half_opened(30),
        lambda breaker: breaker.recovered(31),
    ]
    assert states(Breaker(), *steps) == [
        "closed",
        "open timeout",
        "half-open timeout",
        "open unreachable",
        "half-open unreachable",
        "closed",
    ]


@pytest.mark.parametrize("kind", AT_ONCE)
def test_what_is_certain_trips_at_once(kind: FailureKind) -> None:
    assert states(Breaker(), failure(kind)) == [f"open {kind.value}"]


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_says_nothing_of_the_routes_health_never_counts(kind: FailureKind) -> None:
    assert states(Breaker(), *[failure(kind)] * 10) == ["closed"] * 10


def test_failures_far_apart_do_not_add_up_and_an_answer_between_them_clears_them() -> None:
    once = failure(FailureKind.OVERLOADED)
    apart = Breaker().failed(once, 0, RULES).failed(once, 61, RULES)
    assert (apart.state, apart.failures) == (CLOSED, (61,))
    cleared = Breaker().failed(once, 0, RULES).succeeded().failed(once, 1, RULES)
    assert (cleared.state, cleared.failures) == (CLOSED, (1,))


def test_an_answer_does_not_end_a_wait_that_the_provider_asked_for() -> None:
    shaken = Breaker().failed(failure(FailureKind.OVERLOADED), 0, RULES)
    held = shaken.failed(failure(FailureKind.RATE_LIMITED, 9), 1, RULES)
    assert held.succeeded().held_until == 10
    assert not held.succeeded().admits(9.9)
    assert held.succeeded().admits(10)


def test_a_shorter_wait_does_not_shorten_a_longer_one() -> None:
    breaker = Breaker()
    for wait in (30, 2, None):
        breaker = breaker.failed(failure(FailureKind.RATE_LIMITED, wait), 0, RULES)
    assert breaker.held_until == 30


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((kind, [5] * 6) for kind in (FailureKind.UNREACHABLE, FailureKind.TIMEOUT, FailureKind.OVERLOADED)),
        (FailureKind.MODEL_MISSING, [5, 10, 20, 40, 60, 60]),
    ],
)
def test_what_ends_at_any_moment_is_probed_steadily_and_anything_else_less_and_less_often(
    kind: FailureKind, expected: list[int]
) -> None:
    breaker = Breaker().failed(failure(kind), 0, RULES)
    if breaker.state is BreakerState.CLOSED:  # one slow or overloaded answer is no outage
        breaker = breaker.failed(failure(kind), 0, RULES)
    waits = []
    for _ in range(6):
        assert breaker.probe_at is not None
        waits.append(breaker.probe_at - breaker.since)
        breaker = breaker.half_opened(100).probe_failed(failure(kind), 100, RULES)
    assert waits == expected


@pytest.mark.parametrize(("wait", "probed_at"), [(12, 12), (900, 60), (86_400, 60), (None, 60)])
def test_a_quota_is_probed_when_it_is_said_to_be_reset_and_once_a_minute(wait: float | None, probed_at: float) -> None:
    assert Breaker().failed(failure(FailureKind.QUOTA, wait), 0, RULES).probe_at == probed_at


def test_a_busy_server_is_not_probed_before_it_said_but_within_a_minute() -> None:
    probed = Breaker().failed(failure(FailureKind.UNREACHABLE), 0, RULES).half_opened(5)
    assert probed.probe_failed(failure(FailureKind.RATE_LIMITED, 40), 6, RULES).probe_at == 46
    assert probed.probe_failed(failure(FailureKind.OVERLOADED, 86_400), 6, RULES).probe_at == 66


@pytest.mark.parametrize("kind", [FailureKind.RATE_LIMITED, FailureKind.OVERLOADED])
def test_a_wait_that_no_one_can_mean_is_probed_while_it_lasts(kind: FailureKind) -> None:
    held = Breaker().failed(failure(kind, 86_400), 0, RULES)
    assert (held.state, held.held_until, held.usable_at()) == (CLOSED, 86_400, 60)
    assert not held.admits(60)
    assert held.probe_due(60)
    probing = held.shadow_probed()
    assert not probing.probe_due(1e6)
    assert probing.shadow_succeeded(61).admits(61)
    refused = probing.shadow_failed(failure(FailureKind.RATE_LIMITED, 86_400), 61, RULES)
    assert (refused.state, refused.usable_at()) == (CLOSED, 121)


@given(st.lists(st.sampled_from([FailureKind.MALFORMED, FailureKind.OVERLOADED, FailureKind.UNREACHABLE]), min_size=2))
def test_requests_that_fail_by_themselves_never_open_a_route_that_answers_probes(kinds: list[FailureKind]) -> None:
    breaker, probes = Breaker(), []
    for now, kind in enumerate(kinds):
        breaker = breaker.failed(Failure(kind, "no", unproven=True), now, RULES)
        if breaker.probe_due(now):
            probes.append(now)
            breaker = breaker.shadow_probed().shadow_succeeded(now)
        assert breaker.admits(now)
    assert all(after - before >= RULES.probe_after for before, after in itertools.pairwise(probes))


def test_what_one_request_may_have_caused_opens_the_route_if_a_probe_fails_and_is_forgotten_after_an_answer() -> None:
    suspected = Breaker().failed(failure(FailureKind.MALFORMED), 9, RULES)
    assert suspected.probe_due(9)
    opened = suspected.shadow_probed().shadow_failed(failure(FailureKind.TIMEOUT), 10, RULES)
    assert (opened.state, opened.reason) == (OPEN, "timeout")
    assert suspected.succeeded() == Breaker()


@pytest.mark.parametrize(
    ("kind", "due"), [(FailureKind.UNREACHABLE, 2.5), (FailureKind.MODEL_MISSING, 2.5), (FailureKind.RETIRED, 60)]
)
def test_a_route_that_calls_would_use_is_probed_sooner(kind: FailureKind, due: float) -> None:
    breaker = Breaker().failed(failure(kind), 0, RULES)
    for _ in range(3):
        assert not breaker.probe_due(due - 0.1, RULES)
        assert breaker.probe_due(due, RULES)
        breaker = breaker.half_opened(0).probe_failed(failure(kind), 0, RULES)


def test_a_wait_that_was_asked_for_is_kept_however_much_the_route_is_wanted() -> None:
    twice = Breaker().failed(failure(FailureKind.OVERLOADED, 20), 0, RULES)
    opened = twice.failed(failure(FailureKind.OVERLOADED, 20), 1, RULES)
    assert not opened.probe_due(20.9, RULES)
    assert opened.probe_due(21, RULES)


def test_two_overloads_side_by_side_open_it_once() -> None:
    breaker = Breaker()
    for moment in range(20):
        breaker = breaker.failed(failure(FailureKind.OVERLOADED), moment / 100, RULES)
    assert (breaker.openings, breaker.probe_at) == (1, 5.01)


def test_only_what_a_person_has_to_mend_is_worse_than_being_open() -> None:
    breaker = Breaker().failed(failure(FailureKind.UNREACHABLE), 0, RULES)
    assert breaker.failed(failure(FailureKind.MODEL_MISSING), 1, RULES) is breaker
    gone = breaker.failed(failure(FailureKind.RETIRED), 1, RULES)
    assert (gone.reason, gone.probe_at, gone.usable_at()) == ("retired", 301, None)
    assert gone.failed(failure(FailureKind.AUTHENTICATION), 2, RULES) is gone


@given(kind=st.sampled_from(FOR_GOOD), now=st.floats(min_value=0, max_value=1e12), state=failures)
def test_what_only_a_person_can_mend_is_probed_rarely_and_promises_nothing(
    kind: FailureKind, now: float, state: Failure
) -> None:
    breaker = Breaker().failed(failure(kind), 0, RULES).failed(state, 1, RULES).succeeded()
    assert breaker.probe_due(now) is (now >= 300)
    assert breaker.usable_at() is None
    assert breaker.reset(now).probe_due(now)


@given(st.lists(failures, max_size=8), st.floats(min_value=0, max_value=1e6))
def test_a_state_comes_back_from_json_as_it_was(steps: list[Failure], now: float) -> None:
    breaker = Breaker()
    for step in steps:
        breaker = breaker.failed(step, now, RULES)
    assert Breaker.from_json(json.loads(json.dumps(breaker.as_json()))) == breaker


@pytest.mark.parametrize("data", [{}, {"state": "ajar"}, {"state": None}, {"state": "open", "failures": 3}])
def test_what_is_no_state_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected the state"):
        Breaker.from_json(data)


def test_what_a_newer_release_adds_does_not_matter() -> None:
    assert Breaker.from_json({"state": "open", "colour": "red", "since": 3.0}) == Breaker(OPEN, since=3.0)


def test_of_two_states_the_newer_holds_with_the_longer_wait() -> None:
    opened = Breaker().failed(failure(FailureKind.UNREACHABLE), 10, RULES)
    held = Breaker().failed(failure(FailureKind.RATE_LIMITED, 30), 5, RULES)
    assert held.merged(opened) == opened
    assert opened.merged(held) == opened
    closed = opened.recovered(20)
    assert closed.merged(opened) == closed
    assert closed.merged(held) == closed
    longer = Breaker().failed(failure(FailureKind.RATE_LIMITED, 90), 5, RULES)
    assert held.merged(longer) == longer.merged(held) == longer
    probing = opened.half_opened(12)
    assert probing.merged(closed) == probing


class OneRoute(RuleBasedStateMachine):
    """Whatever happens, in whatever order: one probe at a time, and never a call on an open route."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = 0.0
        self.probing: Breaker | None = None

    @rule(seconds=st.floats(min_value=0, max_value=100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(failure=failures)
    def a_call_fails(self, failure: Failure) -> None:
        before = self.breaker
        self.breaker = before.failed(failure, self.now, RULES)
        if before.state is not CLOSED and failure.kind not in FOR_GOOD:
            assert self.breaker is before

    @rule()
    def a_call_succeeds(self) -> None:
        before = self.breaker
        self.breaker = before.succeeded()
        assert self.breaker.state is before.state

    @precondition(lambda self: self.breaker.state is CLOSED and self.breaker.probe_due(self.now))
    @rule(failure=st.none() | failures)
    def a_shadow_probe_ends(self, failure: Failure | None) -> None:
        probing = self.breaker.shadow_probed()
        assert not probing.probe_due(self.now + 1e9)
        if failure is None:
            self.breaker = probing.shadow_succeeded(self.now)
            assert self.breaker.admits(self.now)
            return
        self.breaker = probing.shadow_failed(failure, self.now, RULES)
        assert (self.breaker.state is OPEN) is (failure.kind is not FailureKind.RATE_LIMITED)

    @precondition(lambda self: self.breaker.state is OPEN and self.breaker.probe_due(self.now))
    @rule()
    def a_probe_begins(self) -> None:
        self.breaker = self.probing = self.breaker.half_opened(self.now)
        assert not self.breaker.probe_due(self.now + 1e9)

    @precondition(lambda self: self.probing is not None and self.breaker is self.probing)
    @rule(failure=st.none() | failures)
    def the_probe_ends(self, failure: Failure | None) -> None:
        half_open, self.probing = self.breaker, None
        if failure is None:
            self.breaker = half_open.recovered(self.now)
            assert self.breaker == Breaker(since=self.now)
            return
        self.breaker = half_open.probe_failed(failure, self.now, RULES)
        assert self.breaker.state is OPEN
        assert (self.breaker.usable_at() is None) is (failure.kind in FOR_GOOD)

    @rule()
    def a_person_resets(self) -> None:
        before = self.breaker
        self.breaker = before.reset(self.now)
        assert self.breaker.state is CLOSED or self.breaker.probe_due(self.now)

    @invariant()
    def only_a_closed_breaker_lets_calls_through(self) -> None:
        if self.breaker.state is not CLOSED:
            assert not self.breaker.admits(self.now + 1e9)

    @invariant()
    def no_wait_is_longer_than_a_minute_without_a_probe(self) -> None:
        usable_at = self.breaker.usable_at()
        if usable_at is not None:
            assert usable_at <= self.now + RULES.probe_at_most

    @invariant()
    def nobody_waits_for_ever_but_for_a_person_or_a_probe(self) -> None:
        if self.breaker.state is OPEN and self.breaker.usable_at() is None:
            assert self.breaker.reason in FOR_GOOD


TestOneRoute = OneRoute.TestCase

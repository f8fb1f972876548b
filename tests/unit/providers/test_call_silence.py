from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.call_silence import CallSilence

SECONDS = st.floats(0, 10_000, allow_nan=False)
SILENCES = st.builds(CallSilence, SECONDS, SECONDS, st.integers(0, 20), st.sampled_from([None, True, False]))


@given(SILENCES)
def test_a_call_is_given_up_only_when_less_is_lost_than_was_waited_for(silence: CallSilence) -> None:
    if silence.is_final:
        assert silence.spent < silence.lasted
        assert silence.probes >= 2


@given(SILENCES)
def test_a_server_that_computes_is_never_given_up(silence: CallSilence) -> None:
    assert not replace(silence, works=True).is_final


@given(SILENCES, SECONDS, st.integers(0, 20))
def test_more_silence_never_speaks_for_a_call_and_more_work_never_against_it(
    silence: CallSilence, seconds: float, probes: int
) -> None:
    longer = replace(silence, lasted=silence.lasted + seconds, probes=silence.probes + probes)
    assert longer.is_final >= silence.is_final
    assert replace(silence, spent=silence.spent + seconds).is_final <= silence.is_final


@given(SECONDS, st.sampled_from([None, False]))
def test_every_silence_ends_and_takes_a_handful_of_probes(spent: float, works: bool | None) -> None:
    """Probes that take a second each, at the pauses of the rule, from the last sign of life on."""
    silence = CallSilence(spent, 0.0, 0, works)
    while not silence.is_final:
        silence = replace(silence, lasted=silence.lasted + max(0.05, silence.pause) + 1.0, probes=silence.probes + 1)
    # Not much longer than what was spent, and never so short that one stutter would do.
    assert silence.lasted <= spent * 1.2 + 20
    assert silence.lasted > 2
    assert silence.probes <= 25 + spent / 10
